"""What a simulated test leaves says which truth its clicks were drawn from and which versions it compared."""

import math

import pandas as pd
import pytest

from recab_helpers import recommenders, simulation, stages, tracking
from recab_helpers.data import TrainedOn, split_interactions
from recab_helpers.errors import NoAnswerError
from recab_helpers.parameters import SimulateParams, TrainParams
from recab_helpers.references import ModelAddress
from recab_helpers.report import Served
from tests.served import lists, served


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
    run.log_data(impressions=tally.watch(plan.test.impressions()))
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


def test_a_served_model_is_graded_timed_and_kept_in_the_plan_and_one_that_fails_has_no_quality(store, world_data):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    trained = TrainedOn(train=train, held_out=held_out, catalog=world_data.catalog, world=world_data.world)
    trainer = tracking.start_run("mine", "train")

    def right(users, k):
        return 200, {"predictions": lists(users, k, trained.item_ids.tolist())}

    with served(right) as good, served(lambda users, k: (500, {})) as bad:
        params = SimulateParams(variants=[good, bad], horizon_days=2, time_limit_s=3)
        models, _ = stages.load_variants(params, trained, trainer.run_id)
        assert [(str(m.address), m.time_limit_s) for m in models] == [(good, 3), (bad, 3)]
        rows, quality = stages.offline_of(models, trained, trainer.run_id)
        test = simulation.plan_tests(trained, models, params).test
        known = simulation.with_latency(simulation.known_users(trained, test), test, models)
    assert rows == [good, bad]
    assert quality.loc[good, "ndcg_at_10"] == recommenders.quality_of(_First(trained), trained)["ndcg_at_10"] > 0
    assert math.isnan(quality.loc[bad, "ndcg_at_10"])
    with pytest.raises(NoAnswerError, match="could not be reached"):
        stages.load_variants(params, trained, trainer.run_id)

    run = tracking.start_run("mine", "simulate")
    tally = simulation.Tally(test)
    run.log_table("impressions", tally.watch(test.impressions()))
    truth = simulation.true_lifts(simulation.Plan(truths={}, tests={"w": test}, drawn="w"))
    stages.log_test(run, test, tally, known, truth, {}, rows, quality)
    left = tracking.load_json(run.run_id, "simulate/plan")["served"]
    assert Served(**left["control"]).without() == ""
    assert left["control"]["timed_requests"] == (known["timed_requests"] > 0).sum() > 50
    assert left["control"]["p95_ms"] >= left["control"]["median_ms"] > 0
    assert left["treatment"] == {
        "users": len(trained.user_ids),
        "popular_instead": dict(test.variants[1].popular_instead),
        "timed_requests": 0,
        "median_ms": None,
        "p95_ms": None,
    }
    assert sum(left["treatment"]["popular_instead"].values()) == len(trained.user_ids)
    assert tally.summary()["popular_instead"].tolist() == [0, len(trained.user_ids)]


class _First:
    """The first items for everyone, in this process."""

    address = ModelAddress(name="first", run_id="memory")

    def __init__(self, trained):
        self.items = trained.item_ids.tolist()

    def recommend(self, user_ids, k):
        return pd.DataFrame(lists(list(user_ids), k, self.items))
