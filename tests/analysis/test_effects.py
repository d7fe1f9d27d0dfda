"""Estimates against published examples, other libraries, invariances and simulated truth."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from recab_helpers.analysis import (
    CLICKS_PER_USER,
    CTR,
    MetricSpec,
    SufficientStatistics,
    beta_binomial,
    estimate,
    estimate_effects,
    mann_whitney,
    mde,
    posterior,
    srm_p_value,
    sufficient_statistics,
)
from recab_helpers.analysis.effects import benjamini_hochberg, holm
from tests.conftest import shared

METRICS = (CTR, CLICKS_PER_USER)


def users_like(rng: np.random.Generator, n: int, lift: float = 0.0) -> pd.DataFrame:
    """Heavy-tailed users: gamma sessions, ten impressions each, clicks of a user-specific rate."""
    treated = rng.random(n) < 0.5
    sessions = 1 + rng.poisson(rng.gamma(0.7, 8, n))
    rate = np.clip(rng.beta(1, 20, n) * (1 + lift * treated), 0, 1)
    clicks = rng.binomial(10 * sessions, rate)
    variant = np.where(treated, "treatment", "control")
    columns = {"impressions": 10 * sessions, "clicks": clicks, "sessions": sessions, "clicked_any": clicks > 0}
    return pd.DataFrame({"variant": variant, **columns})


def published(name: str) -> dict:
    cases = json.loads(shared("cases/experiment_statistics.json").read_text())
    return next(c for c in cases if c["name"] == name)


def statistics_of(case: dict) -> tuple[SufficientStatistics, SufficientStatistics]:
    """Both sides of a published example given by means and covariances."""
    return tuple(
        SufficientStatistics(n=g["n"], columns=tuple(g["cols"]), mean=np.array(g["mean"]), cov=np.array(g["cov"]))
        for g in (case["inputs"]["control"], case["inputs"]["treatment"])
    )


ORDERS = MetricSpec(
    name="orders", label="Orders", kind="mean", numerator="orders", covariate=("orders_covariate",), direction=1
)
ORDERS_PER_SESSION = replace(
    ORDERS, kind="ratio", denominator="sessions", covariate=("orders_covariate", "sessions_covariate")
)


def test_published_example_of_mean_ratio_and_srm():
    case = published("mean_ratio_delta_srm_tea_tasting_docs")
    expected, sides = case["expected"], statistics_of(case)
    effect = estimate(ORDERS, *sides)
    assert effect.difference == pytest.approx(expected["mean_effect"], abs=1e-9)
    assert effect.difference_ci == pytest.approx(expected["mean_ci"], abs=1e-9)
    assert effect.p_value == pytest.approx(expected["mean_p"], abs=1e-9)
    assert effect.lift == pytest.approx(expected["mean_rel"], abs=1e-9)
    assert effect.lift_ci == pytest.approx(expected["mean_rel_ci"], abs=1e-9)
    effect = estimate(ORDERS_PER_SESSION, *sides)
    assert (effect.control, effect.treatment) == pytest.approx((0.266, 0.289), abs=5e-4)
    assert effect.lift == pytest.approx(expected["ratio_rel"], abs=5e-4)
    assert effect.p_value == pytest.approx(expected["ratio_p"], abs=5e-5)
    corrected = [sides[0].n - 0.5, sides[1].n + 0.5]  # the example uses Yates's correction
    assert srm_p_value(corrected, [1, 1]) == pytest.approx(expected["srm_p"], abs=5e-4)


def test_published_example_of_cuped():
    case = published("cuped_mean_and_ratio_tea_tasting_docs")
    sides = statistics_of(case)
    expected, tolerance = case["expected"], case["tolerance"]
    metrics = {
        c: replace(ORDERS, numerator=c, covariate=(f"{c}_covariate",)) for c in ("sessions", "orders", "revenue")
    }
    for name, metric in (metrics | {"orders_per_session": ORDERS_PER_SESSION}).items():
        effect = estimate(metric, *sides)
        assert "CUPED" in effect.method
        for field, value in (("p", effect.p_value), ("rel_ci", effect.lift_ci)):
            key = f"{name}_{field}"
            assert value == pytest.approx(expected[key], **tolerance.get(key, tolerance["default"])), key


def test_published_example_of_welch():
    case = published("welch_t_absolute_and_relative_lift")
    sides = []
    for name in ("control", "treatment"):
        n, total, squares = case["inputs"][name].values()
        variance = (squares - total**2 / n) / (n - 1)
        sides.append(SufficientStatistics(n=n, columns=("m",), mean=np.array([total / n]), cov=np.array([[variance]])))
    effect = estimate(MetricSpec(name="m", label="m", kind="mean", numerator="m"), *sides)
    assert effect.difference == pytest.approx(case["expected"]["abs_effect"], abs=6e-6)
    assert effect.difference_ci == pytest.approx(case["expected"]["abs_ci"], abs=6e-6)
    assert effect.p_value == pytest.approx(case["expected"]["abs_p"], abs=6e-6)
    assert effect.lift == pytest.approx(case["expected"]["rel_effect"], abs=6e-6)
    assert (1 + effect.lift) * effect.log_se == pytest.approx(case["expected"]["rel_se"], abs=6e-6)  # delta method


def test_published_srm_p_values():
    case = published("srm_chi_square")
    for name in "abc":
        p = srm_p_value(case["inputs"][name], case["inputs"]["expected_ratio"])
        assert p == pytest.approx(case["expected"][f"p_{name}"], **case["tolerance"][f"p_{name}"])


def test_published_example_of_multiple_comparisons():
    """Benjamini and Hochberg (1995): 4 rejections; Holm rejects the same 3 as Bonferroni there."""
    case = published("multiple_comparisons_bh_1995")
    p = np.array(case["inputs"]["pvalues"])
    assert (benjamini_hochberg(p) < 0.05).sum() == case["expected"]["bh_rejected"]
    assert (holm(p) < 0.05).sum() == case["expected"]["bonferroni_rejected"]
    assert holm(p[::-1])[::-1] == pytest.approx(holm(p))
    _, theirs, _, _ = multipletests(p, method="holm")
    assert holm(p) == pytest.approx(theirs)


def test_published_bayesian_examples():
    case = published("bayesian_chance_to_win_and_expected_loss")
    inputs, expected, tolerance = case["inputs"], case["expected"], case["tolerance"]
    better, ship, keep = beta_binomial(inputs["beta_binomial"]["control"], inputs["beta_binomial"]["treatment"])
    assert better == pytest.approx(expected["p_treatment_better"], **tolerance["p_treatment_better"])
    assert ship == pytest.approx(expected["treatment_potential_loss"], **tolerance["treatment_potential_loss"])
    assert keep == pytest.approx(expected["control_potential_loss"], **tolerance["control_potential_loss"])
    (c, n), (t, m) = inputs["normal_relative"]["control"], inputs["normal_relative"]["treatment"]
    a, b = c / n, t / m
    se = math.sqrt(b * (1 - b) / m / a**2 + b**2 * a * (1 - a) / n / a**4)
    found = posterior(b / a - 1, se, prior_sd=math.inf)
    assert found.chance_to_be_better == pytest.approx(expected["gb_chance_to_win"], abs=1e-5)
    assert found.interval() == pytest.approx(expected["gb_ci"], abs=1e-5)
    losses = [found.expected_loss(ship=False), found.expected_loss(ship=True)]
    assert sorted(losses) == pytest.approx(sorted(expected["gb_risk"]), abs=1e-5)


def test_cookie_cats_retention():
    """7-day retention: -0.820 points, 95% interval -1.33 to -0.31, p .00155."""
    table = pd.read_csv(shared("data/cookie-cats/cookie_cats.csv.gz"))
    variant = table["version"].map({"gate_30": "control", "gate_40": "treatment"})
    users = pd.DataFrame({"variant": variant, "retained": table["retention_7"].astype(int)})
    [effect] = estimate_effects(users, (MetricSpec(name="r", label="r", kind="mean", numerator="retained"),))
    assert effect.difference == pytest.approx(-0.00820, abs=5e-6)
    assert effect.difference_ci == pytest.approx((-0.0133, -0.0031), abs=5e-5)
    assert effect.p_value == pytest.approx(0.00155, abs=1e-5)
    assert srm_p_value([effect.n_control, effect.n_treatment], [1, 1]) == pytest.approx(0.0086, abs=5e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 400))
def test_mean_and_ratio_agree_with_tea_tasting(seed, n):
    users = users_like(np.random.default_rng(seed), n, lift=0.2)
    if users["variant"].value_counts().reindex(["control", "treatment"], fill_value=0).min() < 5:
        return
    users["clicks"] += 1  # a log-scale lift needs a positive mean
    users["pre_clicks"] = np.random.default_rng(seed).poisson(users["clicks"])
    users["pre_impressions"] = 10 + users["impressions"]
    oracle = tt.Experiment(
        ctr=tt.RatioOfMeans("clicks", "impressions", "pre_clicks", "pre_impressions"),
        clicks_per_user=tt.Mean("clicks", "pre_clicks"),
        plain=tt.RatioOfMeans("clicks", "impressions"),
    )
    theirs = oracle.analyze(users, control="control")
    ours_ = [*estimate_effects(users, (CTR, CLICKS_PER_USER)), *estimate_effects(users, (CTR,), cuped=False)]
    for name, ours in zip(("ctr", "clicks_per_user", "plain"), ours_, strict=True):
        reference = theirs[name]
        assert ours.p_value == pytest.approx(reference.pvalue, abs=1e-6)
        assert ours.difference == pytest.approx(reference.effect_size, abs=1e-6)
        ends = (reference.rel_effect_size_ci_lower, reference.rel_effect_size_ci_upper)
        assert ours.lift_ci == pytest.approx(ends, abs=1e-6)


def test_swapping_the_variants_flips_the_signs(rng):
    users = users_like(rng, 2000, lift=0.1)
    swapped = users.assign(variant=users["variant"].map({"control": "treatment", "treatment": "control"}))
    for one, two in zip(estimate_effects(users, METRICS), estimate_effects(swapped, METRICS), strict=True):
        assert two.difference == pytest.approx(-one.difference)
        assert two.p_value == pytest.approx(one.p_value)
        assert 1 + two.lift_ci[0] == pytest.approx(1 / (1 + one.lift_ci[1]))


def test_row_order_and_duplicated_users_scale_as_they_should(rng):
    users = users_like(rng, 1000)
    one = estimate_effects(users, METRICS)[0]
    shuffled = estimate_effects(users.sample(frac=1, random_state=1), METRICS)[0]
    assert shuffled.p_value == pytest.approx(one.p_value)
    twice = estimate_effects(pd.concat([users, users]), METRICS)[0]
    assert twice.lift == pytest.approx(one.lift)
    assert twice.se == pytest.approx(one.se / math.sqrt(2), rel=2e-3)


def test_large_means_do_not_cancel_the_variance(rng):
    users = users_like(rng, 1000)
    [plain] = estimate_effects(users, (CLICKS_PER_USER,))
    [shifted] = estimate_effects(users.assign(clicks=users["clicks"] + 1e9), (CLICKS_PER_USER,))
    assert shifted.se == pytest.approx(plain.se, rel=1e-6)


def test_counts_in_small_integers_do_not_overflow(rng):
    users = users_like(rng, 1000)
    small = users.astype({"clicks": np.int16, "impressions": np.int32}).assign(variant=users["variant"])
    for one, two in zip(estimate_effects(small, METRICS), estimate_effects(users, METRICS), strict=True):
        assert (one.lift, one.se, one.p_value) == (two.lift, two.se, two.p_value)


def test_a_tail_is_not_rounded_to_zero():
    users = pd.DataFrame({"variant": ["control", "treatment"] * 500, "clicks": np.tile([0.0, 1.0], 500)})
    users.loc[users.index < 400, "clicks"] = np.tile([1.0, 0.0], 200)
    [effect] = estimate_effects(users, (CLICKS_PER_USER,))
    assert 0 < effect.p_value < 1e-8
    assert 0 < srm_p_value([10_000, 12_000], [1, 1]) < 1e-40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clicks": 0}, "does not vary"),
        ({"impressions": 0}, "has no impressions"),
        ({"variant": ["control"] + ["treatment"] * 199}, "control has 1 user"),
    ],
)
def test_what_is_not_defined_says_why(rng, change, words):
    users = users_like(rng, 200).assign(**change)
    effect = estimate_effects(users, METRICS)[0]
    assert words in effect.reason
    assert all(math.isnan(v) for v in (effect.lift, *effect.lift_ci, *effect.difference_ci, effect.p_value))


def test_a_constant_column_leaves_the_rank_test_undefined(rng):
    [effect] = mann_whitney(users_like(rng, 100).assign(clicks=3), "clicks", "Clicks")
    assert math.isnan(effect.p_value)
    assert effect.reason


def test_intervals_cover_and_a_a_tests_reject_as_often_as_they_say(rng):
    """Users are a sample: 1,000 A/A tests of 1,000 heavy-tailed users each."""
    covered, rejected = 0, 0
    for _ in range(1000):
        effect = estimate_effects(users_like(rng, 1000), (CTR,))[0]
        covered += effect.lift_ci[0] <= 0 <= effect.lift_ci[1]
        rejected += effect.p_value < 0.05
    assert stats.binomtest(covered, 1000, 0.95).pvalue > 1e-3
    assert stats.binomtest(rejected, 1000, 0.05).pvalue > 1e-3


def test_the_mde_is_found_with_the_planned_power(rng):
    """Tests with a true lift at the MDE reject about 80% of the time."""
    reached = np.mean([mde(estimate_effects(users_like(rng, 3000), (CTR,))[0]) for _ in range(50)])
    found = [estimate_effects(users_like(rng, 3000, lift=reached), (CTR,))[0].p_value < 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def test_statistics_equal_numpy(rng):
    users = users_like(rng, 300)
    found = sufficient_statistics(users, ["clicks", "impressions"])["treatment"]
    rows = users.loc[users["variant"] == "treatment", ["clicks", "impressions"]]
    assert found.cov == pytest.approx(np.cov(rows.T))
    both = sufficient_statistics(users, ["clicks", "impressions"])
    whole = both["control"] + both["treatment"]
    assert whole.cov == pytest.approx(np.cov(users[["clicks", "impressions"]].to_numpy(float).T))
