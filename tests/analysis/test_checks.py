"""Looks, segments, checks, sensitivity rows and guardrails on users whose truth is known."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers import analysis as ab
from recab_helpers.analysis.looks import _statistics_by_day, information_fraction
from recab_helpers.analysis.sensitivity import post_stratified
from recab_helpers.data import DataError
from tests.experiment.test_log_and_verdict import GOAL, LOG, PASSED


def log_like(rng, n_users=600, n_days=6, lift=0.0) -> pd.DataFrame:
    """A heavy-tailed impression log, one position a slate."""
    sessions = 1 + rng.poisson(rng.gamma(0.7, 8, n_users))
    user = np.repeat(np.arange(n_users), sessions)
    treated = np.arange(n_users) % 2 == 1
    rate = rng.beta(1, 9, n_users) * (1 + lift * treated)
    return pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "slate_id": np.arange(len(user)),
            "position": 1,
            "variant": np.where(treated[user], "treatment", "control"),
            "item_id": rng.choice(list("abcdef"), len(user)),
            "clicked": (rng.random(len(user)) < rate[user]).astype(int),
            "day": rng.integers(0, n_days, len(user)),
        }
    )


def test_every_look_equals_an_analysis_of_the_log_cut_at_that_day(rng):
    log = ab.check_impressions(log_like(rng))
    by_day = _statistics_by_day(ab.users_by_day(log))
    for day, found in enumerate(by_day):
        part = ab.users_table(ab.check_impressions(log_like(rng)[:0]) if day < 0 else log[log["day"] <= day])
        expected = ab.sufficient_statistics(part, ["clicks", "impressions"])
        for name in ("control", "treatment"):
            assert found[name].n == expected[name].n
            assert found[name].mean == pytest.approx(expected[name].mean)
            assert found[name].cov == pytest.approx(expected[name].cov)


def test_bands_are_nested_and_end_near_the_fixed_interval(rng):
    looks = ab.cumulative_effects(ab.users_by_day(ab.check_impressions(log_like(rng))))
    assert (looks["low"] <= looks["naive_low"] + 1e-9).all()
    assert (looks["anytime_high"] >= looks["high"] - 1e-9).iloc[-1]
    last = looks.iloc[-1]
    width = [math.log1p(last[b]) - math.log1p(last[a]) for a, b in (("low", "high"), ("naive_low", "naive_high"))]
    assert 1 <= width[0] / width[1] < 1.25


def test_a_large_effect_could_have_stopped_before_the_end_and_none_could_not(rng):
    stops = []
    for lift in (1.5, 0.0):
        by_day = ab.users_by_day(ab.check_impressions(log_like(rng, n_users=3000, lift=lift)))
        stops.append(ab.could_have_stopped(ab.cumulative_effects(by_day))["treatment"])
    assert stops[0] is not None
    assert stops[0] < 5
    assert stops[1] is None


def test_information_grows_to_one():
    fraction = information_fraction(np.array([5.0, 8, 8, 10]), np.array([5.0, 20, 30, 60]))
    assert np.all(np.diff(fraction) > 0)
    assert fraction[-1] == 1


def test_a_log_without_clicks_has_no_lift_and_says_why(rng):
    log = ab.check_impressions(log_like(rng).assign(clicked=0))
    users = ab.users_table(log)
    effects = ab.estimate_effects(users, ab.METRICS)
    verdict = ab.decide(effects, ab.run_checks(users, ab.ctr_by(log, "day"), {"control": 0.5, "treatment": 0.5}))
    goal = next(e for e in effects if e.metric == "ctr")
    assert goal.reason
    assert math.isnan(goal.p_value)
    assert math.isnan(goal.lift)
    assert verdict.call == "inconclusive"
    assert "not defined" in verdict.sentence
    assert ab.cumulative_effects(ab.users_by_day(log)).empty
    assert all(math.isnan(e.p_value) or e.reason for e in ab.sensitivity(users, ab.CTR))


def test_a_constant_covariate_changes_nothing(rng):
    users = ab.users_table(ab.check_impressions(log_like(rng))).assign(pre_clicks=2.0, pre_impressions=7.0)
    with_it, without = (ab.estimate_effects(users, (ab.CTR,), cuped=c)[0] for c in (True, False))
    assert with_it.lift == without.lift
    assert math.isnan(with_it.variance_reduction)


def test_cuped_keeps_the_effect_and_shrinks_its_error(rng):
    users = ab.users_table(ab.check_impressions(log_like(rng, n_users=4000)))
    noise = rng.poisson(1, len(users))
    users = users.assign(pre_clicks=users["clicks"] + noise, pre_impressions=users["impressions"] + noise)
    with_it, without = (ab.estimate_effects(users, (ab.CTR,), cuped=c)[0] for c in (True, False))
    assert with_it.variance_reduction > 0.3
    assert with_it.log_se < without.log_se
    shrink = (with_it.log_se / without.log_se) ** 2
    assert 1 - shrink == pytest.approx(with_it.variance_reduction, abs=0.03)


def test_sensitivity_rows_agree_with_the_main_estimate_when_nothing_is_odd(rng):
    users = ab.users_table(ab.check_impressions(log_like(rng, n_users=4000, lift=0.3)))
    users = users.assign(stratum=np.where(users["sessions"] > 5, "often", "seldom"))
    plain = ab.estimate_effects(users, (ab.CTR,))[0]
    rows = {e.method: e for e in ab.sensitivity(users, ab.CTR, strata="stratum")}
    boot = next(e for m, e in rows.items() if m.startswith("bootstrap"))
    assert boot.lift_ci == pytest.approx(plain.lift_ci, abs=0.05)
    strata = next(e for m, e in rows.items() if m.startswith("post"))
    assert strata.lift == pytest.approx(plain.lift, abs=0.05)
    assert strata.log_se < 1.05 * plain.log_se


def test_post_stratification_by_one_stratum_is_the_plain_estimate(rng):
    users = ab.users_table(ab.check_impressions(log_like(rng))).assign(one="all")
    plain = ab.estimate_effects(users, (ab.CTR,))[0]
    found = post_stratified(users, ab.CTR, "one", plain, alpha=0.05)
    assert found.lift == pytest.approx(plain.lift)
    assert found.log_se == pytest.approx(plain.log_se)


def test_segments_are_found_corrected_and_tested_for_being_unlike(rng):
    n = 4000
    kind = rng.choice(["old", "new"], n)
    treated = rng.random(n) < 0.5
    rate = 0.1 * (1 + np.where(kind == "new", 0.8, 0.0) * treated)
    users = pd.DataFrame(
        {
            "user_id": np.arange(n).astype(str),
            "variant": np.where(treated, "treatment", "control"),
            "kind": kind,
            "coin": rng.choice(["heads", "tails"], n),
            "impressions": 20,
            "clicks": rng.binomial(20, rate),
        }
    )
    segments = ab.segment_effects(users, ab.CTR)
    assert set(segments["segment"]) == {"kind", "coin"}
    assert (segments["adjusted_p_value"] >= segments["p_value"]).all()
    unlike = ab.heterogeneity(segments).set_index("segment")["adjusted_p_value"]
    assert unlike["kind"] < 1e-4
    assert unlike["coin"] > 1e-3


def test_small_segments_are_not_estimated(rng):
    users = ab.users_table(ab.check_impressions(log_like(rng))).assign(rare=lambda t: np.where(t.index < 20, "a", "b"))
    rows = ab.segment_effects(users, ab.CTR).query("segment == 'rare'").set_index("level")
    assert "100 are needed" in rows.loc["a", "reason"]
    assert math.isnan(rows.loc["a", "lift"])
    assert math.isfinite(rows.loc["b", "lift"])


def checks_of(log, **columns) -> dict[str, ab.Check]:
    log = ab.check_impressions(log)
    users = ab.users_table(log).assign(**columns)
    return {c.name: c for c in ab.run_checks(users, ab.ctr_by(log, "day"), {"control": 0.5, "treatment": 0.5})}


def test_a_healthy_log_passes_every_gate(rng):
    checks = checks_of(log_like(rng, n_users=2000), pre_clicks=3.0, pre_impressions=rng.poisson(20, 2000))
    assert all(c.passed for c in checks.values() if c.gate)


def test_a_loss_in_one_segment_fails_the_sample_ratio_there(rng):
    log = log_like(rng, n_users=3000)
    early = log.groupby("user_id")["day"].transform("min") <= 2
    keep = ~((log["variant"] == "treatment") & early & log["user_id"].str.endswith(("1", "3")))
    assert not checks_of(log[keep])["Sample ratio by day and segment"].passed


def test_a_difference_before_the_test_fails_its_checks(rng):
    log = ab.check_impressions(log_like(rng, n_users=2000))
    users = ab.users_table(log)
    pre = np.where(users["variant"] == "treatment", 4, 2) + rng.poisson(1, len(users))
    users = users.assign(pre_clicks=pre, pre_impressions=20.0 + rng.poisson(1, len(users)))
    checks = {c.name: c for c in ab.run_checks(users, ab.ctr_by(log, "day"), {"control": 0.5, "treatment": 0.5})}
    assert not checks["A/A before the test"].passed
    assert not checks["Balance of covariates"].passed


def test_a_fading_effect_is_a_warning_and_not_a_gate(rng):
    days = pd.MultiIndex.from_product([["control", "treatment"], range(14)], names=["variant", "day"])
    ctr = np.concatenate([np.full(14, 0.1), 0.1 * (1.5 - 0.03 * np.arange(14))])
    daily = pd.DataFrame({"impressions": 10_000, "ctr": ctr * (1 + 0.005 * rng.standard_normal(28))}, index=days)
    daily["clicks"] = daily["impressions"] * daily["ctr"]
    from recab_helpers.analysis.checks import novelty_check

    check = novelty_check(pd.DataFrame(), daily)
    assert not check.passed
    assert not check.gate
    assert ab.decide([GOAL], [PASSED, check]).call == "ship"


def test_small_tests_are_warned_of(rng):
    check = checks_of(log_like(rng, n_users=200))["Size for the method"]
    assert not check.passed
    assert not check.gate


GUARD = replace(GOAL, metric="guard", label="Guard", role="guardrail", margin=0.05)


@pytest.mark.parametrize(
    ("goal_ci", "guard_ci", "call"),
    [
        ((0.02, 0.2), (-0.04, 0.1), "ship"),
        ((0.02, 0.2), (-0.06, 0.1), "inconclusive"),
        ((0.02, 0.2), (-0.2, -0.06), "keep control"),
        ((-0.02, 0.2), (-0.04, 0.1), "inconclusive"),
        ((-0.2, -0.02), (-0.04, 0.1), "keep control"),
    ],
)
def test_guardrails_enter_the_rule(goal_ci, guard_ci, call):
    goal = replace(GOAL, lift=np.mean(goal_ci), lift_ci=goal_ci)
    assert ab.decide([goal, replace(GUARD, lift=np.mean(guard_ci), lift_ci=guard_ci)], [PASSED]).call == call


def test_a_metric_where_less_is_better_is_read_that_way():
    down = replace(GOAL, lift=-0.1, lift_ci=(-0.18, -0.02), direction=-1)
    assert ab.decide([down], [PASSED]).call == "ship"
    assert ab.decide([replace(down, lift=0.1, lift_ci=(0.02, 0.18))], [PASSED]).call == "keep control"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clicks": [3, -1, 0]}, "clicks is -1 in row 2"),
        ({"clicks": [3, math.nan, 0]}, "in row 2"),
        ({"clicks": [3, 11, 0]}, "row 2 has more clicks than impressions"),
        ({"variant": ["treatment"] * 3}, "needs control"),
        ({"pre_clicks": [1, 2, -3]}, "pre_clicks is -3 in row 3"),
    ],
)
def test_impossible_users_are_refused(change, words):
    users = pd.DataFrame(
        {"user_id": list("abc"), "variant": ["control", "treatment", "control"], "impressions": 10, "clicks": 1}
    )
    assert len(ab.check_users(users)) == 3
    with pytest.raises(DataError, match=words):
        ab.check_users(users.assign(**change))


def test_what_is_known_of_users_joins_by_id_and_misses_are_zero_counts():
    users = ab.users_table(ab.check_impressions(LOG))
    known = pd.DataFrame({"user_id": ["a", "c"], "pre_clicks": [4, 5], "country": ["x", "y"]})
    joined = ab.join_known(users, known).set_index("user_id")
    assert joined["pre_clicks"].to_dict() == {"a": 4, "b": 0, "c": 5}
    with pytest.raises(DataError, match="repeat"):
        ab.join_known(users, pd.concat([known, known]))


def test_expected_loss_on_the_log_scale_is_its_integral(rng):
    found = ab.posterior_of(replace(GOAL, lift=0.05, log_se=0.08))
    lift = np.expm1(found.mean + found.sd * rng.standard_normal(1_000_000))
    assert found.expected_loss(ship=True) == pytest.approx(np.maximum(-lift, 0).mean(), rel=0.02)
    assert found.expected_loss(ship=False) == pytest.approx(np.maximum(lift, 0).mean(), rel=0.02)
    assert found.chance_to_be_better == pytest.approx((lift > 0).mean(), abs=0.003)
    assert found.interval() == pytest.approx(np.quantile(lift, [0.025, 0.975]), abs=0.003)


def test_peeking_inflation_of_the_textbook(rng):
    """Unadjusted looks at equal information reject .142 in 5 looks (Armitage, McPherson and Rowe 1969)."""
    z = np.cumsum(rng.standard_normal((40_000, 5)), axis=1) / np.sqrt(np.arange(1, 6))
    rejected = int((np.abs(z) > stats.norm.isf(0.025)).any(axis=1).sum())
    assert rejected / 40_000 == pytest.approx(0.142, abs=0.006)
