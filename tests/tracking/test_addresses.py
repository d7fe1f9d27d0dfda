"""Every address of a model means one version before a test; what is not there is named with the way out."""

import pandas as pd
import pytest

from recab_helpers import tracking
from recab_helpers.errors import ParameterError, TrackingError
from recab_helpers.references import ModelAddress
from tests.tracking.made import log


def test_every_way_to_name_a_model_finds_its_version_and_the_same_lists(store, fitted, world_data):
    first, second = log(fitted), log(fitted)
    store.set_registered_model_alias("x-content", "best", "1")
    newest = ModelAddress(name="x-content", version="2")
    users = [*fitted["content"].user_ids[:3], "a stranger"]
    expected = fitted["content"].recommend(users, 4)
    means = {
        "content": newest,
        newest: newest,
        "models:/x-content/2": newest,
        "models:/x-content/latest": newest,
        "models:/x-content@candidate": newest,
        "models:/x-content@best": ModelAddress(name="x-content", version="1"),
        f"runs:/{first.run_id}/content": ModelAddress(name="x-content", version="1"),
        f"runs:/{second.run_id}/popularity": ModelAddress(name="x-popularity", version="2"),
    }
    for reference, address in means.items():
        model = tracking.load_model(reference, second.run_id)
        assert model.address == address, reference
        if address.name == "x-content":
            pd.testing.assert_frame_equal(model.recommend(users, 4), expected, check_dtype=False)


def test_what_is_not_there_is_named_with_the_way_out(store, fitted):
    run = log({"content": fitted["content"]})
    for reference, words in {
        "contend": r"holds no model contend. Did you mean content\?",
        "models:/x-content/99": "MLflow has no model models:/x-content/99 in .*: .*Run `make train`",
        "models:/x-content@nobody": "MLflow has no model models:/x-content@nobody",
        "models:/nothing/latest": "models:/nothing/latest in .*: no version of it is registered",
        "models:/x-content/Production": "MLflow has no model models:/x-content/Production",
        "runs:/nothing/content": "MLflow has no model runs:/nothing/content",
        f"runs:/{run.run_id}/other": "MLflow has no model runs:/.*/other",
    }.items():
        with pytest.raises(TrackingError, match=words):
            tracking.load_model(reference, run.run_id)
    with pytest.raises(ParameterError, match="is no address of a model"):
        tracking.load_model("models:/x-content", run.run_id)


def test_the_store_and_the_nearest_name_or_alias_are_said(store, fitted):
    log({"content": fitted["content"]})
    store.set_registered_model_alias("x-content", "Best", "1")
    for reference, words in {
        "models:/x-contend/1": r"x-contend/1 in sqlite:.*mlflow\.db: .*Did you mean x-content\?",
        "models:/x-content@best": r"x-content@best in sqlite:.*: .*Did you mean Best\?",
        "models:/x-content@NONE": r"Choose from Best, candidate\.",
        "some/folder": r"some/folder' is no address of a model; .*A folder has none: mlflow\.register_model",
    }.items():
        with pytest.raises((TrackingError, ParameterError), match=words):
            tracking.load_model(reference)


def test_a_model_as_mlflow_3_logs_it_has_an_address_before_and_after_it_is_registered(store, fitted):
    """`log_model` returns models:/m-<id>, and needs no run."""
    run = log({"content": fitted["content"]})
    (logged,) = store.search_logged_models([run.experiment_id])
    text = f"models:/{logged.model_id}"
    assert str(ModelAddress.parse(text)) == text
    assert tracking.load_model(text).address == ModelAddress(name="x-content", version="1")
    store.delete_model_version("x-content", "1")  # and its tag stays
    address = ModelAddress.parse(text)
    assert tracking.load_model(text).address == address
    assert tracking.author_of(address) == tracking.this_user()
    tracking.check_of_this_store([address])
    assert tracking.model_ids([address]) == [logged.model_id]
    with pytest.raises(TrackingError, match="is no version in the MLflow registry"):
        tracking.check_promotable([address])
    with pytest.raises(TrackingError, match=f"MLflow has no model models:/m-{'0' * 32}"):
        tracking.load_model(f"models:/m-{'0' * 32}")
