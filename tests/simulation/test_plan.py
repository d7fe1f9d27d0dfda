"""One test under each definition of truth, one of which is named as that of the clicks; and what is exact of it."""

import pytest

from recab_helpers import simulation
from recab_helpers.parameters import SimulateParams


def test_a_world_is_its_own_truth(trained, models):
    plan = simulation.plan_tests(trained, models, SimulateParams(truth="completed"))
    assert list(plan.tests) == ["synthetic world"]
    assert plan.test is plan.tests["synthetic world"]
    assert simulation.true_lifts(plan)["drawn"].all()


@pytest.mark.parametrize("name", ["held_out", "completed"])
def test_recorded_data_offer_both_definitions_and_the_named_one_is_drawn_from(recorded, models, name):
    plan = simulation.plan_tests(recorded, models, SimulateParams(truth=name))
    assert set(plan.tests) == {"held_out", "completed"}
    assert plan.test is plan.tests[name]
    assert all(0 < ctr < 1 for t in plan.tests.values() for ctr in t.true_ctr().values())
    truth = simulation.true_lifts(plan)
    assert truth["drawn"].dtype == bool
    assert set(truth.loc[truth["drawn"], "truth"]) == {name}
    drawn = truth[truth["drawn"]].set_index("variant")
    assert drawn["true_ctr"].to_dict() == plan.test.true_ctr()
    assert drawn["true_lift"]["treatment"] == drawn["true_ctr"]["treatment"] / drawn["true_ctr"]["control"] - 1
    assert drawn["model"].tolist() == ["models:/x-popularity/1", "models:/x-content/1"]


def test_yardsticks_are_ordered_and_no_model_beats_the_oracle(trained, models):
    plan = simulation.plan_tests(trained, models, SimulateParams())
    yardsticks = simulation.yardstick_ctrs(trained, plan)
    assert yardsticks["random"] < yardsticks["popularity"] < yardsticks["oracle"]
    assert yardsticks["popularity"] == pytest.approx(plan.test.true_ctr()["control"])  # control serves popularity
    assert plan.test.true_ctr()["treatment"] < yardsticks["oracle"]


def test_yardsticks_are_of_the_truth_that_is_drawn_from(recorded, models):
    for name in ("held_out", "completed"):
        plan = simulation.plan_tests(recorded, models, SimulateParams(truth=name))
        yardsticks = simulation.yardstick_ctrs(recorded, plan)
        assert yardsticks["popularity"] == pytest.approx(plan.test.true_ctr()["control"])


def test_a_slate_larger_than_the_catalog_is_refused(plan):
    with pytest.raises(ValueError, match="slate_size is 999, but the catalog has 200 items"):
        plan(slate_size=999)
