"""A test that is read every evening errs as rarely as alpha says, and its verdict follows the band of the day."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from recab_helpers.analysis.analysis import analyze
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CTR, mean_of
from recab_helpers.analysis.progress import TIGHTEST_AT, Progress, progress_of
from recab_helpers.analysis.sequential import boundaries
from recab_helpers.errors import ParameterError
from recab_helpers.impressions.aggregates import Running
from tests.made import HALVES, log_like, reduced

TESTS = 20_000


def of_days(days: int, planned: int | None) -> Progress:
    reached = () if planned is None else tuple(np.arange(1, days + 1) / planned)
    return Progress(days=days, reached=reached, planned="" if planned is None else f"{planned} days")


@pytest.mark.parametrize("days", [14, 28])
@pytest.mark.parametrize("planned", [True, False])
def test_typed_every_evening_it_stops_as_rarely_as_alpha_says(days, planned, rng):
    z = rng.standard_normal((TESTS, days)).cumsum(axis=1) / np.sqrt(np.arange(1, days + 1))
    levels = [of_days(d, days if planned else None).level(0.05) for d in range(1, days + 1)]
    stops = (np.abs(z) > stats.norm.isf(np.array(levels) / 2)).any(axis=1).mean()
    assert stops < 0.05 + 3 * np.sqrt(0.05 * 0.95 / TESTS)
    assert stops > (0.045 if planned else 0.005)
    assert (np.abs(z) > stats.norm.isf(0.025)).any(axis=1).mean() > 0.2  # what reading the plain interval does


def test_the_level_of_a_day_does_not_move_with_the_days_after_it():
    first, later = of_days(5, 14), of_days(9, 14)
    assert first.level(0.05) == pytest.approx(2 * stats.norm.sf(boundaries(np.array(later.reached))[4]))
    assert first.running
    assert of_days(13, 14).level(0.05) < of_days(14, 14).level(0.05) < 0.05
    assert not of_days(14, 14).running


def test_without_a_planned_end_the_band_is_tightest_at_two_weeks():
    levels = [of_days(d, None).level(0.05) for d in (1, 7, TIGHTEST_AT, 28, 100)]
    assert max(levels) == levels[2] < 0.01
    assert of_days(100, None).running


def test_a_day_on_which_nobody_comes_is_no_look():
    still = Progress(days=4, reached=(0.2, 0.5, 0.5, 0.5), planned="10 users")
    assert still.level(0.05) == pytest.approx(2 * stats.norm.sf(boundaries(np.array([0.2, 0.5]))[-1]))


def test_a_plan_is_of_days_or_of_users():
    running = Running(
        columns=("clicks",),
        n={"control": np.array([2, 4, 4]), "treatment": np.array([3, 4, 5])},
        sums={},
        products={},
    )
    days = progress_of(running, planned_days=6, shape="pocock")
    assert days == Progress(days=3, reached=(1 / 6, 2 / 6, 0.5), planned="6 days", shape="pocock")
    assert progress_of(running, planned_days=2, shape="pocock").reached == (1 / 3, 2 / 3, 1.0)  # it ran on
    users = progress_of(running, planned_users=1000, shape="pocock")
    assert users.reached == pytest.approx((0.005, 0.008, 0.009))
    assert users.planned == "1,000 users"
    assert progress_of(running, shape="pocock") == Progress(days=3, shape="pocock")
    assert progress_of(None, planned_days=6, shape="pocock") is None
    with pytest.raises(ParameterError, match="give the one that ends the test"):
        progress_of(running, planned_days=6, planned_users=9, shape="pocock")


def test_before_the_end_goals_and_guardrails_are_read_at_the_level_of_the_day(rng):
    test = reduced(log_like(rng))
    guard = mean_of("sessions", role="guardrail", margin=0.1)
    progress = of_days(6, 14)
    goal, held, other = estimate_effects(test.users, (CTR, guard, mean_of("impressions")), progress=progress)
    assert goal.alpha == held.alpha == progress.level(0.05) < 0.01
    assert other.alpha == 0.05


def test_the_verdict_of_a_running_test_follows_its_band(rng):
    test = reduced(log_like(rng, n_users=3000, lift=0.25))
    metrics = (CTR,)
    whole = analyze(test, planned=HALVES, metrics=metrics)
    early = analyze(test, planned=HALVES, metrics=metrics, progress=of_days(6, 60))
    assert whole.verdict.call == "ship"
    assert (early.verdict.call, early.verdict.running) == ("inconclusive", True)
    assert early.looks["low"].iloc[-1] < 0 < whole.looks["low"].iloc[-1]
    assert early.looks["fraction"].iloc[-1] == pytest.approx(0.1)
    open_end = analyze(test, planned=HALVES, metrics=metrics, progress=of_days(6, None))
    assert (open_end.looks["low"] == open_end.looks["anytime_low"]).all()
    assert replace(early.verdict, progress=of_days(60, 60)).running is False


def test_where_users_are_not_told_by_day_the_days_alone_say_how_far_a_test_is():
    early = progress_of(None, planned_days=10, days=5, shape="obrien_fleming")
    assert early.reached[-1] == 0.5
    assert early.level(0.05) < 0.02
    assert progress_of(None, planned_days=5, days=5, shape="obrien_fleming").reached[-1] == 1
    assert progress_of(None, shape="obrien_fleming") is None
    with pytest.raises(ParameterError, match="planned_days"):
        progress_of(None, planned_users=100, days=5, shape="obrien_fleming")
