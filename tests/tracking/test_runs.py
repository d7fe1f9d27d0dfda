"""A stage is complete when it says so last; what it left is read back as it was written."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers import tracking
from recab_helpers.errors import TrackingError
from recab_helpers.parameters import SimulateParams


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


def test_a_child_ends_failed_when_its_block_does(store):
    run = tracking.start_run("mine", "train")
    with pytest.raises(ZeroDivisionError), run.child("content") as child:
        1 / 0  # noqa: B018
    assert store.get_run(child.run_id).info.status == "FAILED"
    assert store.get_run(child.run_id).data.tags[tracking.PARENT] == run.run_id
