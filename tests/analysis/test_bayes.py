"""A Bayesian reading against published examples, closed forms and draws from the posterior."""

import math
from dataclasses import replace

import numpy as np
import pytest

from recab_helpers.analysis.bayes import BAYES_COLUMNS, bayes_table, posterior, posterior_of
from recab_helpers.references import Comparison
from tests import published
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
