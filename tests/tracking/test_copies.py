"""What the kernels of a command logged to a server is read on this machine, and goes with the command."""

import shutil

import numpy as np
import pandas as pd
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from recab_helpers import tracking
from recab_helpers.errors import TrackingError
from recab_helpers.processes import temporary_place
from recab_helpers.tracking.run import info_of


@pytest.fixture
def far(store, monkeypatch):
    """A store whose artifacts count as those of a server."""
    monkeypatch.delenv(tracking.HANDED_ON, raising=False)
    for module in ("artifacts", "copies"):
        monkeypatch.setattr(f"recab_helpers.tracking.{module}.is_local_uri", lambda _: False)
    return store


def test_what_a_kernel_of_the_command_logged_is_not_fetched_and_goes_with_the_command(far):
    """A report fetched 15 files that lay on this machine a moment before, each with a listing."""
    table = pd.DataFrame({"a": [1, 2]})
    with temporary_place() as place:
        run = tracking.start_run("far", "train")
        run.log_table("one", table)
        run.log_data(two=table, three=table[:1])
        run.log_arrays("world", {"taste": np.eye(2)})
        run.log_json("plan", {"planned": 1})
        home = local_file_uri_to_path(info_of(run.run_id).artifact_uri)
        shutil.move(home, f"{home}.gone")  # what is asked of the server fails
        pd.testing.assert_frame_equal(tracking.load_table(run.run_id, "train/one"), table)
        assert len(tracking.load_tables(run.run_id, "train", "two", "three")["three"]) == 1
        assert np.array_equal(tracking.load_arrays(run.run_id, "train/world")["taste"], np.eye(2))
        assert tracking.load_json(run.run_id, "train/plan") == {"planned": 1}
        assert tracking.artifact(run.run_id, "train/one.parquet").is_relative_to(place)
        shutil.move(f"{home}.gone", home)
    assert not place.exists()
    assert len(tracking.load_table(run.run_id, "train/one")) == 2  # from the server


def test_outside_of_a_command_nothing_is_kept(far):
    run = tracking.start_run("far", "train")
    run.log_table("one", pd.DataFrame({"a": [1]}))
    shutil.rmtree(local_file_uri_to_path(info_of(run.run_id).artifact_uri))
    with pytest.raises(TrackingError, match=r"has no readable artifact train/one.parquet"):
        tracking.load_table(run.run_id, "train/one")
