"""The champion moves wholly or not at all."""

import mlflow
import pytest

from recab_helpers import tracking
from recab_helpers.errors import TrackingError
from recab_helpers.references import ModelAddress
from tests.tracking.made import log, version


def champions(store, *names: str) -> dict[str, str]:
    found = {n: store.get_registered_model(n).aliases.get("champion") for n in names}
    return {n: str(v) for n, v in found.items() if v is not None}


def test_a_run_whose_model_was_never_registered_serves_but_cannot_become_champion(store, fitted):
    run = log({"content": fitted["content"]})
    store.delete_registered_model("x-content")
    address = ModelAddress(name="content", run_id=run.run_id)
    assert tracking.load_model(str(address)).address == address
    with pytest.raises(TrackingError, match=r"runs:/.*/content is no version in the MLflow registry.*promote=false"):
        tracking.check_promotable([address])


def test_the_champion_moves_to_the_winner_and_from_the_other_models_of_the_test(store):
    old, new, other = version(store, "a", 1), version(store, "b", 1), version(store, "c", 1)
    tracking.set_champion(old, [old])
    tracking.set_champion(other, [other])
    tracking.set_champion(new, [old, new])
    assert champions(store, "a", "b", "c") == {"b": "1", "c": "1"}  # c was not in the test


def test_two_versions_of_one_model_hand_the_champion_over(store):
    one, two = version(store, "a", 1), version(store, "a", 2)
    tracking.set_champion(one, [one, two])
    tracking.set_champion(two, [one, two])
    assert champions(store, "a") == {"a": "2"}


@pytest.mark.parametrize("winner", [ModelAddress(name="content", run_id="abc"), ModelAddress(name="b", version="7")])
def test_a_winner_that_is_no_registered_version_leaves_every_champion(store, winner):
    """Before, the other models had lost the alias by the time the winner's was refused."""
    old = version(store, "a", 1)
    version(store, "b", 1)
    tracking.set_champion(old, [old])
    with pytest.raises(TrackingError):
        tracking.set_champion(winner, [old, winner])
    assert champions(store, "a", "b") == {"a": "1"}


@pytest.mark.parametrize("broken", ["set_registered_model_alias", "delete_registered_model_alias"])
def test_a_store_that_fails_half_way_leaves_every_champion(store, monkeypatch, broken):
    old, new = version(store, "a", 1), version(store, "b", 1)
    version(store, "b", 2)
    tracking.set_champion(old, [old])
    store.set_registered_model_alias("b", "champion", "2")
    works = getattr(mlflow.MlflowClient, broken)
    calls = []

    def fails_once(*given):
        calls.append(given)
        if len(calls) == 1:
            raise mlflow.MlflowException("the disk is full")
        return works(*given)

    monkeypatch.setattr(mlflow.MlflowClient, broken, fails_once)
    with pytest.raises(TrackingError, match=r"not moved to models:/b/1 \(the disk is full\). Every alias is as it was"):
        tracking.set_champion(new, [old, new])
    assert champions(store, "a", "b") == {"a": "1", "b": "2"}


def test_a_store_that_stays_broken_says_where_the_champion_was(store, monkeypatch):
    old, new = version(store, "a", 1), version(store, "b", 1)
    tracking.set_champion(old, [old])

    def fails(*_):
        raise mlflow.MlflowException("the disk is full")

    monkeypatch.setattr(mlflow.MlflowClient, "delete_registered_model_alias", fails)
    with pytest.raises(TrackingError, match=r"could not be put back either; it pointed to a at 1. Set it by hand"):
        tracking.set_champion(new, [old, new])


def test_only_versions_that_are_there_are_promotable(store):
    there = version(store, "a", 1)
    tracking.check_promotable([there, ModelAddress(name="a", version="latest")])
    with pytest.raises(TrackingError, match="MLflow has no model models:/a/2"):
        tracking.check_promotable([there, ModelAddress(name="a", version="2")])
