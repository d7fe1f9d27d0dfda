"""Drawn tests have the rates that their population states, and are the aggregates that a log would give."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR
from recab_helpers.calibration.populations import BATCH, MOST_LOOKS, MOST_USERS, VARIANTS, Population, draw_tests, like
from tests.made import HALVES, LOG, log_like, reduced


def test_drawn_users_have_the_stated_rates():
    population = Population(n_users=4000, ctr=0.05, lift=0.2, lift_sd=0.0, allocation=0.3)
    ctr, shares = {v: [] for v in VARIANTS}, []
    for lift, test in draw_tests(population, 40, 5):
        assert lift == 0.2
        for v, s in test.users.statistics.items():
            ctr[v].append(s.sum("clicks") / s.sum("impressions"))
        shares.append(test.users.counts["treatment"] / test.users.whole.n)
    assert np.mean(ctr["control"]) == pytest.approx(0.05, rel=0.03)
    assert np.mean(ctr["treatment"]) / np.mean(ctr["control"]) == pytest.approx(1.2, rel=0.03)
    assert np.mean(shares) == pytest.approx(0.3, abs=0.01)


def test_the_period_before_the_test_knows_no_treatment():
    population = Population(n_users=4000, lift=1.0)
    before = {v: [] for v in VARIANTS}
    for _, test in draw_tests(population, 20, 6):
        for v, s in test.users.statistics.items():
            before[v].append(s.sum("pre_clicks") / s.sum("pre_impressions"))
    assert np.mean(before["treatment"]) == pytest.approx(np.mean(before["control"]), rel=0.03)
    assert np.mean(before["control"]) == pytest.approx(population.ctr, rel=0.03)


def test_lifts_are_drawn_around_the_population_s_own():
    lifts = [lift for lift, _ in draw_tests(Population(n_users=20, lift_sd=0.2), 400, 7)]
    assert stats.kstest(np.log1p(lifts), stats.norm(0, 0.2).cdf).pvalue > 1e-3


def test_draws_repeat_themselves_and_differ_by_seed():
    population = Population(n_users=100, lift_sd=0.1)
    one, two, other = (list(draw_tests(population, 3, seed)) for seed in (1, 1, 2))
    assert [lift for lift, _ in one] == [lift for lift, _ in two] != [lift for lift, _ in other]
    for (_, a), (_, b) in zip(one, two, strict=True):
        assert a.users.whole.cov.tolist() == b.users.whole.cov.tolist()
    assert len(list(draw_tests(population, BATCH + 3, 1))) == BATCH + 3


def test_the_last_day_of_a_drawn_test_is_its_whole():
    for _, test in draw_tests(Population(n_users=200), 3, 8):
        for name, s in test.running.at(len(test.running) - 1).items():
            whole = test.users.statistics[name]
            at = [whole.columns.index(c) for c in s.columns]
            assert s.n == whole.n == test.users.histograms[s.columns].counts[name].sum()
            assert s.mean == pytest.approx(whole.mean[at])
            assert s.cov == pytest.approx(whole.cov[np.ix_(at, at)])


def test_a_drawn_test_has_what_every_graded_method_needs():
    _, test = next(draw_tests(Population(n_users=500), 1, 9))
    ctr, per_user = estimate_effects(test.users, (CTR, CLICKS_PER_USER))
    assert ctr.method == "delta method, CUPED"
    assert per_user.method == "Welch, CUPED"
    assert set(test.users.segments) == {"activity"}
    assert set(test.users.histograms) == {("clicks", "impressions")}
    assert test.users.columns[:4] == ("impressions", "clicks", "sessions", "clicked_any")


def test_planned_shares_and_nothing_to_find_are_those_of_the_population():
    assert Population(allocation=0.3).planned == pytest.approx({"control": 0.7, "treatment": 0.3})
    assert Population().null
    assert not Population(lift=0.1).null
    assert not Population(lift_sd=0.1).null


# Like a log


def test_a_population_like_a_log_has_its_size_and_rates(rng):
    log = log_like(rng, n_users=500)
    test = reduced(log)
    found = like(test, {"control": 0.8, "treatment": 0.2})
    control = log[log["variant"] == "control"]
    assert found.n_users == 500
    assert found.ctr == pytest.approx(control["clicked"].mean())
    assert found.mean_sessions == pytest.approx(len(log) / 500)
    assert (found.slate_size, found.n_days, found.null) == (1, 6, True)
    assert found.allocation == pytest.approx(0.2)


def test_a_population_like_a_drawn_test_is_the_one_that_it_was_drawn_from():
    population = Population(n_users=1500, ctr=0.08, mean_sessions=4.0, slate_size=5, n_days=7, allocation=0.3)
    ((_, test),) = draw_tests(population, 1, 9)
    found = like(test, population.planned)
    assert (found.slate_size, found.n_days, found.allocation) == (5, 7, pytest.approx(0.3))
    assert found.n_users == test.users.whole.n
    assert found.ctr == pytest.approx(0.08, rel=0.1)


def test_a_population_like_a_large_log_is_no_larger_than_what_grades_in_seconds(rng):
    test = reduced(LOG)
    control = test.users.statistics["control"]
    large = replace(test.users, statistics=test.users.statistics | {"control": replace(control, n=10**7)})
    assert like(replace(test, users=large), HALVES).n_users == MOST_USERS
    assert like(replace(test, running=None), HALVES).n_days == 1


def test_a_year_is_graded_at_no_more_looks_than_a_month_with_as_much_seen_in_all():
    """Its grading took 26 times as long as that of two weeks, and as much more memory."""
    ((_, year),) = draw_tests(Population(n_users=200, ctr=0.1, n_days=366), 1, 9)
    found = like(year, HALVES)
    assert found.n_days == MOST_LOOKS
    assert found.mean_sessions == year.users.whole.sum("sessions") / year.users.whole.n


def test_a_population_like_a_log_without_clicks_has_some(rng):
    assert like(reduced(LOG.assign(clicked=0)), HALVES).ctr == 1e-4
    assert like(reduced(LOG.assign(clicked=1)), HALVES).ctr == 0.5
