"""Carry-over: what the session before leaves behind is told, and chance alone is not."""

import numpy as np
import pytest

from recab_helpers.analysis.carry_over import carry_over
from recab_helpers.impressions.aggregates import Within
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.impressions.within import AFTER_OTHER, AFTER_SAME, at

VARIANTS = ("control", "treatment")


def drawn(rng, change: float, n: int = 4000) -> Within:
    """Users with a rate of their own, whose CTR is `change` higher after a session of the other variant."""
    rate, columns = rng.beta(2, 18, n), {}
    for v, lift in zip(VARIANTS, (0.0, 0.2), strict=True):
        for after, more in ((AFTER_SAME, 0.0), (AFTER_OTHER, change)):
            shown = 10 * rng.poisson(2, n)
            columns[at(f"impressions {after}", v)] = shown
            columns[at(f"clicks {after}", v)] = rng.binomial(shown, rate * (1 + lift) * (1 + more))
    values = np.column_stack(list(columns.values())).astype(float)
    return Within(design="sessions", statistics=SufficientStatistics.of(values, tuple(columns)))


def test_carry_over_is_told_with_its_size(rng):
    change, p = carry_over(drawn(rng, 0.1), VARIANTS)
    assert change == pytest.approx(0.1, abs=0.04)
    assert p < 1e-4


def test_without_carry_over_the_p_value_is_uniform(rng):
    p = [carry_over(drawn(rng, 0.0, 500), VARIANTS)[1] for _ in range(400)]
    assert abs(np.mean(np.array(p) < 0.1) - 0.1) < 4 * np.sqrt(0.09 / 400)


def test_sessions_without_an_order_tell_none():
    of = SufficientStatistics.of(np.ones((5, 1)), (at("clicks", "control"),))
    assert carry_over(Within(design="sessions", statistics=of), VARIANTS) is None
