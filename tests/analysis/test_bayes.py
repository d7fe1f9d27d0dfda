"""A Bayesian reading against published examples, closed forms and draws from the posterior."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis.bayes import (
    BAYES_COLUMNS,
    ENOUGH_TESTS,
    LEAST_SD,
    PRIOR_SD,
    Prior,
    bayes_table,
    false_positive_risk,
    fit_prior,
    posterior,
    posterior_of,
)
from recab_helpers.references import Comparison
from tests import published
from tests.conftest import shared
from tests.made import GOAL

LOG = replace(GOAL, lift=0.05, log_se=0.08)


def test_published_reading_of_a_lift_under_a_flat_prior():
    """Beta-binomial readings, which we do not make, are held against their published example in test_published."""
    case = published.NORMAL_LIFT
    (c, n), (t, m) = case.control, case.treatment
    a, b = c / n, t / m
    se = math.sqrt(b * (1 - b) / m / a**2 + b**2 * a * (1 - a) / n / a**4)
    found = posterior(b / a - 1, se, prior_sd=math.inf)
    assert found.chance_to_be_better == case.chance_to_be_better
    assert found.interval() == case.lift_ci
    assert found.expected_loss(ship=True) == case.loss_of_treatment
    assert found.expected_loss(ship=False) == case.loss_of_control


def test_the_prior_shrinks_by_the_shares_of_both_precisions():
    found = posterior(0.1, 0.1, prior_sd=0.2)
    assert found.mean == pytest.approx(0.1 * 4 / 5)  # precisions 100 and 25
    assert found.sd == pytest.approx(1 / math.sqrt(125))
    assert posterior(0.1, 0.1, prior_sd=1e9).mean == pytest.approx(0.1)


def test_expected_loss_on_the_log_scale_is_its_integral(rng):
    found = posterior_of(LOG)
    lift = np.expm1(found.mean + found.sd * rng.standard_normal(1_000_000))
    assert found.expected_loss(ship=True) == pytest.approx(np.maximum(-lift, 0).mean(), rel=0.02)
    assert found.expected_loss(ship=False) == pytest.approx(np.maximum(lift, 0).mean(), rel=0.02)
    assert found.chance_to_be_better == pytest.approx((lift > 0).mean(), abs=0.003)
    assert found.interval() == pytest.approx(np.quantile(lift, [0.025, 0.975]), abs=0.003)


def test_a_metric_where_less_is_better_is_read_in_its_good_direction():
    up = posterior_of(LOG)
    down = posterior_of(replace(LOG, metric=replace(GOAL.metric, direction=-1), lift=1 / 1.05 - 1))
    assert down.chance_to_be_better == pytest.approx(up.chance_to_be_better)
    assert down.expected_loss(ship=True) == pytest.approx(up.expected_loss(ship=True))


def test_no_lift_has_no_posterior():
    assert posterior_of(replace(LOG, log_se=math.nan)) is None
    assert posterior_of(replace(LOG, log_se=0.0)) is None


@pytest.mark.parametrize(("se", "prior_sd"), [(0.0, 0.2), (-1.0, 0.2), (math.nan, 0.2), (0.1, 0.0)])
def test_an_error_or_a_prior_that_is_not_positive_is_refused(se, prior_sd):
    with pytest.raises(ValueError, match=f"se is {se} and prior_sd {prior_sd}; both must be above 0"):
        posterior(0.1, se, prior_sd=prior_sd)


def test_the_table_holds_goals_and_secondary_metrics_that_have_a_lift():
    comparison = Comparison("new vs old")
    effects = [
        replace(LOG, comparison=comparison),
        replace(LOG, metric=replace(GOAL.metric, role="guardrail", margin=0.1)),
        replace(LOG, metric=replace(GOAL.metric, name="b", label="B", role="secondary"), log_se=math.nan),
        replace(LOG, metric=replace(GOAL.metric, name="c", label="C", role="secondary")),
    ]
    table = bayes_table(effects)
    assert list(table) == list(BAYES_COLUMNS)
    assert table[["metric", "variant", "against"]].to_numpy().tolist() == [
        ["CTR", "new vs old", "control"],
        ["C", "treatment", "control"],
    ]
    assert list(bayes_table([])) == list(BAYES_COLUMNS)


def test_with_one_standard_error_the_fitted_prior_is_the_excess_of_the_spread(rng):
    lifts = rng.normal(0, 0.3, 40)
    fitted = fit_prior(lifts, np.full(40, 0.1))
    assert fitted.sd == pytest.approx(math.sqrt(np.mean(lifts**2) - 0.1**2))
    assert fitted.tests == 40


def test_the_fitted_prior_finds_the_spread_that_lifts_were_drawn_with(rng):
    se = rng.uniform(0.02, 0.3, 4000)
    fitted = fit_prior(rng.normal(0, 0.1, 4000) + rng.normal(0, se), se)
    assert fitted.sd == pytest.approx(0.1, rel=0.05)
    assert fit_prior(rng.normal(0, se), se).sd < 0.02


def test_few_tests_or_lifts_that_noise_explains_fit_no_spread():
    assert fit_prior([0.5] * (ENOUGH_TESTS - 1), [0.1] * (ENOUGH_TESTS - 1)) == Prior(sd=PRIOR_SD, tests=0)
    assert fit_prior([0.5] * 12, [0.1] * 9 + [math.nan, 0.0, -1.0]).tests == 0
    assert fit_prior([0.01] * 20, [0.1] * 20) == Prior(sd=LEAST_SD, tests=20)


def test_a_lift_is_shrunken_by_the_prior_that_is_given():
    wide, narrow = (bayes_table([LOG], Prior(sd=sd)).loc[0, "shrunken_lift"] for sd in (10.0, 0.01))
    assert wide == pytest.approx(LOG.lift, rel=1e-3)
    assert narrow == pytest.approx(math.expm1(math.log1p(LOG.lift) * 0.01**2 / (0.01**2 + LOG.log_se**2)))


def test_on_real_headlines_the_fitted_prior_foretells_the_other_half_best(rng):
    arms = pd.read_parquet(shared("data/upworthy") / "upworthy_exploratory.parquet")
    broken = arms["test_week"].between(201325, 201402)  # a cache broke the randomization
    arms = arms[(arms["clicks"] > 20) & ~broken].groupby("clickability_test_id").head(2)
    arms = arms[arms.groupby("clickability_test_id")["clicks"].transform("size") == 2]
    n, clicks = (arms[c].to_numpy().reshape(-1, 2) for c in ("impressions", "clicks"))
    half = rng.hypergeometric(clicks, n - clicks, n // 2)
    clicked = ((half > 0) & (clicks > half)).all(axis=1)

    def log_lifts(clicks: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        clicks, n = clicks[clicked], n[clicked]
        return np.log(clicks[:, 1] / n[:, 1] * n[:, 0] / clicks[:, 0]), np.sqrt((1 / clicks - 1 / n).sum(axis=1))

    (seen, se), (other, _) = log_lifts(half, n // 2), log_lifts(clicks - half, n - n // 2)
    fitted = fit_prior(seen, se).sd
    error = {sd: np.mean((seen / (1 + se**2 / sd**2) - other) ** 2) for sd in (fitted, PRIOR_SD, 1e6)}
    assert min(error, key=error.get) == fitted


def test_the_false_positive_risk_is_the_published_bound():
    """Sellke, Bayarri and Berger (2001), table 1: p of .2, .1, .05, .01, .005 and .001."""
    for p, risk in ((0.2, 0.465), (0.1, 0.385), (0.05, 0.289), (0.01, 0.111), (0.005, 0.067), (0.001, 0.0184)):
        assert false_positive_risk(p) == pytest.approx(risk, abs=0.002)
    assert false_positive_risk(0.0) == 0
    assert false_positive_risk(0.5) == false_positive_risk(1.0) == 0.5
    assert math.isnan(false_positive_risk(math.nan))
