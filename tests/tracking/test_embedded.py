"""A store is whole or not there, belongs to this MLflow, and keeps its artifacts beside it wherever the folder goes."""

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from recab_helpers import tracking
from recab_helpers.errors import TrackingError
from recab_helpers.tracking import embedded


@pytest.fixture
def copy(migrated_store, tmp_path) -> Path:
    return Path(shutil.copy(migrated_store, tmp_path / "mlflow.db"))


def use(monkeypatch, file: Path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    return tracking.connect()


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        for statement in statements:
            database.execute(statement)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:20_000])


def older(file: Path) -> None:
    change(file, "update alembic_version set version_num = 'cbc13b556ace'")


DAMAGE = {
    "garbage": (
        lambda file: file.write_bytes(b"no store " * 99),
        r"not whole \(file is not a database\).*mv '.*broken'",
    ),
    "cut": (cut, r"not whole \(database disk image is malformed\).*mv '"),
    "no tables": (lambda file: change(file, "drop table alembic_version"), r"not whole \(it holds no version\)"),
    "a table short": (lambda file: change(file, "drop table metrics"), r"not whole \(it lacks the table metrics\)"),
    "half made": (older, r"not whole \(it stopped at version cbc13b556ace and holds no run\)"),
    "of an older MLflow": (
        lambda file: (older(file), change(file, "insert into runs (run_uuid) values ('a')")),
        r"by an older MLflow.*Keep a copy of it, then run: .*-m mlflow db upgrade 'sqlite:///",
    ),
    "of a newer MLflow": (
        lambda file: change(file, "update alembic_version set version_num = 'later'"),
        r"by another, newer MLflow \(schema later\)",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_no_whole_store_of_this_mlflow_is_one_sentence_with_the_way_out(kind, copy, monkeypatch):
    damage, words = DAMAGE[kind]
    damage(copy)
    before = copy.read_bytes()
    with pytest.raises(TrackingError, match=words) as refused:
        use(monkeypatch, copy)
    assert "\n" not in str(refused.value)
    assert copy.read_bytes() == before


def test_a_store_that_died_while_it_was_made_is_made_anew_and_nothing_is_left(tmp_path, migrated_store, monkeypatch):
    """Ctrl-C in the first seconds once broke it for ever."""
    making = tmp_path / "mlflow.db.making"
    making.write_bytes(migrated_store.read_bytes()[:20_000])
    (tmp_path / "mlflow.db.making-journal").write_bytes(b"half")
    (tmp_path / "mlflow.db").touch()  # SQLite's first touch
    client = use(monkeypatch, tmp_path / "mlflow.db")
    assert client.search_experiments()[0].name == "Default"
    assert {f.name for f in tmp_path.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "mlartifacts"}


def test_a_second_first_run_waits_says_for_what_and_finds_the_store(tmp_path, migrated_store, monkeypatch, capsys):
    file = tmp_path / "mlflow.db"
    made = threading.Timer(1, lambda: shutil.copy(migrated_store, file))
    with embedded._locked(file, "is making the MLflow store"):
        waiting = threading.Thread(target=embedded.prepare, args=(file,))
        waiting.start()
        made.start()
        made.join()
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()
    assert "recab: another run is making the MLflow store mlflow.db; waiting for it.\n" in capsys.readouterr().err


def test_a_copied_and_a_moved_folder_are_their_own(copy, tmp_path, monkeypatch, capsys):
    """The copy once wrote its artifacts into the original, and lost them with it."""
    here = tmp_path / "here"
    here.mkdir()
    file = Path(shutil.move(copy, here / "mlflow.db"))
    use(monkeypatch, file)
    table = pd.DataFrame({"a": [1, 2]})
    old = tracking.start_run("mine", "train")
    old.log_table("one", table)
    there = tmp_path / "a copy"
    shutil.copytree(here, there)
    use(monkeypatch, there / "mlflow.db")
    assert "copied or moved" in capsys.readouterr().err
    tracking.start_run("mine", "train").log_table("two", table)
    tracking.start_run("other", "train").log_table("three", table)
    assert not {f.name for f in here.rglob("*.parquet")} - {"one.parquet"}
    assert {f.name for f in there.rglob("*.parquet")} == {"one.parquet", "two.parquet", "three.parquet"}
    tracking.run._met.clear()  # a process of its own, as a copy's is
    shutil.rmtree(here)
    assert tracking.artifact(old.run_id, "train/one.parquet").is_relative_to(there)
    pd.testing.assert_frame_equal(tracking.load_table(old.run_id, "train/one"), table)


@pytest.mark.parametrize("name", ["50% off", "100%41", "why?", "a#b", "\u00fcmlaut \u4e2d", "q'uote"])
def test_a_folder_of_any_name_keeps_its_store_and_artifacts_inside(name, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    client = use(monkeypatch, Path(shutil.move(copy, folder / "mlflow.db")))
    run = tracking.start_run("mine", "train")
    run.log_json("plan", {"a": 1})
    assert tracking.load_json(run.run_id, "train/plan") == {"a": 1}
    assert client.get_run(run.run_id).info.status == "RUNNING"
    assert {f.name for f in folder.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "mlartifacts"}
    assert {f.name for f in tmp_path.iterdir()} <= {name, "home"}
    assert len(list(folder.rglob("plan.json"))) == 1


def test_a_place_where_no_store_can_be_made_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match=r"cannot be used \(.*Make its folder writable"):
        use(monkeypatch, tmp_path / "file" / "mlflow.db")
