"""The chance to ship is that of tests that are drawn user by user and read by the same rule."""

import numpy as np
import pytest

from recab_helpers.analysis.estimating import estimate
from recab_helpers.analysis.metrics import CTR
from recab_helpers.analysis.planning import Baseline, Design, power_of
from recab_helpers.analysis.shipping import Pilot, chance_to_ship, with_period_before
from recab_helpers.calibration.grading import grade, rates
from recab_helpers.calibration.populations import Population, draw_tests
from recab_helpers.errors import DataError
from recab_helpers.impressions.aggregates import Users
from recab_helpers.impressions.statistics import SufficientStatistics

BASE = Population(n_users=2000, ctr=0.1, n_days=1, click_cv=0.4)


def pilot_of(population: Population) -> Pilot:
    (_, test), *_ = draw_tests(population, 1, 7)
    return Pilot.of(test.users)


@pytest.mark.parametrize(("lift", "n_users"), [(0.08, 2000), (0.12, 1500)])
def test_so_many_drawn_tests_ship(lift, n_users):
    """Guardrails take more than a third of the power here: a chance by the goal alone would be far off."""
    population = Population(n_users=n_users, ctr=0.1, n_days=1, click_cv=0.4, lift=lift)
    graded = rates(grade(population, 150, seed=4, boot=False, workers=1)).set_index(["kind", "method"])
    shipped, n = graded.loc[("ships", "verdict"), ["rate", "tests"]]
    pilot = pilot_of(Population(n_users=20_000, ctr=0.1, n_days=1, click_cv=0.4))
    seen = np.mean([t.users.whole.n for _, t in draw_tests(population, 2, 1)])
    chance = chance_to_ship(pilot, lift, Design(), users=seen)
    assert chance == pytest.approx(shipped, abs=3 * (0.25 / n + 0.25 / 300) ** 0.5)
    assert chance < graded.loc[("rejects", "CTR, CUPED"), "rate"]


def test_without_guardrails_it_is_the_power_of_the_goal():
    pilot = pilot_of(BASE)
    baseline = Baseline.from_statistics(pilot.statistics, CTR)
    expected = power_of(0.08 * baseline.value, 1000, control_variance=baseline.variances[1])
    assert chance_to_ship(pilot, 0.08, Design(), users=2000, metrics=(CTR,), draws=600) == pytest.approx(
        expected, abs=0.07
    )


def test_nothing_ships_that_has_no_lift_and_more_users_ship_more():
    pilot = pilot_of(BASE)
    assert chance_to_ship(pilot, 0.0, Design(), users=2000) < 0.05
    few, many = (chance_to_ship(pilot, 0.08, Design(), users=n, draws=100) for n in (1000, 8000))
    assert many > few + 0.2
    three = chance_to_ship(pilot, 0.08, Design(n_treatments=3, allocation=0.75), users=3000, draws=100)
    assert three < many


def test_a_period_before_that_is_assumed_explains_what_it_should():
    (_, test), *_ = draw_tests(BASE, 1, 7)
    now = test.users.whole
    at = [i for i, c in enumerate(now.columns) if not c.startswith("pre_")]
    without = SufficientStatistics(
        n=now.n, columns=tuple(now.columns[i] for i in at), mean=now.mean[at], cov=now.cov[np.ix_(at, at)]
    )
    assumed = with_period_before(without, 0.4)
    assert Baseline.from_statistics(assumed, CTR).reduction == pytest.approx(0.4)
    assert (np.linalg.eigvalsh(assumed.cov) > -1e-6).all()
    effect = estimate(CTR, assumed, assumed)
    assert effect.variance_reduction == pytest.approx(0.4)


def test_a_pilot_without_clicks_is_refused():
    with pytest.raises(DataError, match="does not count clicks"):
        Pilot.of(Users.of(["a", "b"], {"spend": [1, 2]}))
