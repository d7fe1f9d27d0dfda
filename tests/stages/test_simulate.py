"""What a simulated test leaves says which truth its clicks were drawn from and which versions it compared."""

import pandas as pd
import pytest

from recab_helpers import recommenders, simulation, stages, tracking
from recab_helpers.data import TrainedOn, split_interactions
from recab_helpers.parameters import SimulateParams, TrainParams
from recab_helpers.references import ModelAddress


@pytest.mark.parametrize("drawn", ["held_out", "completed"])
def test_a_variant_carries_the_truth_that_its_clicks_were_drawn_from(store, world_data, drawn):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    trained = TrainedOn(train=train, held_out=held_out, catalog=world_data.catalog)
    trainer = tracking.start_run("mine", "train")
    ids = {}
    for name in ("popularity", "content"):
        fitted = recommenders.fit(name, trained.coded(train), trained.catalog, TrainParams())
        ids[name] = tracking.log_model(trainer, fitted, "mine").model_id
    models = [tracking.load_model(f"models:/mine-{name}@candidate") for name in ("popularity", "content")]

    plan = simulation.plan_tests(trained, models, SimulateParams(truth=drawn, horizon_days=3))
    run = tracking.start_run("mine", "simulate")
    tally = simulation.Tally(plan.test)
    run.log_data("impressions", tally.watch(plan.test.impressions()))
    truth, known = simulation.true_lifts(plan), simulation.known_users(trained, plan.test)
    stages.log_test(run, plan.test, tally, known, truth, simulation.yardstick_ctrs(trained, plan))

    children = store.search_runs(
        [store.get_run(run.run_id).info.experiment_id], f"tags.`{tracking.PARENT}` = '{run.run_id}'"
    )
    metrics = {c.info.run_name: c.data.metrics for c in children}
    log = tracking.load_table(run.run_id, "simulate/impressions")
    for variant, ctr in plan.tests[drawn].true_ctr().items():
        assert metrics[variant]["true CTR"] == ctr
        assert metrics[variant]["clicks"] == log.loc[log["variant"] == variant, "clicked"].sum()
    used = {c.info.run_name: store.get_run(c.info.run_id).inputs for c in children}  # a search leaves models out
    for variant, name in {"control": "popularity", "treatment": "content"}.items():
        assert {d.dataset.name for d in used[variant].dataset_inputs} == {"simulate/impressions", "simulate/users"}
        assert [m.model_id for m in used[variant].model_inputs] == [ids[name]]
    left = tracking.load_json(run.run_id, "simulate/plan")
    assert {v: ModelAddress.parse(a) for v, a in left["models"].items()} == {
        "control": ModelAddress(name="mine-popularity", version="1"),
        "treatment": ModelAddress(name="mine-content", version="1"),
    }
    assert left["planned"] == {"control": 0.5, "treatment": 0.5}
    assert set(left["yardsticks"]) == {"random", "popularity", "oracle"}
    pd.testing.assert_frame_equal(tracking.load_table(run.run_id, "simulate/truth"), truth)
    pd.testing.assert_frame_equal(tracking.load_table(run.run_id, "simulate/users"), known, check_dtype=False)
    assert len(tracking.load_table(run.run_id, "simulate/recommendations")) == 2 * 10 * len(trained.user_ids)
    for model, (_, rows) in zip(models, log.groupby("variant", observed=True), strict=True):
        first = rows[rows["slate_id"] == rows["slate_id"].iloc[0]]
        assert first["item_id"].tolist() == model.recommend(first["user_id"].iloc[:1], 10)["item_id"].tolist()
