"""What the estimates share: variances by the delta method, Welch's degrees of freedom, tails, corrections for many."""

import math
from collections.abc import Iterable

import numpy as np
from scipy import special, stats

from recab_helpers.impressions.aggregates import SufficientStatistics

ROUNDING = 1e-12  # variance as a share of the squared value, below which it is rounding error


def variance_of(s: SufficientStatistics, gradient: np.ndarray) -> float:
    """Variance of a value with this derivative by the column means (delta method)."""
    return float(gradient @ s.cov @ gradient) / s.n if s.n else math.nan


def welch_freedom(c_var: float, c_n: int, t_var: float, t_n: int) -> float:
    """Degrees of freedom of the difference of two estimates with these variances (Welch 1947)."""
    return (c_var + t_var) ** 2 / (c_var**2 / (c_n - 1) + t_var**2 / (t_n - 1))


def t_tail(t: float, freedom: float) -> float:
    """P(T > t) of Student's distribution, exact far out; as scipy.stats.t.sf without its overhead."""
    return float(special.stdtr(freedom, -t))


def t_critical(tail: float, freedom: float) -> float:
    """The t that leaves this tail above it."""
    return float(-special.stdtrit(freedom, tail))


def bonferroni(p_values: Iterable[float]) -> float:
    """Smallest defined p times their number, at most 1; nan where none is defined."""
    defined = [p for p in p_values if not math.isnan(p)]
    return min(1.0, min(defined) * len(defined)) if defined else math.nan


def holm(p: np.ndarray) -> np.ndarray:
    """Step-down adjusted p-values that keep the familywise error (Holm 1979).

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values that keep the false discovery rate (Benjamini and Hochberg 1995).

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.04, 0.04])
    """
    return stats.false_discovery_control(p) if len(p) else p
