"""Published boundaries, closed forms, invariances, and the error of every reading by simulation."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from recab_helpers.analysis.sequential import (
    adjusted_intervals,
    boundaries,
    confidence_sequence,
    crosses,
    first_crossing,
    spending,
)
from tests import published

SHAPES = ("obrien_fleming", "pocock")
N_PATHS = 40_000


def equal_looks(n: int) -> np.ndarray:
    return np.arange(1, n + 1) / n


def null_z(fraction: np.ndarray, *, seed: int) -> np.ndarray:
    """z of each look of many tests without an effect: Brownian motion over its standard deviation."""
    steps = np.random.default_rng(seed).standard_normal((N_PATHS, len(fraction)))
    return np.cumsum(steps * np.sqrt(np.diff(fraction, prepend=0)), axis=1) / np.sqrt(fraction)


# Published


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        *(("obrien_fleming", b) for b in published.OBRIEN_FLEMING_SPENDING.boundaries),
        *(("pocock", b) for b in published.POCOCK_SPENDING.boundaries),
    ],
)
def test_boundaries_are_the_published_ones(shape, expected):
    tolerance = 0.0005 if shape == "obrien_fleming" else 0.001
    printed = [b.expected for b in expected]
    np.testing.assert_allclose(boundaries(equal_looks(len(printed)), shape=shape), printed, atol=tolerance)


# Closed forms


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_all_alpha_is_spent_at_the_end_and_one_look_is_the_plain_test(shape, alpha):
    assert spending(np.array([0.3, 1.0]), alpha=alpha, shape=shape)[-1] == pytest.approx(alpha, rel=1e-12)
    assert boundaries(np.array([1.0]), alpha=alpha, shape=shape) == pytest.approx(stats.norm.isf(alpha / 2), abs=1e-9)


def test_a_lone_early_look_takes_just_what_may_be_spent():
    t = np.array([0.25])
    spent = 2 * (2 - 2 * stats.norm.cdf(stats.norm.isf(0.0125) / 0.5))  # both tails, each at 0.025
    assert spending(t, alpha=0.05, shape="obrien_fleming") == pytest.approx(spent, rel=1e-9)
    assert boundaries(t) == pytest.approx(stats.norm.isf(spent / 2), abs=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_unequal_looks_spend_alpha_as_the_multivariate_normal_says(shape):
    t = np.array([0.2, 0.27, 0.8])
    b = boundaries(t, shape=shape)
    cov = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    for k, spent in enumerate(spending(t, alpha=0.05, shape=shape), start=1):
        normal = stats.multivariate_normal(cov=cov[:k, :k], abseps=1e-8, releps=1e-8, maxpts=1_000_000, seed=1)
        assert 1 - normal.cdf(b[:k], lower_limit=-b[:k]) == pytest.approx(spent, abs=2e-6)


def test_confidence_sequence_is_robbins_normal_mixture():
    # n = 100 of variance 1, rho = 0.5, alpha = 0.05: sqrt(2 (n rho^2 + 1) / (n^2 rho^2) log(sqrt(n rho^2 + 1) / alpha))
    alpha, n, rho2 = 0.05, 100, 0.25
    half = math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / alpha))
    best_n = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / rho2
    low, high = confidence_sequence([3.0], [1 / math.sqrt(n)], alpha=alpha, best_at=best_n / n)
    assert (low[0], high[0]) == pytest.approx((3 - half, 3 + half), rel=1e-12)


# Hard cases


def test_very_early_looks_get_an_infinite_boundary_and_cost_the_later_ones_nothing():
    b = boundaries(np.array([0.001, 0.01, 0.5, 1.0]))
    assert b[0] == b[1] == math.inf
    assert b[2:] == pytest.approx(boundaries(np.array([0.5, 1.0])), abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("gap", "tolerance"), [(1e-4, 1e-2), (1e-6, 1e-3), (1e-9, 5e-5), (1e-13, 5e-6)])
def test_a_second_look_at_almost_the_same_data_moves_little(shape, gap, tolerance):
    plain = boundaries(np.array([0.5, 1.0]), shape=shape)
    twice = boundaries(np.array([0.5, 0.5 + gap, 1.0]), shape=shape)
    assert twice[1] >= plain[0]
    assert twice[[0, 2]] == pytest.approx(plain, abs=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_thirty_looks_take_well_under_two_seconds(shape):
    start = time.process_time()
    b = boundaries(equal_looks(30), shape=shape)
    assert time.process_time() - start < 2
    assert np.all(b > stats.norm.isf(0.025))


# Invariances


def test_bands_follow_shift_scale_and_sign():
    estimate, se, t = np.array([0.4, 0.1, 0.2]), np.array([0.3, 0.2, 0.15]), np.array([0.25, 0.5625, 1.0])
    for band in (lambda e, s: adjusted_intervals(e, s, t), confidence_sequence):
        low, high = band(estimate, se)
        np.testing.assert_allclose(band(7 * estimate + 1, 7 * se), (7 * low + 1, 7 * high + 1))
        np.testing.assert_allclose(band(-estimate, se), (-high, -low))


def test_confidence_sequence_is_wider_than_one_look_and_tightest_where_asked():
    se = 1 / np.sqrt(equal_looks(100))
    width = {at: confidence_sequence(np.zeros(100), se, best_at=at)[1] / se for at in (0.1, 0.5, 1.0)}
    assert all(np.all(w > stats.norm.isf(0.025)) for w in width.values())
    for at, w in width.items():
        assert w[round(100 * at) - 1] == min(other[round(100 * at) - 1] for other in width.values())
    np.testing.assert_array_equal(confidence_sequence(np.zeros(100), se)[1], width[1.0] * se)
    # the paper's rho is within a thousandth of the best there is
    finest = min(confidence_sequence([0.0], [1.0], best_at=at)[1][0] for at in np.linspace(0.2, 5, 500))
    assert width[1.0][-1] == pytest.approx(finest, rel=1e-3)


def test_a_look_without_a_number_stays_undefined_and_the_others_stand():
    estimate, se = np.array([math.nan, 1.0, 1.0]), np.array([math.nan, 0.2, 0.1])
    low, high = confidence_sequence(estimate, se)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, False, False]
    assert first_crossing(low, high) == 1


def test_first_crossing_is_the_first_band_without_zero():
    assert first_crossing([-1, -2, 0.1], [1, -0.5, 2]) == 1
    assert first_crossing([-1, 0.0, -math.inf], [1, 2, math.inf]) is None


# Calibration


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fraction", [equal_looks(14), np.array([0.02, 0.2, 0.21, 0.6, 1.0])], ids=["equal", "unequal"])
def test_reading_every_planned_look_errs_alpha_of_the_time(shape, fraction):
    z = null_z(fraction, seed=11)
    errors = int(np.any(np.abs(z) > boundaries(fraction, shape=shape), axis=1).sum())
    assert stats.binomtest(errors, N_PATHS, 0.05).pvalue > 1e-4


@pytest.mark.parametrize("n_looks", [14, 100])
def test_confidence_sequence_errs_at_most_alpha_where_the_plain_interval_does_not(n_looks):
    fraction = equal_looks(n_looks)
    z, se = null_z(fraction, seed=12), 1 / np.sqrt(fraction)
    half = confidence_sequence(np.zeros(n_looks), se)[1] / se
    errors, naive = (np.any(np.abs(z) > limit, axis=1).mean() for limit in (half, stats.norm.isf(0.025)))
    assert errors <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / N_PATHS)
    assert naive > 0.15


def test_repeated_intervals_cover_a_true_effect_at_all_looks_together():
    fraction, effect = equal_looks(5), 1.5
    se = 1 / np.sqrt(fraction)
    z = null_z(fraction, seed=13)
    low, high = adjusted_intervals(np.full(5, effect), se, fraction, shape="pocock")
    covered = int(np.all((z * se >= low - effect) & (z * se <= high - effect), axis=1).sum())
    assert stats.binomtest(covered, N_PATHS, 0.95).pvalue > 1e-4


# Refusals


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boundaries(np.array([0.5, 0.5, 1.0])), "grows from look to look"),
        (lambda: boundaries(np.array([0.0, 1.0])), "above 0"),
        (lambda: boundaries(np.array([0.5, 1.1])), "up to 1"),
        (lambda: boundaries(np.array([0.5, math.nan])), "nan"),
        (lambda: boundaries(np.array([])), "fraction is"),
        (lambda: boundaries(np.array([1.0]), alpha=5), "alpha is 5"),
        (lambda: spending(np.array([1.0]), alpha=0.05, shape="haybittle"), "shape is 'haybittle'"),
        (lambda: adjusted_intervals([0.0, 0.0], [1.0, 1.0], [1.0]), "fraction has 1 looks"),
        (lambda: adjusted_intervals([0.0], [0.0], [1.0]), r"se has 0\.0.*nan at a look"),
        (lambda: confidence_sequence([0.0, 0.0], [math.inf, 1.0]), "se has inf"),
        (lambda: confidence_sequence([0.0, 1.0], [1.0]), "one of each per look"),
        (lambda: confidence_sequence([0.0], [1.0], best_at=0), "best_at is 0"),
        (lambda: confidence_sequence([0.0], [math.nan]), "last look"),
    ],
)
def test_a_wrong_value_is_refused_with_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("shape", ["obrien_fleming", "pocock"])
def test_what_crosses_a_band_is_told_without_making_it(rng, shape):
    """Walks near the boundary, with few degrees of freedom and early looks that may spend nothing."""
    crossed = []
    for _ in range(60):
        fraction = np.sort(rng.random(5)) * 0.9 + np.array([0.001, 0.02, 0.04, 0.06, 0.1])
        walk = np.cumsum(rng.standard_normal(5) * np.sqrt(np.diff(fraction, prepend=0))) * 1.8
        se, freedom = 1 / np.sqrt(fraction), rng.uniform(3, 60, 5)
        low, high = adjusted_intervals(walk / fraction, se, fraction, alpha=0.1, shape=shape, freedom=freedom)
        crossed.append(first_crossing(low, high) is not None)
        assert crosses(walk / fraction, se, fraction, alpha=0.1, shape=shape, freedom=freedom) == crossed[-1]
    assert 0.1 < np.mean(crossed) < 0.9
