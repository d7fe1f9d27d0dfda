"""Other ways to the same question, from a histogram or from strata: each equals a direct computation on users."""

import importlib
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.estimating import estimate
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR, mean_of, ratio_of
from recab_helpers.analysis.sensitivity import MIN_STRATUM, bootstrap, mann_whitney, post_stratified, sensitivity
from recab_helpers.impressions.aggregates import Users
from recab_helpers.references import Comparison
from tests.made import log_like, reduced, users_like, users_of

module = importlib.import_module("recab_helpers.analysis.sensitivity")
BOTH = ("clicks", "impressions")
TREATMENT = Comparison("treatment")
PER_USER = replace(CLICKS_PER_USER, role="goal")


def with_strata(table: pd.DataFrame) -> Users:
    activity = np.where(table["sessions"] > 5, "often", "seldom")
    return users_of(table.assign(activity=activity), ["activity"], [BOTH, ("clicks",)])


def plain_of(users: Users, goal=CTR, **how):
    return estimate(goal, users.statistics["control"], users.statistics["treatment"], cuped=False, **how)


def test_rows_agree_with_the_main_estimate_when_nothing_is_odd(rng):
    users = with_strata(users_like(rng, 4000, lift=0.3))
    [plain] = estimate_effects(users, (CTR,))
    rows = {e.method: e for e in sensitivity(users, (CTR,))}
    assert rows["bootstrap"].lift_ci == pytest.approx(plain.lift_ci, abs=0.05)
    strata = rows["post-stratified by activity"]
    assert strata.lift == pytest.approx(plain.lift, abs=0.05)
    assert strata.log_se < 1.05 * plain.log_se


# Ranks


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=60), st.lists(st.integers(0, 6), min_size=2, max_size=60))
def test_ranks_from_a_histogram_are_those_of_scipy_with_ties(control, treatment):
    table = pd.DataFrame({"variant": ["control"] * len(control) + ["treatment"] * len(treatment)})
    users = users_of(table.assign(clicks=[*control, *treatment], impressions=7), histograms=[BOTH])
    found = mann_whitney(users.histograms[BOTH], TREATMENT)
    assert (found.control, found.treatment) == (np.median(control), np.median(treatment))
    assert (found.n_control, found.n_treatment) == (len(control), len(treatment))
    if len({*control, *treatment}) == 1:
        assert math.isnan(found.p_value)
        assert found.reason == "all users have the same value"
        return
    expected = stats.mannwhitneyu(control, treatment, method="asymptotic")
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.reason == "a rank test has no lift"


def test_ranks_of_many_users_are_those_of_scipy(rng):
    table = users_like(rng, 20_000, lift=0.1)
    users = users_of(table, histograms=[BOTH])
    by = [table.loc[table["variant"] == v, "clicks"] for v in ("control", "treatment")]
    assert mann_whitney(users.histograms[BOTH], TREATMENT).p_value == pytest.approx(stats.mannwhitneyu(*by).pvalue)


def test_ranks_compare_two_variants_whatever_a_third_one_did(rng):
    table = users_like(rng, 900).assign(variant=np.resize(["control", "treatment", "b"], 900))
    three, two = (
        mann_whitney(users_of(t, histograms=[BOTH]).histograms[BOTH], TREATMENT).p_value
        for t in (table, table[table["variant"] != "b"])
    )
    assert three == pytest.approx(two)


def test_a_constant_column_leaves_the_rank_test_undefined(rng):
    users = users_of(users_like(rng, 100).assign(clicks=3), histograms=[BOTH])
    effect = mann_whitney(users.histograms[BOTH], TREATMENT)
    assert math.isnan(effect.p_value)
    assert effect.reason


# Bootstrap


def direct_bootstrap(table: pd.DataFrame, columns: tuple[str, ...], rng: np.random.Generator, n: int) -> np.ndarray:
    """Lifts of `n` resamples of the users, drawn one by one."""
    values = []
    for variant in ("control", "treatment"):
        rows = table.loc[table["variant"] == variant, list(columns)].to_numpy(dtype=float)
        drawn = rows[rng.integers(0, len(rows), (n, len(rows)))].sum(axis=1)
        values.append(drawn[:, 0] / (drawn[:, 1] if len(columns) == 2 else len(rows)))
    return values[1] / values[0] - 1


@pytest.mark.parametrize("each", [0, 10**6], ids=["how many of each", "one by one"])
@pytest.mark.parametrize("goal", [CTR, PER_USER], ids=lambda m: m.name)
def test_the_bootstrap_of_a_histogram_is_that_of_its_users(rng, goal, each, monkeypatch):
    """Both ends of the interval, within four Monte Carlo errors."""
    n = 20_000
    monkeypatch.setattr(module, "EACH", each)
    monkeypatch.setattr(module, "REPLICATES", n)
    table = users_like(rng, 400, lift=0.2)
    users = users_of(table, histograms=[BOTH])
    found = bootstrap(users.histograms[BOTH], plain_of(users, goal, alpha=0.1))
    lifts = direct_bootstrap(table, goal.columns, rng, n)
    error = math.sqrt(2 * 0.05 * 0.95 / n) / stats.norm.pdf(stats.norm.isf(0.05)) * lifts.std()
    assert found.lift_ci == pytest.approx(tuple(np.quantile(lifts, [0.05, 0.95])), abs=4 * error)
    below = np.mean(lifts <= 0)
    assert found.p_value == pytest.approx(2 * below, abs=8 * math.sqrt(2 * below * (1 - below) / n))


def test_the_bootstrap_counts_both_tails_and_tells_no_p_below_its_replicates(rng):
    users = with_strata(users_like(rng, 3000, lift=0.8))
    found = bootstrap(users.histograms[BOTH], plain_of(users))
    assert found.p_value == 2 / module.REPLICATES
    assert found.lift == plain_of(users).lift
    same = with_strata(users_like(rng, 3000).assign(clicks=2, impressions=9))
    assert bootstrap(same.histograms[BOTH], replace(plain_of(same), lift=0.0)).p_value == 1


def test_the_bootstrap_repeats_itself(rng):
    users = with_strata(users_like(rng, 500))
    one, two = (bootstrap(users.histograms[BOTH], plain_of(users)).lift_ci for _ in range(2))
    assert one == two


def test_resamples_in_pieces_are_those_in_one(rng, monkeypatch):
    monkeypatch.setattr(module, "EACH", 0)
    users = with_strata(users_like(rng, 300))
    whole = bootstrap(users.histograms[BOTH], plain_of(users)).lift_ci
    monkeypatch.setattr(module, "CELLS", 10_000)
    assert bootstrap(users.histograms[BOTH], plain_of(users)).lift_ci == whole


def test_too_many_distinct_values_leave_the_bootstrap_out(rng, monkeypatch):
    users = with_strata(users_like(rng, 300))
    monkeypatch.setattr(module, "MOST_DISTINCT", 10)
    effect = bootstrap(users.histograms[BOTH], plain_of(users))
    assert "distinct values; too many" in effect.reason
    assert math.isnan(effect.p_value)


def test_a_bootstrap_without_clicks_is_undefined(rng):
    for clicks in (0, np.arange(300) == 7):
        users = with_strata(users_like(rng, 300).assign(clicks=clicks))
        effect = bootstrap(users.histograms[BOTH], plain_of(users))
        assert effect.reason
        assert all(math.isnan(v) for v in (effect.lift, *effect.lift_ci, effect.p_value))


def test_the_bootstrap_has_no_lift_where_the_plain_estimate_has_none(rng):
    table = users_like(rng, 300).assign(profit=rng.normal(-5, 1, 300).round(1))
    users = users_of(table, histograms=[("profit",)])
    effect = bootstrap(users.histograms["profit",], plain_of(users, mean_of("profit", role="goal")))
    assert "a lift needs both above 0" in effect.reason
    assert all(math.isnan(v) for v in (effect.lift, *effect.lift_ci, effect.p_value))


# Strata


@pytest.mark.parametrize("goal", [CTR, PER_USER], ids=lambda m: m.name)
def test_post_stratification_is_a_direct_computation(rng, goal):
    table = users_like(rng, 800, lift=0.3).assign(activity=rng.choice(list("abc"), 800, p=[0.2, 0.3, 0.5]))
    users = users_of(table, ["activity"])
    found = post_stratified(users, plain_of(users, goal))
    share = table["activity"].value_counts(normalize=True)
    values, variances = [], []
    for _, of in table.groupby("variant"):
        by = of.groupby("activity")
        means = by[list(goal.columns)].mean().mul(share, axis=0).sum()
        value = means.iloc[0] / (means.iloc[1] if goal.kind == "ratio" else 1)
        linear = of["clicks"] - (value * of["impressions"] if goal.kind == "ratio" else 0)
        linear = linear / (means.iloc[1] if goal.kind == "ratio" else 1)
        variances.append((share**2 * linear.groupby(of["activity"]).var() / by.size()).sum())
        values.append(value)
    assert (found.control, found.treatment) == pytest.approx(tuple(values))
    assert found.difference == pytest.approx(values[1] - values[0])
    assert found.se == pytest.approx(math.sqrt(sum(variances)))
    assert found.log_se == pytest.approx(math.sqrt(variances[0] / values[0] ** 2 + variances[1] / values[1] ** 2))


def test_post_stratification_by_one_stratum_is_the_plain_estimate(rng):
    users = users_of(users_like(rng, 600).assign(one="all"), ["one"])
    plain = plain_of(users)
    found = post_stratified(users, plain, strata="one")
    assert found.lift == pytest.approx(plain.lift)
    assert found.log_se == pytest.approx(plain.log_se)
    assert found.p_value == pytest.approx(plain.p_value)


@pytest.mark.parametrize("few", [0, MIN_STRATUM - 1])
def test_a_small_stratum_leaves_post_stratification_out(rng, few):
    table = users_like(rng, 600)
    rare = (table["variant"] == "treatment") & (table.groupby("variant").cumcount() < few)
    rare |= (table["variant"] == "control") & (table.index < 300)
    users = users_of(table.assign(activity=np.where(rare, "rare", "usual")), ["activity"])
    effect = post_stratified(users, plain_of(users))
    assert effect.reason == f"a stratum of activity has {few} users in treatment; {MIN_STRATUM} are needed"
    assert effect.method == "post-stratified by activity"
    assert all(math.isnan(v) for v in (effect.lift, *effect.lift_ci, effect.p_value, effect.se))


# The rows


def test_every_goal_is_read_every_way_against_every_treatment(rng):
    table = users_like(rng, 1500).assign(variant=np.resize(["control", "b", "new vs old"], 1500))
    table["activity"] = rng.choice(["often", "seldom"], 1500)
    goals = (CTR, ratio_of("clicks", "sessions", role="goal"))
    users = users_of(table, ["activity"], [goal.columns for goal in goals])
    rows = sensitivity(users, goals, alpha=0.1)
    ways = ["delta method", "post-stratified by activity", "bootstrap"]
    for i, goal in enumerate(goals):
        of = rows[8 * i : 8 * i + 8]
        assert [e.method for e in of] == [*ways, *ways, "Mann-Whitney", "Mann-Whitney"]
        assert [e.comparison.variant for e in of] == ["b"] * 3 + ["new vs old"] * 3 + ["b", "new vs old"]
        assert {e.metric.name for e in of[:6]} == {goal.name}
        assert {e.metric.label for e in of[6:]} == {"Clicks per user (medians)"}
    assert {e.alpha for e in rows} == {0.025}  # two goals and two treatments share it


def test_ways_that_the_aggregates_cannot_take_are_left_out(rng):
    table = users_like(rng, 500)
    assert [e.method for e in sensitivity(users_of(table), (CTR,))] == ["delta method"]
    without_boot = sensitivity(users_of(table, histograms=[BOTH]), (CTR,), boot=False)
    assert [e.method for e in without_boot] == ["delta method", "Mann-Whitney"]


def test_a_log_without_clicks_says_why_in_every_row(rng):
    users = reduced(log_like(rng).assign(clicked=0)).users
    assert all(math.isnan(e.p_value) and e.reason for e in sensitivity(users, (CTR,)))
