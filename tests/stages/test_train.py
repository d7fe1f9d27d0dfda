"""What the training leaves is what the simulation reads back."""

import re

import numpy as np
import pandas as pd
import pytest

import recab_helpers
from recab_helpers import recommenders, stages, tracking
from recab_helpers.data import TrainedOn, digest_of, make_dataset, split_interactions
from recab_helpers.errors import DataError, ParameterError, TrackingError
from recab_helpers.formats import number
from recab_helpers.parameters import SimulateParams, TrainParams
from recab_helpers.paths import ROOT
from recab_helpers.references import ModelAddress


@pytest.mark.parametrize("known", [True, False], ids=["a world", "recorded data"])
def test_the_data_of_a_train_run_come_back_whole(store, world_data, known):
    dataset = world_data if known else make_dataset("r", world_data.interactions, world_data.catalog)
    train, held_out = split_interactions(dataset, split="per_user", seed=1)
    run = tracking.start_run("mine", "train")
    stages.log_data(run, dataset, train, held_out)
    back = stages.load_trained(run.run_id)
    pd.testing.assert_frame_equal(back.train, train)
    pd.testing.assert_frame_equal(back.held_out, held_out)
    pd.testing.assert_frame_equal(back.catalog, dataset.catalog)
    assert set(back.user_ids) == set(dataset.interactions["user_id"])
    if known:
        assert all(np.array_equal(v, world_data.world.arrays()[k]) for k, v in back.world.arrays().items())
    else:
        assert back.world is None


def test_every_model_has_a_run_of_its_own_and_is_found_by_its_name(store, world_data):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    models, quality, _ = recommenders.fit_all(world_data, train, held_out, TrainParams(seed=1))
    models = {name: models[name] for name in ("content", "popularity")}
    run = tracking.start_run("mine", "train")
    stages.log_data(run, world_data, train, held_out)
    addresses = stages.log_models(run, models, quality, TrainParams(experiment="mine", content_popularity=0.5))
    assert addresses == {name: ModelAddress(name=f"mine-synthetic-{name}", version="1") for name in models}
    assert {name: tracking.load_model(name, run.run_id).address for name in models} == addresses
    pd.testing.assert_frame_equal(tracking.load_table(run.run_id, "train/quality"), quality)
    children = store.search_runs(
        [store.get_run(run.run_id).info.experiment_id], f"tags.`{tracking.PARENT}` = '{run.run_id}'"
    )
    ndcg = {c.info.run_name: c.data.metrics["NDCG at 10"] for c in children}
    assert ndcg == quality.loc[list(models), "ndcg_at_10"].to_dict()
    for child in children:
        used = {t.value: d.dataset.name for d in child.inputs.dataset_inputs for t in d.tags}
        assert used == {"training": "train/train", "evaluation": "train/held_out"}


def test_a_registered_model_says_what_it_is_and_carries_its_parameters_and_its_offline_quality(store, world_data):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    params = TrainParams(experiment="mine", content_popularity=0.5)
    models, quality, _ = recommenders.fit_all(world_data, train, held_out, params)
    run = tracking.start_run("mine", "train")
    stages.log_data(run, world_data, train, held_out)
    address = stages.log_models(run, {"content": models["content"]}, quality, params)["content"]
    version = store.get_model_version(address.name, address.version)
    for card in (version.description, store.get_registered_model(address.name).description):
        assert "TF-IDF" in card
        assert f"| NDCG@10 | {number(quality.loc['content', 'ndcg_at_10'])} |" in card
        assert digest_of(world_data.catalog) in card
    [model_id] = tracking.model_ids([address])
    logged = store.get_logged_model(model_id)
    assert logged.params == {"seed": "29", "content_popularity": "0.5"}
    measured = {m.key: (m.value, m.dataset_name) for m in logged.metrics}
    assert measured["NDCG at 10"] == (quality.loc["content", "ndcg_at_10"], "train/held_out")


def test_models_of_different_data_do_not_share_a_registered_name(store, world_data):
    other = make_dataset("ml-100k", world_data.interactions, world_data.catalog)
    found = {}
    for dataset in (world_data, other):
        train, held_out = split_interactions(dataset, split="per_user", seed=1)
        run = tracking.start_run("mine", "train")
        stages.log_data(run, dataset, train, held_out)
        coded = TrainedOn(train=train, held_out=held_out, catalog=dataset.catalog).coded(train)
        fitted = {"popularity": recommenders.fit("popularity", coded, dataset.catalog, TrainParams())}
        quality = pd.DataFrame({"ndcg_at_10": [0.1]}, index=["popularity"])
        found |= stages.log_models(run, fitted, quality, TrainParams(experiment="mine"))
        assert found["popularity"] == ModelAddress(name=f"mine-{dataset.name}-popularity", version="1")


@pytest.fixture
def training(store, world_data) -> TrainedOn:
    """A complete training, as `make train` leaves it, with popularity as its model."""
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    run = tracking.start_run("recab", "train")
    stages.log_data(run, world_data, train, held_out)
    coded = TrainedOn(train=train, held_out=held_out, catalog=world_data.catalog).coded(train)
    models = {"popularity": recommenders.fit("popularity", coded, world_data.catalog, TrainParams())}
    stages.log_models(run, models, pd.DataFrame({"ndcg_at_10": [0.1]}, index=["popularity"]), TrainParams())
    run.complete()
    return recab_helpers.load_training()


def test_the_page_on_own_models_runs_and_its_model_is_a_variant(training):
    """Every block of docs/your_model.md, in turn, as a reader would type them."""
    page = (ROOT / "docs" / "your_model.md").read_text(encoding="utf-8")
    names = {"__name__": "__main__"}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    run = tracking.find_stage("train", "recab", "")
    params = SimulateParams(variants=["popularity", "models:/neighbors/1"])
    models, notes = stages.load_variants(params, training, run)
    rows, quality = stages.offline_of(models, training, run)
    assert not notes
    assert rows == ["popularity", "models:/neighbors/1"]
    assert list(quality.index) == ["models:/neighbors/1"]
    popular = tracking.load_model("popularity", run)
    assert quality["ndcg_at_10"].iloc[0] > recommenders.quality_of(popular, training)["ndcg_at_10"]
    found = recab_helpers.check_model("models:/neighbors/1")
    assert found["met_before"] == 0
    assert found["ndcg_at_10"] == quality["ndcg_at_10"].iloc[0]


class OfRows:
    """Its lists follow the row of the question, not the user."""

    def recommend(self, user_ids, k):
        items = recab_helpers.load_training().item_ids
        row = np.repeat(np.arange(len(user_ids)), k)
        position = np.tile(np.arange(k), len(user_ids))
        return pd.DataFrame(
            {
                "user_id": np.repeat(user_ids, k),
                "position": position + 1,
                "item_id": items[(row + position) % len(items)],
            }
        )


def test_a_model_whose_lists_depend_on_who_else_is_asked_is_refused(training):
    with pytest.raises(DataError, match="another list when fewer users are asked for"):
        recab_helpers.check_model(OfRows())
    with pytest.raises(ParameterError, match="is no model; give an address"):
        recab_helpers.check_model(7)


class Popular:
    """The first items of the catalog for everybody, but for one user, who is known."""

    def __init__(self, items):
        self.items = list(items)

    def recommend(self, users, k):
        item = [i for u in users for i in self.items[:: -1 if u == "u005" else 1][:k]]
        return {"user_id": np.repeat(users, k), "position": np.tile(np.arange(1, k + 1), len(users)), "item_id": item}


class AsRows(Popular):
    def recommend(self, users, k):
        return pd.DataFrame(super().recommend(users, k)).to_dict("records")


def test_a_check_asks_whom_it_is_told_to_and_says_how_many_get_what_a_stranger_gets(training):
    """A model of whole-number ids knows nobody when it is asked with text, and all its lists are a stranger's."""
    model = AsRows(training.item_ids)
    asked = training.user_ids[:: len(training.user_ids) // 100]
    assert recab_helpers.check_model(model)["as_a_stranger"] == np.mean(asked != "u005")
    assert np.isnan(recab_helpers.check_model(model, ["u005", "u004", "u005"])["as_a_stranger"])
    recab_helpers.check_model(model, [7, 8])  # ids are text
    with pytest.raises(ParameterError, match="users is empty"):
        recab_helpers.check_model(model, [])
    with pytest.raises(ParameterError, match="k is 0"):
        recab_helpers.check_model(model, k=0)
    with pytest.raises(DataError, match="Popular returned a dict, no table"):
        recab_helpers.check_model(Popular(training.item_ids))
    with pytest.raises(TrackingError, match="holds no model contend"):
        recab_helpers.check_model("contend")


def test_a_model_of_another_catalog_is_refused(training, world_data):
    coded = training.coded(training.train)
    fitted = recommenders.fit("content", coded, world_data.catalog, TrainParams())
    other = tracking.start_run("recab", "train")
    tracking.log_model(other, fitted, "other", digest_of(world_data.catalog.assign(text="other words")))
    tracking.log_model(other, fitted, "same", digest_of(world_data.catalog))
    run = tracking.find_stage("train", "recab", "")
    stages.load_variants(SimulateParams(variants=["popularity", "models:/same-content/1"]), training, run)
    with pytest.raises(DataError, match=r"models:/other-content/1.* was trained on another catalog"):
        stages.load_variants(SimulateParams(variants=["popularity", "models:/other-content/1"]), training, run)


def test_content_steps_aside_where_no_item_has_a_text_and_popularity_takes_its_place(store, world_data):
    """Only where no variants are named; who asks for content is told why it is not there."""
    dataset = make_dataset("r", world_data.interactions)
    train, held_out = split_interactions(dataset, split="per_user", seed=1)
    models, quality, aside = recommenders.fit_all(dataset, train, held_out, TrainParams(seed=1))
    assert set(aside) == {"content"}
    run = tracking.start_run("mine", "train")
    stages.log_data(run, dataset, train, held_out)
    kept = {name: models[name] for name in ("collaborative", "popularity")}
    stages.log_models(run, kept, quality, TrainParams(experiment="mine"), aside)
    trained = stages.load_trained(run.run_id)
    found, notes = stages.load_variants(SimulateParams(), trained, run.run_id)
    assert [m.address.name for m in found] == ["mine-r-popularity", "mine-r-collaborative"]
    assert "no item has a word in its text" in notes["content"]
    with pytest.raises(TrackingError, match=r"content was not fitted in run .*: no item has a word"):
        stages.load_variants(SimulateParams(variants=["content", "popularity"]), trained, run.run_id)
