"""Shared fixtures: data of each kind, a store and a reports folder of their own, one small pipeline run."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

from recab_helpers.paths import ROOT

os.environ["OPENBLAS_NUM_THREADS"] = "1"

SHARED = ROOT.parent / "shared"
NASTY_TITLES = ["<script>alert(1)</script>", "\u0645\u0631\u062d\u0628\u0627 (1999)", 'a "quoted" & <b>bold</b> title']
SMALL = ["n_users=600", "n_items=300", "mean_history=20", "horizon_days=5"]


@pytest.hookimpl(tryfirst=True)  # before the names of groups are read
def pytest_collection_modifyitems(items) -> None:
    """One process runs all tests that share the store and pages of the pipeline; another the rest."""
    for item in items:
        if {"run_pipeline", "page_file"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("pipeline"))


def pytest_terminal_summary(terminalreporter) -> None:
    """What was done to real processes by the tests of faults, how it ended, and how often."""
    reports = (r for of in terminalreporter.stats.values() for r in of if getattr(r, "when", "") == "call")
    done = Counter(tuple(value) for r in reports for name, value in r.user_properties if name == "fault")
    if done:
        terminalreporter.section("faults")
    for (fault, end), times in sorted(done.items()):
        terminalreporter.write_line(f"{fault:<45} {end:<45} {times:>4}")


def shared(path: str) -> Path:
    """A file or folder of the shared data, or a skip that says which one is absent."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"needs {path} of the shared data folder beside the project, which is not here")
    return found


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_261_124)


@pytest.fixture(scope="session")
def world_data():
    """A small synthetic data set."""
    from recab_helpers.data import synthetic_dataset

    return synthetic_dataset(n_users=500, n_items=200, text_share=0.5, mean_history=20, seed=3)


@pytest.fixture(scope="session")
def ml_100k(tmp_path_factory):
    """MovieLens 100K from the download cache, else from the copy inside the RecBole wheel."""
    from recab_helpers.data import DataError, make_dataset, movielens_dataset

    folder = tmp_path_factory.mktemp("ml-100k")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "recbole==1.2.1", "-d", str(folder)]
    if subprocess.run(command, capture_output=True, check=False, timeout=300).returncode:
        try:
            return movielens_dataset("ml-100k")
        except DataError as error:
            pytest.skip(f"needs MovieLens 100K: {error}")
    inside = "recbole/dataset_example/ml-100k/ml-100k"
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        tables = [pd.read_csv(wheel.open(f"{inside}.{kind}"), sep="\t") for kind in ("inter", "item")]
    interactions, movies = (t.rename(columns=lambda c: c.split(":")[0]) for t in tables)
    movies = movies.rename(columns={"movie_title": "title"})
    return make_dataset("ml-100k", interactions, movies.assign(text=movies["title"] + " " + movies["class"].fillna("")))


@pytest.fixture(scope="session")
def run_pipeline(tmp_path_factory):
    """Run a pipeline command in process against a store and a reports folder under a path with a space.

    Every report is checked against the schema of its document.
    """
    from recab_helpers import paths
    from recab_helpers.pipeline import command_line
    from recab_helpers.report.document import SCHEMA

    home = tmp_path_factory.mktemp("a place")
    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    patch.setattr(paths, "REPORTS", home / "reports")
    (home / "reports").mkdir()

    def run(command: str, *settings: str, more: tuple[str, ...] = ()) -> tuple[int, Path]:
        code = command_line.main([command, *more, "--set", *settings])
        if code == 0 and command in ("report", "analyze"):
            document = json.loads((home / "reports" / "ab_report.json").read_text())
            jsonschema.validate(document, json.loads(SCHEMA.read_text()))
        return code, home / "reports"

    yield run
    patch.undo()


def newest_run(reports: Path) -> Path:
    """The folder that keeps the pages of the newest run."""
    return max((reports / "runs").iterdir(), key=lambda folder: folder.stat().st_ctime_ns)


@pytest.fixture(scope="session")
def small_run(run_pipeline) -> Path:
    """The kept pages of one small run of all three notebooks."""
    code, reports = run_pipeline("report", *SMALL, "experiment=small")
    assert code == 0
    return newest_run(reports)


@pytest.fixture(scope="session")
def invalid_run(small_run, run_pipeline, tmp_path_factory) -> Path:
    """The kept pages of a real log that lost half of its treatment users, with titles that try to break the page."""
    from recab_helpers import tracking

    simulated = json.loads((small_run / "ab_report.json").read_text())["lineage"]["run_ids"]["simulate"]
    log = tracking.load_table(simulated, "simulate/impressions")
    lost = log["user_id"].astype(str).str.endswith(("1", "3", "5", "7", "9")) & (log["variant"] != "control")
    titles = log["item_id"].cat.codes.map(dict(enumerate(NASTY_TITLES * len(log["item_id"].cat.categories))))
    file = tmp_path_factory.mktemp("a log") / "lost.parquet"
    log[~lost].assign(title=titles).to_parquet(file)
    code, reports = run_pipeline("analyze", "experiment=lost", more=("--log", str(file)))
    assert code == 0
    return newest_run(reports)


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory) -> Path:
    """An empty MLflow store; migrating one takes seconds, copying it none."""
    from recab_helpers import tracking

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
        tracking.connect().search_experiments(max_results=1)
    return file


@pytest.fixture
def store(migrated_store, tmp_path, monkeypatch):
    """A client of a SQLite store of this test's own."""
    from recab_helpers import tracking

    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tracking.connect()
