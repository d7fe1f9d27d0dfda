"""What the training leaves is what the simulation reads back."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers import recommenders, stages, tracking
from recab_helpers.data import make_dataset, split_interactions
from recab_helpers.parameters import TrainParams
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
    addresses = stages.log_models(run, models, quality, "mine")
    assert addresses == {name: ModelAddress(name=f"mine-{name}", version="1") for name in models}
    assert {name: tracking.load_model(name, run.run_id).address for name in models} == addresses
    pd.testing.assert_frame_equal(tracking.load_table(run.run_id, "train/quality"), quality)
    children = store.search_runs(
        [store.get_run(run.run_id).info.experiment_id], f"tags.`{tracking.PARENT}` = '{run.run_id}'"
    )
    ndcg = {c.info.run_name: c.data.metrics["ndcg_at_10"] for c in children}
    assert ndcg == quality.loc[list(models), "ndcg_at_10"].to_dict()
