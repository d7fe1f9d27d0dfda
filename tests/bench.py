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

from recab_helpers.data import encode, ids_of, synthetic_dataset
from recab_helpers.recommenders import fit_svd, svd_factors, top_k

ROOT = Path(__file__).resolve().parents[1]
FLOOR_CELL = """from recab_helpers import data, experiment, recommenders, report, simulation, stages, tracking
run = tracking.start_run("floor", "floor")
run.client.set_terminated(run.run_id)"""
REPORT = """import pathlib, sys
from recab_helpers import pipeline
pipeline.REPORTS = pathlib.Path(sys.argv[1])
sys.exit(pipeline.main(["report"]))"""
FLOOR = """import sys, papermill
for name in ("one", "two", "three"):
    papermill.execute_notebook(sys.argv[1], f"{sys.argv[2]}/{name}.ipynb", kernel_name="python3", progress_bar=False)"""
LOGGING = """import resource, sys, time
import numpy as np
from recab_helpers import tracking
from recab_helpers.data import synthetic_dataset
from recab_helpers.recommenders import top_k
from recab_helpers.simulation import Tally, Test, Traffic, Variant, assign, shares
n = 1_000_000
world = synthetic_dataset(n_users=n // 60, n_items=1000, text_share=.5, mean_history=6, seed=1).world
rng = np.random.default_rng(1)
slates = [rng.permuted(np.tile(np.arange(1000, dtype=np.int32), (n // 60, 1)), axis=1)[:, :10] for _ in range(2)]
variants = [Variant(name=v, model=v, version="1", items=s, p_click=rng.beta(1, 20, s.shape))
            for v, s in zip(("control", "treatment"), slates)]
test = Test(experiment="bench", user_ids=world.user_ids, item_ids=world.item_ids, variants=variants,
            assignment=assign(world.user_ids, salt="1", planned=shares(.5, 2)), planned={}, effect_dial=1.0, seed=1,
            traffic=Traffic(session_rate=world.session_rate, horizon_days=14, slate_size=10, examination_decay=1,
                            fatigue=1))
run = tracking.start_run("bench", "simulate")
start = time.perf_counter()
tally = Tally(test)
run.log_table("impressions", tally.watch(test.impressions()))
seconds = time.perf_counter() - start
rows = tally.summary()["impressions"].sum()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"simulate and log {rows:,} impressions: {seconds:.2f} s, {rows / seconds:,.0f} a second, peak {peak:.2f} GB")"""


def main() -> None:
    """Print every figure; nothing is judged here."""
    report_against_floor()
    top_ten_against_predict()
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tempfile.mkdtemp()}/mlflow.db"}
    subprocess.run([sys.executable, "-c", LOGGING], env=environment, stderr=subprocess.DEVNULL, check=True)


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


if __name__ == "__main__":
    main()
