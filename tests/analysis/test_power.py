"""The lift that a test of this size finds, against its normal approximation and simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR, mean_of
from recab_helpers.analysis.planning import power_of
from recab_helpers.analysis.power import POWER_COLUMNS, mde, power_by_lift, power_table, users_for_lift
from recab_helpers.references import Comparison
from tests.made import GOAL, users_like, users_of

PER_USER = replace(CLICKS_PER_USER, role="goal")


def ctr_of(table):
    [effect] = estimate_effects(users_of(table), (CTR,))
    return effect


def test_the_mde_is_the_sum_of_both_quantiles_times_the_relative_error():
    assert mde(GOAL, power=0.9) == pytest.approx((norm.isf(0.025) + norm.isf(0.1)) * 0.004 / 0.1)
    assert mde(replace(GOAL, alpha=0.01)) == pytest.approx((norm.isf(0.005) + norm.isf(0.2)) * 0.004 / 0.1)


@pytest.mark.parametrize("change", [{"control": 0.0}, {"control": -1.0}, {"se": math.nan}])
def test_without_a_control_value_or_an_error_there_is_no_mde(change):
    assert math.isnan(mde(replace(GOAL, **change)))


def test_users_for_a_lift_find_it():
    """With n (MDE / lift)^2 users the relative error shrinks until the lift is the MDE."""
    n = users_for_lift(GOAL, 0.05, power=0.7)
    larger = replace(GOAL, se=GOAL.se * math.sqrt(200 / n))
    assert mde(larger, power=0.7) == pytest.approx(0.05)
    assert users_for_lift(GOAL, -0.05) == users_for_lift(GOAL, 0.05)
    assert users_for_lift(GOAL, 0.0) == math.inf


def test_of_a_lift_without_a_difference_the_error_of_its_logarithm_tells_the_users():
    of_logarithm = replace(GOAL, se=math.nan, log_se=GOAL.se / GOAL.control)
    assert users_for_lift(of_logarithm, 0.05, power=0.7) == pytest.approx(users_for_lift(GOAL, 0.05, power=0.7))


def test_power_reaches_what_was_wanted_at_the_mde_and_alpha_at_no_lift(rng):
    effects = estimate_effects(users_of(users_like(rng, 2000)), (CTR,))
    curve = power_by_lift(effects)["power"]
    assert np.interp(mde(effects[0], power=0.7), curve.index, curve) == pytest.approx(0.7, abs=2e-3)
    assert curve.iloc[0] == pytest.approx(0.05)
    assert curve.index[-1] == pytest.approx(1.5 * mde(effects[0], power=0.9))


def test_power_is_that_of_planning_with_the_same_variance():
    curve = power_by_lift([GOAL])["power"]
    lift = curve.index[30]
    planned = power_of(GOAL.control * lift, control_variance=GOAL.se**2 * 50, n=100)
    assert curve.iloc[30] == pytest.approx(planned, abs=1e-4)


def test_treatments_and_goals_that_share_alpha_need_larger_lifts(rng):
    table = users_like(rng, 3000).assign(variant=np.resize(["control", "a", "b"], 3000))
    effects = estimate_effects(users_of(table), (CTR,))
    z = norm.isf(0.025 / 2) + norm.isf(0.2)
    assert power_table(effects)["mde"].iloc[0] == pytest.approx(z * effects[0].se / effects[0].control)
    both = estimate_effects(users_of(table), (CTR, PER_USER))
    z = norm.isf(0.025 / 4) + norm.isf(0.2)
    assert power_table(both)["mde"].iloc[0] == pytest.approx(z * effects[0].se / effects[0].control)


def test_the_curve_is_that_of_the_least_precise_comparison_of_a_goal():
    wide = replace(GOAL, comparison=Comparison("b"), se=0.01)
    secondary = replace(GOAL, metric=replace(CTR, role="secondary"), se=0.5)
    undefined = replace(GOAL, lift=math.nan, se=9.0)
    curve = power_by_lift([GOAL, wide, secondary, undefined])
    assert curve.index[-1] == power_by_lift([wide]).index[-1]
    assert power_by_lift([secondary, undefined]).empty


def test_the_mde_is_found_with_the_planned_power(rng):
    """Tests with a true lift at the MDE reject about 80% of the time."""
    reached = np.mean([mde(ctr_of(users_like(rng, 3000))) for _ in range(50)])
    found = [ctr_of(users_like(rng, 3000, lift=reached)).p_value < 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def test_the_table_holds_every_metric_that_has_a_lift(rng):
    table = users_like(rng, 400).assign(variant=np.resize(["control", "new vs old"], 400), one=1.0)
    effects = estimate_effects(users_of(table), (CTR, mean_of("one"), mean_of("sessions")))
    found = power_table(effects, power=0.9)
    assert list(found) == list(POWER_COLUMNS)
    assert found[["metric", "variant", "against", "users"]].to_numpy().tolist() == [
        ["CTR", "new vs old", "control", 400],
        ["Sessions", "new vs old", "control", 400],
    ]
    assert found["users_for_estimate"].iloc[0] == users_for_lift(effects[0], effects[0].lift, power=0.9)
    assert list(power_table([])) == list(POWER_COLUMNS)
