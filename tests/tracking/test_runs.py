"""A stage is complete when it says so last; what it left is read back as it was written."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recab_helpers import tracking
from recab_helpers.errors import TrackingError
from recab_helpers.parameters import SimulateParams
from recab_helpers.paths import ROOT


def test_only_the_newest_complete_stage_is_found(store):
    params = SimulateParams(experiment="mine")
    with pytest.raises(TrackingError, match=r"No run of experiment mine has completed simulate. Run `make simulate`"):
        tracking.find_stage("simulate", "mine")
    runs = [tracking.start_stage("simulate", params, inputs={"train_run_id": "t"}) for _ in range(3)]
    runs[0].complete()
    runs[1].complete()
    assert tracking.find_stage("simulate", "mine") == runs[1].run_id
    assert tracking.find_stage("simulate", "mine", runs[0].run_id) == runs[0].run_id
    with pytest.raises(TrackingError, match="has not completed simulate"):
        tracking.find_stage("simulate", "mine", runs[2].run_id)
    with pytest.raises(TrackingError, match="no run 'nothing'"):
        tracking.find_stage("simulate", "mine", "nothing")
    assert tracking.run_tags(runs[2].run_id)["train_run_id"] == "t"


def test_tables_arrays_and_documents_come_back_as_they_were(store):
    run = tracking.start_run("mine", "train")
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    run.log_tables(one=table, two=table[:1])
    run.log_arrays("world", {"taste": np.eye(2)})
    run.log_json("plan", {"planned": {"control": 0.5}})
    pd.testing.assert_frame_equal(tracking.load_table(run.run_id, "train/one"), table)
    assert len(tracking.load_tables(run.run_id, "train", "one", "two")["two"]) == 1
    assert np.array_equal(tracking.load_arrays(run.run_id, "train/world")["taste"], np.eye(2))
    assert tracking.load_arrays(run.run_id, "train/nothing") is None
    assert tracking.load_json(run.run_id, "train/plan") == {"planned": {"control": 0.5}}
    with pytest.raises(TrackingError, match=r"has no readable artifact train/nothing.parquet"):
        tracking.load_table(run.run_id, "train/nothing")


def test_an_undefined_metric_is_absent(store):
    run = tracking.start_run("mine", "train")
    run.log_metrics({"ndcg": 0.3, "rmse": np.nan})
    run.log_series(pd.DataFrame({"daily_ctr": [0.1, np.nan, 0.2]}))
    assert set(store.get_run(run.run_id).data.metrics) == {"ndcg", "daily_ctr"}
    assert [m.step for m in store.get_metric_history(run.run_id, "daily_ctr")] == [0, 2]


def test_a_process_asks_for_a_run_once_and_for_what_it_made_itself_not_at_all(store, monkeypatch):
    """A report asked 25 times for its runs."""
    asked, get_run = [], type(store).get_run
    monkeypatch.setattr(type(store), "get_run", lambda client, run_id: asked.append(run_id) or get_run(client, run_id))
    run = tracking.start_run("mine", "train")
    run.log_data(one=pd.DataFrame({"a": [1]}))
    with run.child("content") as child:
        child.log_json("card", {})
        child.tag(kind="x")
    assert store.get_run(child.run_id).data.tags["recab.kind"] == "x"
    asked.clear()
    run.tag(catalog="c")
    assert tracking.run_tags(run.run_id)["catalog"] == "c"
    run.tag(catalog="d")  # a stage that is not complete may change
    assert tracking.run_tags(run.run_id)["catalog"] == "d"
    run.complete()
    asked.clear()
    tracking.run._met.clear()  # another process
    assert tracking.find_stage("train", "mine", run.run_id) == run.run_id
    assert tracking.run_tags(run.run_id)["catalog"] == "d"
    assert set(tracking.datasets_of(run.run_id)) == {"train/one"}
    assert len(tracking.load_table(run.run_id, "train/one")) == 1
    assert asked == [run.run_id]
    with pytest.raises(TrackingError, match="has not completed simulate"):
        tracking.find_stage("simulate", "mine", run.run_id)
    run.tag(simulate="complete")  # by another process, in the same run
    assert tracking.find_stage("simulate", "mine", run.run_id) == run.run_id
    assert tracking.run_tags(run.run_id)["simulate"] == "complete"


def test_what_is_said_together_goes_in_one_request_or_not_at_all(store, monkeypatch):
    sent, log_batch = [], type(store).log_batch
    monkeypatch.setattr(type(store), "log_batch", lambda *of: sent.append(of) or log_batch(*of))
    run = tracking.start_run("mine", "train")
    with run.together() as held:
        held.log_metrics({"ctr": 0.1})
        held.tag(verdict="ship")
        held.name("a title", "a note")
    assert len(sent) == 1
    written = store.get_run(run.run_id)
    assert (written.info.run_name, written.data.metrics, written.data.tags["recab.verdict"]) == (
        "a title",
        {"ctr": 0.1},
        "ship",
    )
    with pytest.raises(ZeroDivisionError), run.together() as held:
        held.tag(verdict=str(1 / 0))
    assert len(sent) == 1


def test_a_child_ends_failed_when_its_block_does(store):
    run = tracking.start_run("mine", "train")
    with pytest.raises(ZeroDivisionError), run.child("content") as child:
        1 / 0  # noqa: B018
    assert store.get_run(child.run_id).info.status == "FAILED"
    assert store.get_run(child.run_id).data.tags[tracking.PARENT] == run.run_id


ODD = ["new (v2)", "a/b", "..", ".", "", " ", "50% off", "a+b", "me@home", "it's", "a & b", "#1", "a|b", "$5"]
ODD += [
    "a\u2013b",
    "a:b",
    'say "x"',
    "a\\b",
    "../up",
    "/root",
    "x" * 400,
    "tab\tnew\nline",
    "\u4e2d\u6587",
    "`rm`",
    "a=b",
]


def test_any_name_can_be_a_metric_a_parameter_and_a_tag_and_no_two_become_one(store):
    """Sixteen of 25 such names of variants failed in the last cell, after all the work."""
    run = tracking.start_run("mine", "train")
    run.log_metrics({f"{name}.ctr": float(i) for i, name in enumerate(ODD)} | dict.fromkeys(ODD, 1.0))
    run.log_params(dict.fromkeys(ODD, 1))
    run.tag(**dict.fromkeys(ODD, "x"))
    metrics = store.get_run(run.run_id).data.metrics
    assert sorted(v for k, v in metrics.items() if k.startswith(tuple(tracking.key_of(f"{n}.ctr") for n in ODD))) == [
        float(i) for i in range(len(ODD))
    ]
    assert tracking.key_of("new (v2)").startswith("new _v2_-")
    assert tracking.key_of("treatment.ctr") == "treatment.ctr"
    assert len({tracking.key_of(n) for n in [*ODD, "new [v2]", "new _v2_"]}) == len(ODD) + 2


def test_what_a_dead_process_left_is_closed_and_what_a_living_one_writes_is_not(store, capsys):
    """Every killed run once stayed RUNNING for ever."""
    writing = "from recab_helpers import tracking; run = tracking.start_run('mine', 'report')\n"
    writing += "made = run.child('content'); made.__enter__(); print(run.run_id, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", writing], cwd=ROOT, stdin=-1, stdout=-1, text=True) as other:
        run_id = other.stdout.readline().strip()
        mine = tracking.start_run("another", "plan")
        assert store.get_run(run_id).info.status == "RUNNING"
        other.kill()
        other.wait()
    tracking.start_run("another", "plan")
    runs = store.search_runs([store.get_run(run_id).info.experiment_id])
    assert [r.info.status for r in runs] == ["KILLED", "KILLED"]
    assert store.get_run(mine.run_id).info.status == "RUNNING"
    assert "recab: closed a run that an earlier process left unfinished (status KILLED)." in capsys.readouterr().err


def test_closing_a_run_closes_its_children_and_never_fails_itself(store, monkeypatch):
    run = tracking.start_run("mine", "train")
    child = store.create_run(run.experiment_id, tags={tracking.PARENT: run.run_id})
    assert not run.close("KILLED")
    assert {store.get_run(r).info.status for r in (run.run_id, child.info.run_id)} == {"KILLED"}
    monkeypatch.setattr(type(store), "set_terminated", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    assert "could not be closed ([Errno 28] disk full); the next start closes it" in run.close("FAILED")


def test_a_local_artifact_is_read_where_it_lies(store, tmp_path, monkeypatch):
    """Fifteen folders a report were left in the temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    run = tracking.start_run("mine", "train")
    run.log_table("one", pd.DataFrame({"a": [1]}))
    file = tracking.artifact(run.run_id, "train/one.parquet")
    assert file.is_relative_to(tmp_path / "mlartifacts")
    assert not list((tmp_path / "temporary").iterdir())


def test_artifacts_that_lie_on_a_server_are_fetched_each_to_its_own_place(store, monkeypatch):
    monkeypatch.setattr("recab_helpers.tracking.artifacts.is_local_uri", lambda _: False)
    run = tracking.start_run("far", "train")
    for i, name in enumerate(("train/same", "simulate/same")):
        with tempfile.TemporaryDirectory() as folder:
            pd.DataFrame({"a": [i]}).to_parquet(Path(folder, "same.parquet"))
            store.log_artifact(run.run_id, str(Path(folder, "same.parquet")), name.partition("/")[0])
    for _ in range(2):  # the second time from the copy
        assert tracking.load_table(run.run_id, "train/same")["a"].tolist() == [0]
        assert tracking.load_table(run.run_id, "simulate/same")["a"].tolist() == [1]
