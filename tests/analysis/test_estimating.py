"""Estimates of one effect against published examples, another library, invariances and simulated truth."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import tea_tasting as tt
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from recab_helpers.analysis.checks import srm_p_value
from recab_helpers.analysis.estimating import estimate, estimate_within
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR, mean_of, ratio_of
from recab_helpers.analysis.planning import Baseline
from recab_helpers.analysis.statistics import effective_users, variance_of
from recab_helpers.impressions.aggregates import Within
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.impressions.within import at
from recab_helpers.references import Comparison
from tests import published
from tests.made import ctr_of, effects_of, users_like

GUARD = replace(CTR, name="guard", label="Guard", role="guardrail", margin=0.05)


# Published


def the_published_users() -> tuple[SufficientStatistics, SufficientStatistics]:
    groups = (published.USERS.control, published.USERS.treatment)
    return tuple(SufficientStatistics(n=g.n, columns=published.USERS.columns, mean=g.mean, cov=g.cov) for g in groups)


def of_counts(case) -> list[SufficientStatistics]:
    """Users of a published example by their number and how many of them did something."""
    sides = []
    for n, done in (case.control.values(), case.treatment.values()):
        share = done / n
        cov = np.array([[share * (1 - share) * n / (n - 1)]])
        sides.append(SufficientStatistics(n=n, columns=("done",), mean=np.array([share]), cov=cov))
    return sides


def test_published_mean_and_ratio():
    sides, mean, ratio = the_published_users(), published.MEAN, published.RATIO
    effect = estimate(mean_of("orders", covariate=()), *sides)
    assert (effect.difference, effect.difference_ci) == (mean.difference, mean.difference_ci)
    assert (effect.p_value, effect.lift, effect.lift_ci) == (mean.p_value, mean.lift, mean.lift_ci)
    assert effect.method == "Welch"
    effect = estimate(ratio_of("orders", "sessions", covariate=()), *sides)
    assert (effect.control, effect.treatment) == (ratio.control, ratio.treatment)
    assert (effect.lift, effect.p_value) == (ratio.lift, ratio.p_value)
    assert effect.method == "delta method"


@pytest.mark.parametrize("name", published.CUPED.p_value)
def test_published_cuped(name):
    if name == "orders_per_session":
        metric = ratio_of("orders", "sessions", covariate=("orders_covariate", "sessions_covariate"))
    else:
        metric = mean_of(name, covariate=(f"{name}_covariate",))
    effect = estimate(metric, *the_published_users())
    assert effect.method.endswith("CUPED")
    assert (effect.p_value, effect.lift_ci) == (published.CUPED.p_value[name], published.CUPED.lift_ci[name])


def test_published_welch():
    case, sides = published.WELCH, []
    for n, total, squares in (case.control.values(), case.treatment.values()):
        variance = (squares - total**2 / n) / (n - 1)
        sides.append(SufficientStatistics(n=n, columns=("m",), mean=np.array([total / n]), cov=np.array([[variance]])))
    effect = estimate(mean_of("m"), *sides)
    assert (effect.difference, effect.difference_ci) == (case.difference, case.difference_ci)
    assert (effect.p_value, effect.lift) == (case.p_value, case.lift)
    assert (1 + effect.lift) * effect.log_se == case.lift_se  # delta method


def test_published_retention_of_cookie_cats():
    case, sides = published.COOKIE_CATS, of_counts(published.COOKIE_CATS)
    effect = estimate(mean_of("done"), *sides)
    assert (effect.difference, effect.difference_ci) == (case.difference, case.difference_ci)
    assert effect.p_value == case.p_value
    assert srm_p_value([effect.n_control, effect.n_treatment], [1, 1]) == case.srm_p_value


MANY = 1000  # users, of whom the heavy ones leave more than FEW_EFFECTIVE in each variant

# Another library


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.one_of(st.integers(20, 400), st.integers(1200, 1500)))
def test_mean_and_ratio_agree_with_tea_tasting(seed, n):
    users = users_like(np.random.default_rng(seed), n, lift=0.2)
    assume(users["variant"].value_counts().reindex(["control", "treatment"], fill_value=0).min() >= 5)
    users["clicks"] += 1  # a log-scale lift needs a positive mean
    users["pre_clicks"] = np.random.default_rng(seed).poisson(users["clicks"])
    users["pre_impressions"] = 10 + users["impressions"]
    oracle = tt.Experiment(
        ctr=tt.RatioOfMeans("clicks", "impressions", "pre_clicks", "pre_impressions"),
        clicks_per_user=tt.Mean("clicks", "pre_clicks"),
        plain=tt.RatioOfMeans("clicks", "impressions"),
    )
    theirs = oracle.analyze(users, control="control")
    every = [*effects_of(users), ctr_of(users, cuped=False)]
    for name, ours in zip(("ctr", "clicks_per_user", "plain"), every, strict=True):
        reference = theirs[name]
        if ours.metric.kind == "mean" or n > MANY:  # of a ratio of few users, theirs takes all users for alike
            assert ours.p_value == pytest.approx(reference.pvalue, abs=1e-6)
        assert ours.difference == pytest.approx(reference.effect_size, abs=1e-6)
        ends = (reference.rel_effect_size_ci_lower, reference.rel_effect_size_ci_upper)
        if name == "plain" and n > MANY:  # with a covariate, theirs takes the common mean of the period before as known
            assert ours.lift_ci == pytest.approx(ends, abs=1e-6)


def test_several_covariates_are_the_regression_that_a_plain_library_makes(rng):
    """Least squares of the values on all covariates, variants together; the rest is Welch's test of what is left."""
    n, names = 600, ["pre_clicks", "pre_age", "pre_score"]
    before = np.column_stack([rng.poisson(3, n), rng.normal(40, 12, n), rng.random(n)])
    clicks = rng.poisson(2 + before @ [0.5, 0.05, 3.0])
    treated = rng.random(n) < 0.4
    rows = SufficientStatistics.of(np.column_stack([clicks, before])[~treated], ["clicks", *names])
    others = SufficientStatistics.of(np.column_stack([clicks, before])[treated], ["clicks", *names])
    metric = mean_of("clicks", further=("pre_age", "pre_score"))
    ours = estimate(metric, rows, others)
    fit = sm.OLS(clicks, sm.add_constant(before)).fit()
    left = fit.resid[treated], fit.resid[~treated]
    assert ours.difference == pytest.approx(left[0].mean() - left[1].mean(), rel=1e-9)
    assert ours.p_value == pytest.approx(stats.ttest_ind(*left, equal_var=False).pvalue, rel=1e-9)
    assert ours.method == "Welch, CUPED, also by age and score"
    assert ours.variance_reduction > estimate(replace(metric, further=()), rows, others).variance_reduction + 0.1
    index = pd.DataFrame(
        {"variant": np.where(treated, "treatment", "control"), "clicks": clicks, "index": fit.fittedvalues}
    )
    theirs = tt.Experiment(m=tt.Mean("clicks", "index")).analyze(index, control="control")["m"]
    assert (ours.difference, ours.p_value) == pytest.approx((theirs.effect_size, theirs.pvalue), rel=1e-6)


def test_further_covariates_of_a_ratio_adjust_its_linearized_users(rng):
    n = 800
    shown, age = rng.poisson(20, n) + 1.0, rng.normal(0, 1, n)
    clicks = rng.binomial(shown.astype(int), np.clip(0.2 + 0.1 * age, 0, 1))
    code = np.arange(n) % 2
    columns, values = ["clicks", "impressions", "pre_age"], np.column_stack([clicks, shown, age])
    control, treatment = (SufficientStatistics.of(values[code == i], columns) for i in (0, 1))
    ours = estimate(replace(CTR, further=("pre_age",)), control, treatment)
    linear = (clicks - clicks.sum() / shown.sum() * shown) / shown.mean()
    slope = np.polyfit(age, linear, 1)[0]
    plain = clicks[code == 1].sum() / shown[code == 1].sum() - clicks[code == 0].sum() / shown[code == 0].sum()
    assert ours.difference == pytest.approx(plain - slope * (age[code == 1].mean() - age[code == 0].mean()), rel=1e-9)
    assert ours.se < 0.8 * estimate(CTR, control, treatment).se


def test_with_ten_covariates_of_chance_few_users_reject_as_rarely_as_alpha_says(rng):
    names = tuple(f"pre_{i}" for i in range(10))
    metric, rejected = mean_of("clicks", further=names), 0
    for _ in range(1000):
        values = 5 + rng.standard_normal((200, 11))
        arms = (SufficientStatistics.of(v, ["clicks", *names]) for v in (values[:100], values[100:]))
        rejected += estimate(metric, *arms).p_value < 0.05
    assert stats.binomtest(rejected, 1000, 0.05).pvalue > 1e-4


# Few users


def test_effective_users_are_kishs(rng):
    shown = rng.gamma(0.7, 10, 120)
    s = SufficientStatistics.of(np.column_stack([shown, shown]), ["clicks", "impressions"])
    assert effective_users(s, "impressions") == pytest.approx(shown.sum() ** 2 / np.sum(shown**2))
    alike = SufficientStatistics.of(np.full((40, 2), 3.0), ["clicks", "impressions"])
    assert effective_users(alike, "impressions") == pytest.approx(40)
    many = SufficientStatistics.of(np.column_stack([np.resize(shown, 3000)] * 2), ["clicks", "impressions"])
    assert effective_users(many, "impressions") == 3000
    one = SufficientStatistics.of(np.array([[0.0, 1e9], [0.0, 1.0], [0.0, 1.0]]), ["clicks", "impressions"])
    assert effective_users(one, "impressions") == 2


def test_a_ratio_of_few_heavy_users_rejects_as_rarely_as_alpha_says():
    """Delta method and Welch alone reject 8 to 9% of these tests for 5%."""
    rng, p_values = np.random.default_rng(8), []
    for _ in range(1500):
        shown = 10 * (1 + np.floor(rng.pareto(1.5, (2, 20)) * 2))
        clicks = rng.binomial(shown.astype(int), rng.beta(4, 60, (2, 20)))
        sides = (
            SufficientStatistics.of(np.stack([c, n], axis=1), CTR.columns) for c, n in zip(clicks, shown, strict=True)
        )
        p_values.append(estimate(CTR, *sides).p_value)
    assert stats.binomtest(int(np.sum(np.array(p_values) < 0.05)), 1500, 0.06, alternative="greater").pvalue > 1e-3


# What is known from before


def test_users_who_were_not_there_before_are_told_from_those_who_did_nothing(rng):
    """CUPED with the indicator removes what a regression on both columns does."""
    n = 4000
    known = rng.random(n) < 0.7
    likes = rng.gamma(2.0, 1.0, n)
    clicks, pre = rng.poisson(likes), np.where(known, rng.poisson(likes), 0)
    columns = {"clicks": clicks, "pre_clicks": pre, "pre_known": known.astype(float)}
    values = np.column_stack(list(columns.values()))
    s = SufficientStatistics.of(values, list(columns))
    design = np.column_stack([np.ones(n), values[:, 1:]])
    left = clicks - design @ np.linalg.lstsq(design, clicks, rcond=None)[0]
    explained = 1 - left.var() / clicks.var()
    assert Baseline.from_statistics(s, mean_of("clicks")).reduction == pytest.approx(explained)
    users = pd.DataFrame(columns | {"variant": rng.choice(["control", "treatment"], n)})
    [both], [alone] = (
        effects_of(u, (mean_of("clicks", role="goal"),)) for u in (users, users.drop(columns="pre_known"))
    )
    assert both.variance_reduction == pytest.approx(explained, abs=0.002)
    assert both.variance_reduction > alone.variance_reduction + 0.02
    everybody = effects_of(users.assign(pre_known=1.0), (mean_of("clicks", role="goal"),))[0]
    assert everybody.lift_ci == pytest.approx(alone.lift_ci)


# Invariances


def test_swapping_the_variants_flips_the_signs(rng):
    users = users_like(rng, 2000, lift=0.1)
    swapped = users.assign(variant=users["variant"].map({"control": "treatment", "treatment": "control"}))
    for one, two in zip(effects_of(users), effects_of(swapped), strict=True):
        assert two.difference == pytest.approx(-one.difference)
        assert two.p_value == pytest.approx(one.p_value)
        assert 1 + two.lift_ci[0] == pytest.approx(1 / (1 + one.lift_ci[1]))


def test_row_order_and_duplicated_users_scale_as_they_should(rng):
    users = users_like(rng, 1000)
    one = ctr_of(users)
    assert ctr_of(users.sample(frac=1, random_state=1)).p_value == pytest.approx(one.p_value)
    twice = ctr_of(pd.concat([users, users]))
    assert twice.lift == pytest.approx(one.lift)
    assert twice.se == pytest.approx(one.se / math.sqrt(2), rel=2e-3)


def test_large_means_do_not_cancel_the_variance(rng):
    users = users_like(rng, 1000)
    goal = replace(CLICKS_PER_USER, role="goal")
    [plain] = effects_of(users, (goal,))
    [shifted] = effects_of(users.assign(clicks=users["clicks"] + 1e9), (goal,))
    assert shifted.se == pytest.approx(plain.se, rel=1e-6)


def test_counts_in_small_integers_do_not_overflow(rng):
    users = users_like(rng, 1000)
    small = users.astype({"clicks": np.int16, "impressions": np.int32})
    for one, two in zip(effects_of(small), effects_of(users), strict=True):
        assert (one.lift, one.se, one.p_value) == (two.lift, two.se, two.p_value)


def test_a_tail_is_not_rounded_to_zero():
    users = pd.DataFrame({"variant": ["control", "treatment"] * 500, "clicks": np.tile([0.0, 1.0], 500)})
    users.loc[users.index < 400, "clicks"] = np.tile([1.0, 0.0], 200)
    [effect] = effects_of(users, (replace(CLICKS_PER_USER, role="goal"),))
    assert 0 < effect.p_value < 1e-8
    assert 0 < srm_p_value([10_000, 12_000], [1, 1]) < 1e-40


# CUPED


def test_a_constant_covariate_changes_nothing(rng):
    users = users_like(rng, 600).assign(pre_clicks=2.0, pre_impressions=7.0)
    with_it, without = (ctr_of(users, cuped=c) for c in (True, False))
    assert with_it.lift == without.lift
    assert math.isnan(with_it.variance_reduction)
    assert with_it.method == "delta method"


def test_cuped_keeps_the_effect_and_shrinks_its_error(rng):
    users = users_like(rng, 4000)
    noise = rng.poisson(1, len(users))
    users = users.assign(pre_clicks=users["clicks"] + noise, pre_impressions=users["impressions"] + noise)
    with_it, without = (ctr_of(users, cuped=c) for c in (True, False))
    assert with_it.variance_reduction > 0.3
    assert with_it.log_se < without.log_se
    shrink = (with_it.log_se / without.log_se) ** 2
    assert 1 - shrink == pytest.approx(with_it.variance_reduction, abs=0.03)


def test_a_covariate_that_is_the_metric_itself_leaves_no_effect(rng):
    users = users_like(rng, 600, lift=0.5)
    [effect] = effects_of(users.assign(pre_clicks=users["clicks"]), (replace(CLICKS_PER_USER, role="goal"),))
    assert effect.difference == pytest.approx(0, abs=1e-9)
    assert effect.variance_reduction == pytest.approx(1)


def test_a_guardrail_tests_that_the_loss_is_within_its_margin():
    """Non-inferiority is where the one-sided interval on the log scale leaves out the margin."""
    sides = [
        SufficientStatistics(n=400, columns=("m",), mean=np.array([mean]), cov=np.array([[1.0]])) for mean in (5, 4.9)
    ]
    guard = mean_of("m", role="guardrail", margin=0.05, covariate=())
    effect = estimate(guard, *sides)
    worst = math.log(effect.treatment / effect.control) - math.log(0.95)
    assert effect.noninferiority_p == pytest.approx(stats.norm.sf(worst / effect.log_se), rel=0.02)
    beyond = estimate(guard, *sides, alpha=2 * effect.noninferiority_p)
    assert beyond.lift_ci[0] == pytest.approx(-0.05, abs=1e-9)
    less = estimate(replace(guard, direction=-1), *sides[::-1])
    assert less.noninferiority_p == pytest.approx(
        stats.norm.sf((math.log(1.05) - math.log(5 / 4.9)) / less.log_se), rel=0.02
    )


def test_a_guardrail_of_which_nothing_is_known_is_not_inside_its_margin():
    alone = SufficientStatistics.of(np.array([[3.0]]), ["clicks"])
    guard = mean_of("clicks", role="guardrail", margin=0.05)
    effect = estimate(guard, alone, alone)
    assert math.isnan(effect.noninferiority_p)
    assert "a variance needs at least 2" in effect.reason


def test_the_good_side_follows_the_direction(rng):
    effect = replace(ctr_of(users_like(rng, 200)), lift=-0.1, lift_ci=(-0.18, -0.02))
    assert effect.worse
    assert not effect.better
    down = replace(effect, metric=replace(CTR, direction=-1))
    assert down.good_ci == (0.02, 0.18)
    assert down.better
    assert not down.worse


# Undefined


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clicks": 0}, "does not vary"),
        ({"impressions": 0}, "has no impressions"),
        ({"variant": ["control"] + ["treatment"] * 199}, "control has 1 user"),
    ],
)
def test_what_is_not_defined_says_why(rng, change, words):
    effect = effects_of(users_like(rng, 200).assign(**change))[0]
    assert words in effect.reason
    assert not effect.defined
    assert all(math.isnan(v) for v in (effect.lift, *effect.lift_ci, *effect.difference_ci, effect.p_value))


def test_a_mean_that_is_not_above_zero_has_a_difference_and_no_lift(rng):
    users = users_like(rng, 400).assign(profit=rng.normal(-1, 1, 400))
    [_, effect] = effects_of(users, (CTR, mean_of("profit")))
    assert math.isfinite(effect.p_value)
    assert all(map(math.isfinite, effect.difference_ci))
    assert math.isnan(effect.lift)
    assert "a lift needs both above 0" in effect.reason


# Truth


def test_intervals_cover_and_a_a_tests_reject_as_often_as_they_say(rng):
    """Users are a sample: 1,000 A/A tests of 1,000 heavy-tailed users each."""
    covered, rejected = 0, 0
    for _ in range(1000):
        effect = ctr_of(users_like(rng, 1000))
        covered += effect.lift_ci[0] <= 0 <= effect.lift_ci[1]
        rejected += effect.p_value < 0.05
    assert stats.binomtest(covered, 1000, 0.95).pvalue > 1e-3
    assert stats.binomtest(rejected, 1000, 0.05).pvalue > 1e-3


# Large lifts


@pytest.mark.parametrize("kind", ["added to everyone", "in proportion"])
def test_the_interval_of_a_large_lift_covers_with_cuped(kind, rng):
    """The common mean of the period before is estimated too: taken as known, .90 and .98 of the intervals covered."""
    goal, n, hits, tests = mean_of("clicks", role="goal"), 1000, 0, 1000
    for _ in range(tests):
        habit = rng.gamma(1.5, 2, n)
        before, clicks = habit + rng.normal(0, 0.5, n), habit + rng.normal(0, 0.5, n)
        treated = np.arange(n) < n / 2
        clicks = np.where(treated, 1.5 * clicks if kind == "in proportion" else clicks + 1.5, clicks)
        values = np.column_stack([clicks, before])
        groups = (SufficientStatistics.of(values[part], ("clicks", "pre_clicks")) for part in (~treated, treated))
        low, high = estimate(goal, *groups).lift_ci
        hits += low <= 0.5 <= high
    assert stats.binomtest(hits, tests, 0.95).pvalue > 1e-3


def test_few_users_against_many_reject_as_often_as_alpha_says(rng):
    """Welch's test of 20 users against 2,000 rejected 11% of such A/A tests, 20% with Pareto activity."""
    rejected, tests = [], 400
    for _ in range(tests):
        clicks = rng.poisson(rng.gamma(0.4, 9.0, 2020)).astype(float)
        few, many = (SufficientStatistics.of(c[:, None], ["clicks"]) for c in (clicks[:20], clicks[20:]))
        effect = estimate(mean_of("clicks"), many, few)
        rejected.append(effect.p_value < 0.05)
    assert effect.method == "Student, one common variance"
    assert stats.binomtest(sum(rejected), tests, 0.05).pvalue > 1e-3
    pooled = stats.ttest_ind(clicks[:20], clicks[20:])
    assert effect.p_value == pytest.approx(pooled.pvalue, rel=0.02)
    assert estimate(mean_of("clicks"), few, few).method == "Welch"


def by_sessions(rng, lift: float, n: int = 600) -> Within:
    """Users with a rate of their own, each with sessions of both variants."""
    rate, columns = rng.beta(1, 9, n), {}
    for v, more in (("control", 0.0), ("treatment", lift)):
        shown = 10 * rng.poisson(rng.gamma(0.7, 4, n))
        columns |= {at("impressions", v): shown, at("clicks", v): rng.binomial(shown, rate * (1 + more))}
    values = np.column_stack(list(columns.values())).astype(float)
    return Within(design="sessions", statistics=SufficientStatistics.of(values, tuple(columns)))


def test_within_users_the_interval_covers_the_true_lift_as_often_as_it_says(rng):
    found = [estimate_within(CTR, by_sessions(rng, 0.1), Comparison("treatment")) for _ in range(600)]
    hits = sum(e.lift_ci[0] <= 0.1 <= e.lift_ci[1] for e in found)
    assert stats.binomtest(hits, len(found), 0.95).pvalue > 1e-4
    assert np.std([math.log1p(e.lift) for e in found]) == pytest.approx(np.mean([e.log_se for e in found]), rel=0.12)


def test_within_users_the_same_rows_are_surer_than_as_two_groups_and_a_swap_turns_the_sign(rng):
    of = by_sessions(rng, 0.1)
    there, back = (estimate_within(CTR, of, Comparison(*pair)) for pair in (("treatment",), ("control", "treatment")))
    assert math.log1p(there.lift) == pytest.approx(-math.log1p(back.lift))
    s = of.statistics
    two = math.sqrt(
        sum(variance_of(s, s.gradient((at("clicks", v), at("impressions", v)))[1]) for v in ("control", "treatment"))
    )
    assert there.se < 0.9 * two
    assert there.n == s.n
