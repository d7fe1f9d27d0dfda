"""Drawn tests have the rates that their population states."""

import numpy as np
import pytest

from recab_helpers.calibration.populations import Population, draw_tests, like


def test_drawn_users_have_the_stated_rates():
    population = Population(n_users=4000, ctr=0.05, lift=0.2, lift_sd=0.0, allocation=0.3)
    ctr, shares = {"control": [], "treatment": []}, []
    for lift, test in draw_tests(population, 40, 5):
        assert lift == 0.2
        for variant, s in test.users.statistics.items():
            ctr[variant].append(s.sum("clicks") / s.sum("impressions"))
        shares.append(test.users.counts["treatment"] / test.users.whole.n)
    assert np.mean(ctr["control"]) == pytest.approx(0.05, rel=0.03)
    assert np.mean(ctr["treatment"]) / np.mean(ctr["control"]) == pytest.approx(1.2, rel=0.03)
    assert np.mean(shares) == pytest.approx(0.3, abs=0.01)


def test_what_is_drawn_adds_up():
    (_, test), *_ = draw_tests(Population(n_users=300, n_days=5), 1, 3)
    last = test.running.at(len(test.running) - 1)
    for variant, s in test.users.statistics.items():
        assert last[variant].n == s.n == sum(test.users.histograms["clicks", "impressions"].counts[variant])
        assert last[variant].sum("clicks") == pytest.approx(s.sum("clicks"))
        assert last[variant].cov[0, 0] == pytest.approx(s.cov[s.columns.index("clicks"), s.columns.index("clicks")])


def test_a_population_like_a_test_has_its_size_and_rates():
    population = Population(n_users=1500, ctr=0.08, mean_sessions=4.0, slate_size=5, n_days=7, allocation=0.3)
    (_, test), *_ = draw_tests(population, 1, 9)
    found = like(test, population.planned)
    assert (found.slate_size, found.n_days, found.allocation) == (5, 7, pytest.approx(0.3))
    assert found.n_users == test.users.whole.n
    assert found.ctr == pytest.approx(0.08, rel=0.1)
    assert found.null
