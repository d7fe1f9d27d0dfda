"""The verdict follows its written rule, and says the facts behind it."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis.checks import run_checks
from recab_helpers.analysis.decision import decide
from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.estimating import estimate
from recab_helpers.analysis.metrics import CLICKS_PER_USER, METRICS, mean_of, metrics_from, ratio_of
from recab_helpers.analysis.power import mde, users_for_lift
from recab_helpers.impressions.aggregates import Users
from recab_helpers.references import Comparison
from tests.made import GOAL, HALVES, PASSED, log_like, reduced, users_of

LOST = replace(GOAL, lift=-0.1, lift_ci=(-0.18, -0.02))
UNCLEAR = replace(GOAL, lift_ci=(-0.02, 0.2))
UNDEFINED = replace(GOAL, lift=math.nan, lift_ci=(math.nan, math.nan), reason="no clicks")
FAILED = replace(PASSED, state="failed", detail="1 to 9")
GUARD = replace(GOAL, metric=replace(GOAL.metric, name="guard", label="Guard", role="guardrail", margin=0.05))
SECOND = replace(GOAL, metric=replace(CLICKS_PER_USER, role="goal"))


def of(effect, variant):
    """The effect, of another treatment."""
    return replace(effect, comparison=Comparison(variant))


@pytest.mark.parametrize(
    ("effect", "checks", "call", "winner"),
    [
        (GOAL, [PASSED], "ship", "treatment"),
        (LOST, [PASSED], "keep control", "control"),
        (UNCLEAR, [PASSED], "inconclusive", ""),
        (GOAL, [FAILED], "invalid", ""),
        (UNDEFINED, [PASSED], "inconclusive", ""),
        (UNDEFINED, [FAILED], "invalid", ""),
    ],
)
def test_the_verdict_follows_its_rule(effect, checks, call, winner):
    verdict = decide([effect], checks)
    assert (verdict.call, verdict.winner) == (call, winner)
    assert verdict.valid == (call != "invalid")


def test_only_a_failed_gate_voids_a_test():
    warning, untested = replace(FAILED, gate=False), replace(PASSED, state="not tested")
    assert decide([GOAL], [PASSED, warning, untested]).call == "ship"
    assert decide([GOAL], [PASSED, warning, FAILED]).failed == (FAILED,)


def test_an_invalid_test_names_no_winner():
    verdict = decide([GOAL, GUARD], [FAILED])
    assert verdict.failed == (FAILED,)
    assert (verdict.winner, verdict.effect) == ("", None)
    assert verdict.held == verdict.doubtful == verdict.broken == verdict.undefined == ()
    assert math.isnan(verdict.mde)
    assert math.isnan(verdict.users_for_estimate)


def test_an_undefined_goal_is_told_and_nothing_of_it_is_computed():
    verdict = decide([UNDEFINED, GUARD], [PASSED])
    assert verdict.undefined == (UNDEFINED,)
    assert verdict.effect.reason == "no clicks"
    assert math.isnan(verdict.mde)


def test_the_facts_say_what_this_size_finds():
    verdict = decide([UNCLEAR], [PASSED], power=0.9)
    assert verdict.effect == UNCLEAR
    assert verdict.mde == mde(UNCLEAR, power=0.9)
    assert verdict.users_for_estimate == users_for_lift(UNCLEAR, UNCLEAR.lift, power=0.9)


# Heavy users


@pytest.mark.parametrize(
    ("effect", "whole", "call", "torn"),
    [
        (GOAL, (0.01, 0.3), "ship", False),
        (GOAL, (-0.3, 0.4), "ship", True),  # bots are noise: the capped reading carries the call
        (GOAL, (-0.4, -0.1), "inconclusive", True),  # keen users are lost: neither is believed
        (LOST, (0.1, 0.2), "inconclusive", True),
        (UNCLEAR, (0.01, 0.3), "inconclusive", True),  # nothing ships on a few users alone
        (UNCLEAR, (-0.3, 0.4), "inconclusive", False),
    ],
)
def test_nothing_ships_on_heavy_users_alone_nor_against_them(effect, whole, call, torn):
    verdict = decide([replace(effect, uncapped_lift=sum(whole) / 2, uncapped_ci=whole)], [PASSED])
    assert verdict.call == call
    assert bool(verdict.torn) == torn


def test_a_test_with_bots_has_both_readings_of_its_goal(rng):
    n = 2000
    shown = 10 * (1 + rng.poisson(rng.gamma(0.7, 8, n)))
    clicks = rng.binomial(shown, 0.1)
    shown[:6], clicks[:6] = 10_000, 3000
    variant = np.where(rng.random(n) < 0.5, "treatment", "control")
    columns = {"clicks": clicks, "impressions": shown}
    users = Users.of(variant, columns, histograms=[("clicks", "impressions")])
    (goal,) = estimate_effects(users, (METRICS[0],))
    plain = Users.of(variant, columns)
    (whole,) = estimate_effects(plain, (METRICS[0],))
    assert users.caps
    assert (goal.uncapped_lift, *goal.uncapped_ci) == (whole.lift, *whole.lift_ci)
    assert goal.lift_ci != goal.uncapped_ci
    assert math.isnan(whole.uncapped_lift)
    assert not whole.hangs_on_heavy


# Several treatments


def test_of_several_treatments_the_best_one_that_is_clear_is_shipped():
    weak = replace(of(GOAL, "treatment_1"), lift=0.12, lift_ci=(-0.01, 0.26))
    verdict = decide([weak, of(GOAL, "treatment_2")], [PASSED])
    assert verdict.call == "ship"
    assert verdict.winner == verdict.effect.comparison.variant == "treatment_2"


def test_of_several_clear_treatments_the_one_with_the_largest_lift_is_shipped():
    better = replace(of(GOAL, "new vs old"), lift=0.11, lift_ci=(0.01, 0.2))
    assert decide([of(GOAL, "a"), better], [PASSED]).winner == "new vs old"


def test_control_is_kept_only_when_every_treatment_has_lost():
    assert decide([of(LOST, "a"), of(LOST, "b")], [PASSED]).call == "keep control"
    verdict = decide([of(LOST, "a"), of(UNCLEAR, "b")], [PASSED])
    assert verdict.call == "inconclusive"
    assert verdict.effect.comparison.variant == "b"


def test_a_guardrail_speaks_for_its_own_treatment():
    broken = replace(of(GUARD, "a"), lift=-0.1, lift_ci=(-0.2, -0.06))
    verdict = decide([of(GOAL, "a"), of(GOAL, "b"), broken, of(GUARD, "b")], [PASSED])
    assert (verdict.call, verdict.winner) == ("ship", "b")
    assert verdict.held == (of(GUARD, "b"),)
    assert verdict.doubtful == ()
    assert verdict.broken == (broken,)


# Guardrails


@pytest.mark.parametrize(
    ("goal_ci", "guard_ci", "call"),
    [
        ((0.02, 0.2), (-0.04, 0.1), "ship"),
        ((0.02, 0.2), (-0.06, 0.1), "inconclusive"),
        ((0.02, 0.2), (-0.2, -0.06), "keep control"),
        ((-0.02, 0.2), (-0.04, 0.1), "inconclusive"),
        ((-0.2, -0.02), (-0.04, 0.1), "keep control"),
        ((0.02, 0.2), (math.nan, math.nan), "inconclusive"),
    ],
)
def test_guardrails_enter_the_rule(goal_ci, guard_ci, call):
    goal = replace(GOAL, lift=np.mean(goal_ci), lift_ci=goal_ci)
    guard = replace(GUARD, lift=np.mean(guard_ci), lift_ci=guard_ci)
    verdict = decide([goal, guard], [PASSED])
    assert verdict.call == call
    inside = guard_ci[0] > -0.05
    assert verdict.held == ((guard,) if inside else ())
    assert verdict.doubtful == (() if inside else (guard,))
    assert verdict.broken == ((guard,) if guard_ci[1] < -0.05 else ())


def test_a_metric_where_less_is_better_is_read_that_way():
    less = replace(GOAL.metric, direction=-1)
    down = replace(LOST, metric=less)
    assert decide([down], [PASSED]).call == "ship"
    assert decide([replace(GOAL, metric=less)], [PASSED]).call == "keep control"
    lower = replace(of(down, "a"), lift=-0.2, lift_ci=(-0.3, -0.1))
    assert decide([of(down, "b"), lower], [PASSED]).winner == "a"


def test_a_guardrail_where_less_is_better_may_grow_up_to_its_margin():
    guard = replace(GUARD, metric=replace(GUARD.metric, direction=-1), lift=0.02, lift_ci=(-0.01, 0.04))
    assert decide([GOAL, guard], [PASSED]).call == "ship"
    assert decide([GOAL, replace(guard, lift_ci=(-0.01, 0.06))], [PASSED]).doubtful


# Several goals


@pytest.mark.parametrize(
    ("first", "second", "call"),
    [
        (GOAL, UNCLEAR, "ship"),
        (UNCLEAR, GOAL, "ship"),
        (GOAL, LOST, "inconclusive"),
        (UNCLEAR, LOST, "keep control"),
        (UNCLEAR, UNCLEAR, "inconclusive"),
        (GOAL, UNDEFINED, "inconclusive"),
    ],
)
def test_one_goal_must_win_and_none_may_lose(first, second, call):
    verdict = decide([first, replace(second, metric=SECOND.metric)], [PASSED])
    assert verdict.call == call
    if call == "ship":
        assert verdict.effect.better


# Of a log


def test_a_log_without_clicks_has_no_lift_and_says_why(rng):
    test = reduced(log_like(rng).assign(clicked=0))
    effects = estimate_effects(test.users, METRICS)
    verdict = decide(effects, run_checks(test, HALVES))
    goal = next(e for e in effects if e.metric.name == "ctr")
    assert goal.reason
    assert math.isnan(goal.p_value)
    assert math.isnan(goal.lift)
    assert verdict.call == "inconclusive"
    assert verdict.undefined == (goal,)


# What a ratio hides


def keen_users_leave(rng, n: int = 4000) -> pd.DataFrame:
    """One row per user; treatment raises everyone's CTR and drives the keen ones, who click more often, away."""
    treated, keen = np.arange(n) % 2 == 1, rng.random(n) < 0.3
    sessions = 1 + rng.poisson(np.where(keen, np.where(treated, 6, 14), 3))
    clicks = rng.binomial(10 * sessions, 0.1 * (1 + 0.2 * treated))
    variant = np.where(treated, "treatment", "control")
    counts = {"impressions": 10 * sessions, "clicks": clicks, "sessions": sessions, "clicked_any": clicks > 0}
    return pd.DataFrame({"variant": variant, **counts})


def test_a_ratio_that_rises_because_users_leave_does_not_ship(rng):
    users = users_of(keen_users_leave(rng))
    counted = [m for m in METRICS if m.numerator not in ("weighted_clicks", "novelty_bits")]
    effects = estimate_effects(users, tuple(counted))
    assert next(e for e in effects if e.metric.name == "ctr").better
    verdict = decide(effects, [PASSED])
    assert verdict.call == "keep control"
    assert [m.metric.name for m in verdict.moved] == ["impressions_per_user"]
    plain = [replace(e, metric=replace(e.metric, role="secondary")) if e.margin > 0 else e for e in effects]
    assert decide(plain, [PASSED]).call == "inconclusive"  # even where the caller wants no guardrails


def test_a_ratio_whose_denominator_moved_ships_where_what_it_counts_holds():
    ratio = replace(GOAL, metric=ratio_of("buys", "visits", role="goal"))
    visits = replace(GOAL, metric=mean_of("visits"), p_value=1e-9, lift=-0.05, lift_ci=(-0.07, -0.03))
    for low, call in ((-0.04, "ship"), (-0.06, "inconclusive")):
        buys = replace(GOAL, metric=mean_of("buys"), lift=0.03, lift_ci=(low, 0.1))
        verdict = decide([ratio, visits, buys], [PASSED])
        assert (verdict.call, verdict.moved) == (call, (visits,))
    assert decide([ratio, replace(visits, p_value=0.2)], [PASSED]).call == "ship"


def test_what_a_ratio_goal_divides_is_guarded_per_user():
    metrics = metrics_from([{"name": "yield", "numerator": "spend", "denominator": "orders", "role": "goal"}])
    roles = {m.name: (m.role, m.margin) for m in metrics}
    assert roles["spend_per_user"] == ("guardrail", 0.05)
    assert roles["orders_per_user"] == ("deterioration", 0.0)
    named = metrics_from([{"name": "yield", "numerator": "clicks", "denominator": "sessions", "role": "goal"}])
    assert len(named) == len(METRICS) + 1  # they are there already


# What does not vary


def two(control, treatment, **spec) -> Effect:
    """The effect on the mean of a column of these values."""
    variant = ["control"] * len(control) + ["treatment"] * len(treatment)
    users = Users.of(variant, {"x": np.array([*control, *treatment], dtype=float)})
    return estimate(mean_of("x", **spec), *users.statistics.values())


def test_a_treatment_without_any_is_worse(rng):
    clicks = rng.poisson(2.0, 200)
    effect = two(clicks, 0 * clicks, role="goal")
    low, high = effect.difference_ci
    assert effect.lift == effect.lift_ci[0] == -1
    assert effect.lift_ci[1] == pytest.approx(high / clicks.mean())
    assert low < high < 0
    assert decide([effect], [PASSED]).call == "keep control"
    assert decide([two([3, 0, 0, 0], [0] * 4, role="goal")], [PASSED]).call == "inconclusive"  # too few to tell
    guard = two(clicks, 0 * clicks, role="guardrail", margin=0.1)
    assert guard.noninferiority_p > 0.999
    assert decide([GOAL, guard], [PASSED]).call == "keep control"


@pytest.mark.parametrize("value", [0.0, 2.2, 1e9])
def test_a_guardrail_that_is_the_same_for_all_is_inside_its_margin(value):
    guard = two([value] * 300, [value] * 301, role="guardrail", margin=0.05)
    verdict = decide([GOAL, guard], [PASSED])
    assert (verdict.call, verdict.held) == ("ship", (guard,))
    other = two([value] * 300, [value + 1] * 301, role="guardrail", margin=0.05)
    assert decide([GOAL, other], [PASSED]).call == "inconclusive"


@pytest.mark.parametrize("value", [0.1, 2.2, 1e9 / 3])
def test_what_does_not_vary_is_undefined(value, rng):
    effect = two([value] * 300, [value] * 301, role="goal")
    assert effect.reason == "X does not vary between users"
    assert math.isnan(effect.p_value)
    log = log_like(rng, 200)
    known = pd.DataFrame({"user_id": log["user_id"].unique(), "price": value})
    metrics = (METRICS[0], mean_of("price"))
    (_, price) = estimate_effects(reduced(log, known, metrics=metrics).users, metrics)
    assert price.reason == "Price does not vary between users"


# What must not fall


@pytest.mark.parametrize(
    ("ci", "call"), [((-0.2, 0.05), "ship"), ((-0.2, -0.01), "inconclusive"), ((0.01, 0.2), "ship")]
)
def test_nothing_ships_that_is_shown_to_lower_what_must_not_fall(ci, call):
    visits = replace(GOAL, metric=mean_of("visits", role="deterioration"), lift=np.mean(ci), lift_ci=ci)
    verdict = decide([GOAL, visits], [PASSED])
    assert verdict.call == call
    assert verdict.fell == ((visits,) if ci[1] < 0 else ())
