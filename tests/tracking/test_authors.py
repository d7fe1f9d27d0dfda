"""Whose model it is, and which names are not ours to use."""

import pytest

from recab_helpers import tracking
from recab_helpers.errors import TrackingError
from recab_helpers.references import ModelAddress
from tests.tracking.made import NAMES, log, version


def test_the_author_of_a_model_is_the_user_of_its_run(store, fitted):
    run = log({"content": fitted["content"]})
    store.set_tag(run.run_id, "mlflow.user", "ann")
    for address in ("models:/x-content/latest", f"runs:/{run.run_id}/content"):
        assert tracking.author_of(ModelAddress.parse(address)) == "ann"
    assert tracking.author_of(version(store, "alone", 1)) == "nobody that MLflow names"


def test_a_model_that_no_run_of_this_store_logged_is_refused_where_models_come_from_the_store(store, fitted):
    run = log({"content": fitted["content"]})
    here = [ModelAddress.parse(a) for a in ("models:/x-content/1", f"runs:/{run.run_id}/content")]
    tracking.check_of_this_store(here)
    elsewhere = {version(store, "alone", 1): "alone/1", ModelAddress.parse("http://127.0.0.1:1"): "http://127.0.0.1:1"}
    store.create_registered_model("beside")
    store.create_model_version("beside", source="file:///nowhere/model", run_id=run.run_id)
    elsewhere[ModelAddress(name="beside", version="1")] = "beside/1"
    for address, said in elsewhere.items():
        with pytest.raises(
            TrackingError, match=f"{said} was logged by no run of this MLflow store.*models_from=anywhere"
        ):
            tracking.check_of_this_store([*here, address])


def test_a_registered_model_of_somebody_else_gets_no_version_of_ours(store, fitted):
    tracking.check_names_are_ours("x", NAMES)
    log(fitted)
    tracking.check_names_are_ours("x", NAMES)
    version(store, "x-hybrid", 1)
    tracking.check_names_are_ours("x", NAMES)
    with pytest.raises(TrackingError, match=r"has a model x-hybrid that recab did not register.*experiment=NAME"):
        tracking.check_names_are_ours("x", ("content", "hybrid"))
