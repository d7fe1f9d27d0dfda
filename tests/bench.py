"""Benchmarks of the main job and its hot paths: `make bench`. Ratios within one run are what counts."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import tea_tasting as tt

from recab_helpers.analysis import MetricSpec, bootstrap, estimate_effects, mean_of, srm_p_value
from recab_helpers.calibration.grading import Population, grade
from recab_helpers.data import encode, ids_of, synthetic_dataset
from recab_helpers.recommenders import top_k
from recab_helpers.recommenders.collaborative import fit_svd, svd_factors

ROOT = Path(__file__).resolve().parents[1]
FLOOR_CELL = """from recab_helpers import analysis, data, recommenders, report, simulation, stages, tracking
run = tracking.start_run("floor", "floor")
run.client.set_terminated(run.run_id)"""
REPORT = """import pathlib, sys
from recab_helpers import paths
from recab_helpers.pipeline import command_line
paths.REPORTS = pathlib.Path(sys.argv[1])
sys.exit(command_line.main(["report"]))"""
FLOOR = """import sys, papermill
for name in ("one", "two", "three"):
    papermill.execute_notebook(sys.argv[1], f"{sys.argv[2]}/{name}.ipynb", kernel_name="python3", progress_bar=False)"""
LOGGING = """import resource, sys, time
import numpy as np
from recab_helpers import tracking
from recab_helpers.data import synthetic_dataset
from recab_helpers.references import ModelAddress
from recab_helpers.simulation import Before, PositionModel, Tally, Test, Traffic, Variant, assign, shares
n = 1_000_000
world = synthetic_dataset(n_users=n // 60, n_items=1000, text_share=.5, mean_history=6, seed=1).world
rng = np.random.default_rng(1)
slates = [rng.permuted(np.tile(np.arange(1000, dtype=np.int32), (n // 60, 1)), axis=1)[:, :10] for _ in range(2)]
variants = [Variant(name=v, model=ModelAddress(name=v, version="1"), items=s, p_click=rng.beta(1, 20, s.shape))
            for v, s in zip(("control", "treatment"), slates)]
test = Test(experiment="bench", user_ids=world.user_ids, item_ids=world.item_ids, variants=variants,
            assignment=assign(world.user_ids, salt="1", planned=shares(.5, 2)), planned={}, effect_dial=1.0, seed=1,
            traffic=Traffic(session_rate=world.session_rate, horizon_days=14), clicks=PositionModel(),
            before=Before(p_click=variants[0].p_click, session_rate=world.session_rate))
run = tracking.start_run("bench", "simulate")
start = time.perf_counter()
tally = Tally(test)
run.log_data("impressions", tally.watch(test.impressions()))
seconds = time.perf_counter() - start
rows = tally.summary()["impressions"].sum()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"simulate and log {rows:,} impressions: {seconds:.2f} s, {rows / seconds:,.0f} a second, peak {peak:.2f} GB")"""


REDUCTION = """import resource, sys, time
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from recab_helpers import analysis, impressions
from recab_helpers.tables import engine
folder, n_users, size = Path(sys.argv[1]), int(sys.argv[2]), 10
rng = np.random.default_rng(1)
rate, made = rng.gamma(.7, 5 / .7 / 14, n_users), 0
for day in range(14):
    seen = np.repeat(rng.permutation(n_users), rng.poisson(rate))
    user, rank = np.repeat(seen, size), np.tile(np.arange(1, size + 1), len(seen))
    moment = np.sort(rng.integers(0, 86_399_000_000, len(seen))) + day * 86_400_000_000
    time_of = np.datetime64("2026-05-01", "us") + moment
    pq.write_table(pa.table({
        "user_id": user + 10**7, "slate_id": np.repeat(made + np.arange(len(seen)), size),
        "position": rank.astype(np.int8),
        "variant": pa.array(np.where(user % 2, "treatment", "control")), "timestamp": np.repeat(time_of, size),
        "item_id": ((np.repeat(rng.zipf(1.3, len(seen)), size) + 37 * rank) % 2000).astype(np.int32),
        "clicked": (rng.random(len(user)) < .1 / rank**.7).astype(np.int8)}), folder / f"{day:02}.parquet")
    made += len(seen)
def cost(what):
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return np.array([time.perf_counter() - wall, time.process_time() - cpu])
counts = "count(*), sum(clicked), count(distinct slate_id)"
query = f"select user_id, variant, {counts} from '{folder}/*.parquet' group by all"
def one_query():
    engine().execute(f"create or replace temp table one as {query}")
    engine().execute("drop table one")
def whole():
    read = impressions.read_log(folder)
    rows = impressions.user_rows(read.rows, counted=read.counted)
    goals = [m.columns for m in analysis.goals_of(analysis.METRICS)]
    impressions.reduce(rows, analysis.columns_of(analysis.METRICS, rows.numeric), goals=goals)
pairs = np.array([(cost(one_query), cost(whole)) for _ in range(3)])
(a, cpu_a), (b, cpu_b) = np.median(pairs, axis=0)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"a log of {made * size:,} impressions to aggregates: {b:.1f} s, {cpu_b:.1f} s CPU; one query by user {a:.1f} s, "
      f"{cpu_a:.1f} s CPU; ratio {np.median(pairs[:, 1] / pairs[:, 0], axis=0)[0]:.2f} in time, "
      f"{np.median(pairs[:, 1] / pairs[:, 0], axis=0)[1]:.2f} in CPU; peak {peak:.2f} GB")"""


def main() -> None:
    """Print every figure; nothing is judged here."""
    reduction_against_one_query()
    report_against_floor()
    top_ten_against_predict()
    analysis_against_tea_tasting()
    thousands_of_tests()
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"}
    subprocess.run([sys.executable, "-c", LOGGING], env=environment, stderr=subprocess.DEVNULL, check=True)


def reduction_against_one_query(n_users: int = 200_000) -> None:
    """Reading, checks and reduction of a log of 14 daily parts, against one DuckDB query that groups it by user."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", REDUCTION, folder, str(n_users)], check=True)


def report_against_floor() -> None:
    """The default report, against three notebooks that import the same packages and open an MLflow run."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        quiet = {
            "env": environment,
            "cwd": ROOT,
            "check": True,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(FLOOR_CELL)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, f"{folder}/floor.ipynb")
        floor = [sys.executable, "-c", FLOOR, f"{folder}/floor.ipynb", folder]
        (Path(folder) / "reports").mkdir()
        report = [sys.executable, "-c", REPORT, f"{folder}/reports"]
        subprocess.run(floor, **quiet)  # warms the file cache and migrates the store
        times = [(seconds(report, quiet), seconds(floor, quiet)) for _ in range(3)]
    ratio = np.median([a / b for a, b in times])
    a, b = np.median(times, axis=0)
    print(f"make report: {a:.1f} s; three notebooks that only import and open a run: {b:.1f} s; ratio {ratio:.2f}")


def seconds(command: list[str], options: dict) -> float:
    """Wall time of one command."""
    start = time.perf_counter()
    subprocess.run(command, **options)
    return time.perf_counter() - start


def top_ten_against_predict() -> None:
    """Top-10 of all users of a data set of ML-100K's size, against a loop over Surprise's estimate."""
    dataset = synthetic_dataset(n_users=943, n_items=1682, text_share=0.5, mean_history=106, seed=1)
    users, items = ids_of(dataset)
    data = encode(dataset.interactions, user_ids=users, item_ids=items)
    algo = fit_svd(data, seed=1)
    start = time.process_time()
    p, q = svd_factors(algo)
    ours = top_k(p @ q.T, 10)
    vectorized = time.process_time() - start
    sample = 60
    start = time.process_time()
    loop = np.array([[algo.estimate(u, i) for i in range(len(items))] for u in range(sample)])
    looped = (time.process_time() - start) * len(users) / sample
    same = np.array_equal(np.argsort(-loop, axis=1, kind="stable")[:, :10], ours[:sample])
    print(
        f"top-10 of {len(users)} users x {len(items)} items: {vectorized:.3f} s CPU; estimate loop {looped:.1f} s "
        f"(from {sample} users); {looped / vectorized:.0f} times; same order: {same}"
    )
    print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def analysis_against_tea_tasting() -> None:
    """2 million users: five metrics with CUPED, SRM and a bootstrap, against the same metrics in tea-tasting."""
    rng = np.random.default_rng(1)
    n = 2_000_000
    sessions = 1 + rng.poisson(rng.gamma(0.7, 8, n))
    clicks = rng.binomial(10 * sessions, 0.05)
    columns = {"clicks": clicks, "impressions": 10 * sessions, "sessions": sessions, "clicked_any": clicks > 0}
    columns |= {f"pre_{k}": rng.poisson(v) + 1 for k, v in columns.items()}
    users = pd.DataFrame(
        columns | {"weighted_clicks": clicks * 0.7, "pre_weighted_clicks": columns["pre_clicks"] * 0.7}
    )
    users["variant"] = pd.Categorical.from_codes(rng.integers(0, 2, n), ["control", "treatment"])
    ratios = [("clicks", "impressions"), ("clicks", "sessions"), ("weighted_clicks", "sessions")]
    means = ["clicks", "clicked_any"]
    specs = [
        MetricSpec(
            name=f"{a}/{b}", label=a, kind="ratio", numerator=a, denominator=b, covariate=(f"pre_{a}", f"pre_{b}")
        )
        for a, b in ratios
    ] + [mean_of(m) for m in means]
    theirs = tt.Experiment(
        {f"{a}/{b}": tt.RatioOfMeans(a, b, f"pre_{a}", f"pre_{b}") for a, b in ratios}
        | {m: tt.Mean(m, f"pre_{m}") for m in means}
        | {"srm": tt.SampleRatio()}
    )
    plain = users.assign(variant=users["variant"].astype(str), clicked_any=users["clicked_any"].astype(int))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        effects = estimate_effects(users, tuple(specs))
        srm_p_value(users["variant"].value_counts().to_list(), [1, 1])
        estimated = time.perf_counter() - start
        bootstrap(users, specs[0], effects[0], alpha=0.05)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        theirs.analyze(plain, control="control")
        times.append((ours, estimated, time.perf_counter() - start))
    ours, estimated, other = np.median(times, axis=0)
    print(
        f"2 million users, five metrics with CUPED and SRM: {estimated:.2f} s, with the bootstrap {ours:.2f} s; "
        f"tea-tasting without a bootstrap {other:.2f} s; ratio {ours / other:.2f}"
    )


def thousands_of_tests() -> None:
    """4,000 simulated tests of 2,000 users, graded on two processes."""
    start = time.perf_counter()
    grade(Population(), 4000, seed=1)
    print(f"4,000 simulated tests of 2,000 users, graded: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
