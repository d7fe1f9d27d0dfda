"""What is measured, each in a process of its own: `python -m tests.bench.pieces NAME SIZE...` prints one line of JSON.

Figures: `ours` and the peers, each [seconds, seconds of CPU] in the median of the rounds, ours and theirs in turn, and
`count`, of what.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Cost = list[float]


def cost(what: Callable[[], Any]) -> Cost:
    """Seconds by the clock and by the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return [time.perf_counter() - wall, time.process_time() - cpu]


def in_turn(rounds: int, **ways: Callable[[], Any]) -> dict[str, Cost]:
    """The median cost of every way over some rounds in which each is done once."""
    costs = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            costs[name].append(cost(way))
    return {name: np.median(found, axis=0).tolist() for name, found in costs.items()}


def top_ten(n_users: int = 100_000, n_items: int = 20_000, factors: int = 32) -> dict:
    """The ten best unseen items of all users by factors, exact, against the bare product of the same blocks."""
    import importlib.util

    from scipy import sparse

    from recab_helpers.recommenders import Factors

    rng = np.random.default_rng(1)
    users, items = (rng.normal(size=(n, factors)).astype(np.float32) for n in (n_users, n_items))
    fitted = _fitted(Factors(users, items), n_users, n_items, rng)
    everyone = np.arange(n_users)

    def product() -> None:
        for start in range(0, n_users, 1000):
            users[start : start + 1000] @ items.T

    ways = {"ours": lambda: fitted.top_k(everyone, 10), "bare product": product}
    if importlib.util.find_spec("implicit"):
        from implicit.cpu.topk import topk

        query = sparse.csr_matrix(fitted.seen, dtype=np.float32)
        ways["implicit"] = lambda: topk(items, users, 10, filter_query_items=query, num_threads=os.cpu_count())
    return in_turn(3, **ways) | {"count": n_users, "of": "users"}


def content(n_users: int = 10_000, n_items: int = 60_000, n_words: int = 20_000) -> dict:
    """The ten best unseen items of all users by their texts, against the bare product of item vectors and profiles."""
    from scipy import sparse

    from recab_helpers.recommenders.content import Profiles

    rng = np.random.default_rng(1)
    words = rng.zipf(1.2, (n_items, 15)) % n_words
    vectors = sparse.csr_array(
        (np.full(words.size, 15**-0.5, np.float32), (np.repeat(np.arange(n_items), 15), words.ravel()))
    )
    liked = rng.integers(0, n_items, (n_users, 20))
    likes = sparse.csr_array(
        (np.ones(liked.size, np.float32), (np.repeat(np.arange(n_users), 20), liked.ravel())), shape=(n_users, n_items)
    )
    fitted = _fitted(Profiles(likes, vectors, np.ones(n_items, np.float32)), n_users, n_items, rng)
    everyone = np.arange(n_users)

    def product() -> None:
        for start in range(0, n_users, 50):
            vectors @ (likes[start : start + 50] @ vectors).toarray().T

    return in_turn(1, ours=lambda: fitted.top_k(everyone, 10), **{"bare product": product}) | {
        "count": n_users,
        "of": "users",
    }


def _fitted(scorer: Any, n_users: int, n_items: int, rng: np.random.Generator) -> Any:
    """A model of this scorer whose users met 20 items each."""
    from scipy import sparse

    from recab_helpers.recommenders import FittedRecommender

    met = np.repeat(np.arange(n_users), 20), rng.integers(0, n_items, 20 * n_users)
    return FittedRecommender(
        name="bench",
        scorer=scorer,
        user_ids=np.arange(n_users).astype(str),
        item_ids=np.arange(n_items).astype(str),
        seen=sparse.csr_array((np.ones(len(met[0]), dtype=bool), met), shape=(n_users, n_items)),
        popularity=np.zeros(n_items, dtype=np.float32),
        cold=np.zeros(n_users, dtype=bool),
    )


def draws(n: int = 5_000_000) -> dict:
    """Counter-based draws by user, session and position, against numpy's own generator."""
    from recab_helpers.randomness import uniform

    rng = np.random.default_rng(1)
    keys = rng.integers(0, 2**63, (n // 10, 1), dtype=np.uint64)
    session, position = rng.integers(0, 9, (n // 10, 1)), np.arange(1, 11)
    ways = {"ours": lambda: uniform(keys, session, position), "numpy": lambda: rng.random(n)}
    return in_turn(5, **ways) | {"count": n, "of": "draws"}


def simulate(n_users: int = 16_000) -> dict:
    """About 60 impressions a user, drawn and written to the store."""
    from recab_helpers import tracking
    from recab_helpers.references import ModelAddress
    from recab_helpers.simulation import Before, PositionModel, Tally, Test, Traffic, Variant, assign, shares
    from recab_helpers.simulation.traffic import draw_session_rates

    mlflow_home = tempfile.mkdtemp()
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{mlflow_home}/mlflow.db"
    user_ids, item_ids = (np.arange(n).astype(str) for n in (n_users, 1000))
    rate = draw_session_rates(user_ids, seed=1)
    rng = np.random.default_rng(1)
    slates = [(rng.integers(0, 1000, (n_users, 1)) + 7 * np.arange(10)) % 1000 for _ in range(2)]
    variants = [
        Variant(
            name=name,
            model=ModelAddress(name=name, version="1"),
            items=items.astype(np.int32),
            p_click=rng.beta(1, 20, items.shape),
        )
        for name, items in zip(("control", "treatment"), slates, strict=True)
    ]
    test = Test(
        experiment="bench",
        user_ids=user_ids,
        item_ids=item_ids,
        variants=variants,
        assignment=assign(user_ids, salt="1", planned=shares(0.5, 2)),
        planned={},
        effect_dial=1.0,
        seed=1,
        traffic=Traffic(session_rate=rate, horizon_days=14),
        clicks=PositionModel(),
        before=Before(p_click=variants[0].p_click, session_rate=rate),
    )
    run = tracking.start_run("bench", "simulate")
    tally = Tally(test)
    found = in_turn(1, ours=lambda: run.log_data(impressions=tally.watch(test.impressions())))
    return found | {"count": int(tally.summary()["impressions"].sum()), "of": "impressions"}


def reduce(n_users: int = 200_000, rounds: int = 3, n_days: int = 14) -> dict:
    """Reading, checks and reduction of a log of daily parts, against one DuckDB query that groups it by user."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _write_log(Path(folder), n_users, n_days)
        return _reduced(Path(folder), f"'{folder}/*.parquet'", rounds) | {"count": rows, "of": "impressions"}


def reduce_csv(n_users: int = 200_000) -> dict:
    """The same of one CSV file, against the same query over it."""
    from recab_helpers.engine import engine

    with tempfile.TemporaryDirectory() as folder:
        rows, file = _write_log(Path(folder), n_users, 14), Path(folder, "log.csv")
        engine().execute(f"copy (from '{folder}/*.parquet') to '{file}'")
        return _reduced(file, f"'{file}'", 1) | {"count": rows, "of": "impressions"}


def _reduced(log: Path, table: str, rounds: int) -> dict[str, Cost]:
    from recab_helpers import analysis, impressions
    from recab_helpers.engine import engine

    counts = "count(*), sum(clicked), count(distinct slate_id)"
    query = f"select user_id, variant, {counts} from {table} group by all"

    def one_query() -> None:
        engine().execute(f"create or replace temp table one as {query}")
        engine().execute("drop table one")

    def whole() -> None:
        read = impressions.read_log(log)
        users = impressions.user_rows(read.rows, counted=read.counted)
        goals = [m.columns for m in analysis.goals_of(analysis.METRICS)]
        impressions.reduce(users, analysis.columns_of(analysis.METRICS, users.numeric), goals=goals)

    return in_turn(rounds, ours=whole, **{"one DuckDB query": one_query})


def _write_log(folder: Path, n_users: int, days: int, size: int = 10) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    rate, made = rng.gamma(0.7, 5 / 0.7 / days, n_users), 0
    for day in range(days):
        seen = np.repeat(rng.permutation(n_users), rng.poisson(rate))
        user, rank = np.repeat(seen, size), np.tile(np.arange(1, size + 1), len(seen))
        moment = np.sort(rng.integers(0, 86_399_000_000, len(seen))) + day * 86_400_000_000
        table = {
            "user_id": user + 10**7,
            "slate_id": np.repeat(made + np.arange(len(seen)), size),
            "position": rank.astype(np.int8),
            "variant": pa.array(np.where(user % 2, "treatment", "control")),
            "timestamp": np.repeat(np.datetime64("2026-05-01", "us") + moment, size),
            "item_id": ((np.repeat(rng.zipf(1.3, len(seen)), size) + 37 * rank) % 2000).astype(np.int32),
            "clicked": (rng.random(len(user)) < 0.1 / rank**0.7).astype(np.int8),
        }
        pq.write_table(pa.table(table), folder / f"{day:03}.parquet")
        made += len(seen)
    return made * size


def analyze(n_users: int = 2_000_000) -> dict:
    """Five metrics with CUPED, and SRM, on one row a user, against the same metrics in tea-tasting."""
    import pandas as pd
    import tea_tasting as tt

    from recab_helpers.analysis import MetricSpec, estimate_effects, mean_of, srm_p_value
    from recab_helpers.impressions.aggregates import Users

    rng = np.random.default_rng(1)
    sessions = 1 + rng.poisson(rng.gamma(0.7, 8, n_users))
    clicks = rng.binomial(10 * sessions, 0.05)
    columns = {"clicks": clicks, "impressions": 10 * sessions, "sessions": sessions, "clicked_any": clicks > 0}
    columns |= {f"pre_{k}": rng.poisson(v) + 1 for k, v in columns.items()}
    users = pd.DataFrame(
        columns | {"weighted_clicks": clicks * 0.7, "pre_weighted_clicks": columns["pre_clicks"] * 0.7}
    )
    users["variant"] = pd.Categorical.from_codes(rng.integers(0, 2, n_users), ["control", "treatment"])
    ratios = [("clicks", "impressions"), ("clicks", "sessions"), ("weighted_clicks", "sessions")]
    means = ["clicks", "clicked_any"]
    specs = [
        MetricSpec(
            name=f"{a}/{b}",
            label=a,
            kind="ratio",
            numerator=a,
            denominator=b,
            covariate=(f"pre_{a}", f"pre_{b}"),
            role=role,
        )
        for (a, b), role in zip(ratios, ("goal", "secondary", "secondary"), strict=True)
    ] + [mean_of(m) for m in means]
    theirs = tt.Experiment(
        {f"{a}/{b}": tt.RatioOfMeans(a, b, f"pre_{a}", f"pre_{b}") for a, b in ratios}
        | {m: tt.Mean(m, f"pre_{m}") for m in means}
        | {"srm": tt.SampleRatio()}
    )
    plain = users.assign(variant=users["variant"].astype(str), clicked_any=users["clicked_any"].astype(int))

    def ours() -> None:
        found = Users.of(users["variant"], {name: users[name] for name in users.columns[:-1]})
        estimate_effects(found, tuple(specs))
        srm_p_value(list(found.counts.values()), [1, 1])

    ways = {"ours": ours, "tea-tasting": lambda: theirs.analyze(plain, control="control")}
    return in_turn(3, **ways) | {"count": n_users, "of": "users"}


def grade(n_tests: int = 4000) -> dict:
    """Drawn tests of 2,000 users, graded on two processes."""
    from recab_helpers.calibration import Population
    from recab_helpers.calibration.grading import grade as graded

    return in_turn(1, ours=lambda: graded(Population(), n_tests, seed=1)) | {"count": n_tests, "of": "tests"}


def train(n_ratings: int = 1_000_000) -> dict:
    """Collaborative filtering from a data frame to ranked lists of all users, against Surprise's own fit alone.

    Its fit is that of the same targets on a training set that is built already.
    """
    from surprise import SVD

    from recab_helpers.data import encode, ids_of, synthetic_dataset
    from recab_helpers.parameters import TrainParams
    from recab_helpers.recommenders.catalog import fit
    from recab_helpers.recommenders.collaborative import implicit_targets

    params = TrainParams(variants=["collaborative", "popularity"], collaborative_epochs=5)
    data = synthetic_dataset(n_users=max(200, n_ratings // 100), n_items=2000, text_share=0.5, mean_history=100, seed=1)
    users, items = ids_of(data)
    found: dict[str, Any] = {}

    def ours() -> None:
        coded = found["coded"] = encode(data.interactions, user_ids=users, item_ids=items)
        fit("collaborative", coded, data.catalog, params).top_k(np.arange(len(users)), 10)

    first = cost(ours)
    targets = implicit_targets(found["coded"], negatives=params.collaborative_negatives, seed=1)
    built = _built(targets)
    algo = SVD(n_factors=32, n_epochs=5, lr_all=0.02, reg_all=0.02, biased=False, init_mean=0.1, random_state=1)
    peer = cost(lambda: algo.fit(built))
    return {"ours": first, "Surprise's fit": peer, "count": len(data.interactions), "of": "ratings"}


def ease(n_items: int = 6000) -> dict:
    """EASE of a catalog of this size, from likes to its weights, against numpy's inverse of the same matrix.

    The peer is left out where its copies are too large.
    """
    from scipy import sparse

    from recab_helpers.data.dataset import Interactions
    from recab_helpers.parameters import TrainParams
    from recab_helpers.recommenders.ease import fit_ease

    rng, n_users, params = np.random.default_rng(1), 2 * n_items, TrainParams()
    user, item = np.repeat(np.arange(n_users), 20), rng.integers(0, n_items, 20 * n_users)
    likes = Interactions(
        user_ids=np.arange(n_users).astype(str),
        item_ids=np.arange(n_items).astype(str),
        user=user,
        item=item,
        rating=np.full(len(user), 5.0),
        liked=np.ones(len(user), dtype=bool),
    )
    ways = {"ours": lambda: fit_ease(likes, None, params)}
    if n_items <= 10_000:
        x = sparse.csr_array((np.ones(len(user)), (user, item)), shape=(n_users, n_items))
        square = (x.T @ x).toarray() + params.ease_regularization * np.eye(n_items)
        ways["numpy's inverse"] = lambda: np.linalg.inv(square)
    return in_turn(1, **ways) | {"count": n_items, "of": "items"}


def _built(targets: Any) -> Any:
    """Surprise's own training set of these targets, inner ids being the codes."""
    from collections import defaultdict

    from surprise import Trainset

    by_user, by_item = defaultdict(list), defaultdict(list)
    for user, item, rating in zip(*(c.tolist() for c in (targets.user, targets.item, targets.rating)), strict=True):
        by_user[user].append((item, rating))
        by_item[item].append((user, rating))
    return Trainset(by_user, by_item, targets.n_users, targets.n_items, len(targets.user), (0, 1), {}, {})


def items(n_items: int) -> dict:
    """The ten best of a catalog of this size, for 5,000 users."""
    return top_ten(5000, n_items) | {"count": n_items, "of": "items"}


def days(n_days: int = 366) -> dict:
    """A log of about the same number of impressions over more days, to aggregates."""
    return reduce(2000, 1, n_days) | {"count": n_days, "of": "days"}


def report(rounds: int = 3) -> dict:
    """The default report, against three notebooks that import the same packages and open an MLflow run."""
    import subprocess

    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        quiet: dict[str, Any] = {
            "env": os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
            "check": True,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(FLOOR_CELL)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, f"{folder}/floor.ipynb")
        (Path(folder) / "reports").mkdir()

        def floor() -> None:
            subprocess.run([sys.executable, "-c", FLOOR, f"{folder}/floor.ipynb", folder], **quiet)

        def whole() -> None:
            subprocess.run([sys.executable, "-c", REPORT, f"{folder}/reports"], **quiet)

        floor()  # warms the file cache and makes the store
        found = in_turn(rounds, ours=whole, **{"three notebooks that only import": floor})
    return found | {"count": 1, "of": "reports"}


FLOOR_CELL = """from recab_helpers import analysis, data, recommenders, report, simulation, stages, tracking
run = tracking.start_run("floor", "floor")
run.client.set_terminated(run.run_id)"""
FLOOR = """import sys, papermill
for name in ("one", "two", "three"):
    papermill.execute_notebook(sys.argv[1], f"{sys.argv[2]}/{name}.ipynb", kernel_name="python3", progress_bar=False)"""
REPORT = """import pathlib, sys
from recab_helpers import paths
from recab_helpers.pipeline import command_line
paths.REPORTS = pathlib.Path(sys.argv[1])
sys.exit(command_line.main(["report"]))"""


if __name__ == "__main__":
    measured = globals()[sys.argv[1]](*map(int, sys.argv[2:]))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
    print(json.dumps(measured | {"peak_gb": round(peak, 3)}))
