"""Sessions: their closed forms, and the activity that everything assumes."""

import numpy as np
import pytest
from scipy import stats

from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.simulation import Traffic, draw_session_counts, draw_session_rates

IDS = np.array([f"u{i}" for i in range(20_000)])


def test_discounted_sessions_in_closed_form_equal_their_series():
    rate, factor = np.array([0.3, 2.0, 9.0]), 0.8
    traffic = Traffic(session_rate=rate, horizon_days=1)
    sessions = np.arange(1, 200)[:, None]
    series = (stats.poisson.sf(sessions - 1, rate) * factor ** (sessions - 1)).sum(0)
    assert traffic.discounted_sessions(factor) == pytest.approx(series)
    assert np.array_equal(traffic.discounted_sessions(1.0), rate)


def test_session_rates_have_the_assumed_shape_and_counts_follow_them():
    rate = draw_session_rates(IDS, seed=3)
    assert stats.kstest(rate, stats.gamma(ACTIVITY_SHAPE, scale=MEAN_SESSIONS / ACTIVITY_SHAPE).cdf).pvalue > 1e-4
    counts = draw_session_counts(IDS, rate, seed=3)
    off = (counts - rate) / np.sqrt(rate)
    assert abs(off.mean()) < 4 / np.sqrt(len(IDS))
    assert off.var() == pytest.approx(1, abs=0.1)
