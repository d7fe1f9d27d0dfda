"""What the estimates share: variances by the delta method, Welch's degrees of freedom, tails, corrections for many."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from scipy import special, stats

from recab_helpers.impressions.statistics import SufficientStatistics

Number = TypeVar("Number", float, np.ndarray)
FEW_EFFECTIVE = 100  # users, from which on their number changes an interval by about one in a hundred
LOPSIDED, FEW = 5, 500  # times the users of the other variant, and users of that one, where its variance may mislead
ROUNDING = 1e-12  # variance as a share of the squared value, below which it is rounding error


def variance_of(s: SufficientStatistics, gradient: np.ndarray) -> float:
    """Variance of a value with this derivative by the column means (delta method)."""
    return float(gradient @ s.cov @ gradient) / s.n if s.n else math.nan


def before(s: SufficientStatistics, covariates: Sequence[tuple[str, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Values of covariates, shape (k,), and their derivatives by the column means, shape (k, n_columns)."""
    values, gradients = zip(*(s.gradient(c) for c in covariates), strict=True)
    return np.array(values), np.array(gradients)


def regression(
    s: SufficientStatistics, gradient: np.ndarray, covariates: Sequence[tuple[str, ...]]
) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """Which of these covariates adjust a value with this derivative, and the coefficients, shape (k,); none, nothing.

    Each is the mean of a column, or a ratio of two. What does not vary, or says nothing, is left out.
    """
    if not covariates:
        return [], np.zeros(0)
    values, by = before(s, covariates)
    variance = np.array([g @ s.cov @ g for g in by])
    used = np.isfinite(values) & (variance > 0)
    scaled = by[used] / np.sqrt(variance[used])[:, None]
    if not used.any() or not np.isfinite(gradient).all():
        return [], np.zeros(0)
    theta = scaled @ s.cov @ gradient
    if len(theta) > 1:  # of one, the scaled variance is 1
        theta = np.linalg.pinv(scaled @ s.cov @ scaled.T, rcond=1e-9) @ theta
    theta /= np.sqrt(variance[used])
    kept = [c for c, u in zip(covariates, used, strict=True) if u]
    return [c for c, t in zip(kept, theta, strict=True) if t], theta[theta != 0]


def effective_users(s: SufficientStatistics, denominator: str) -> float:
    """Users that count as much in a ratio as so many with equal denominators: (sum d)^2 / sum d^2 (Kish 1965).

    A few heavy users carry a ratio, so that its error is known less well than the number of users says (Carter,
    Schnepel and Steigerwald 2017). At least 2. Where it is FEW_EFFECTIVE or more it is of no account, and all users
    count.
    """
    at = s.columns.index(denominator)
    square = float(s.mean[at]) ** 2
    spread = float(s.cov[at, at]) * (s.n - 1) / s.n if s.n > 1 else 0.0
    effective = s.n * square / (square + spread) if square > 0 else math.inf
    return max(effective, 2.0) if effective < FEW_EFFECTIVE else float(s.n)


def lopsided(control: SufficientStatistics, treatment: SufficientStatistics, column: str) -> bool:
    """Whether one variant has few users and the other many, so that the variances are best taken to be alike.

    Of few users with heavy tails the variance is small whenever the mean is: Welch's test of 20 against 2,000 users
    with gamma activity rejected 11% where nothing was, that of one common variance (Student 1908) 4%.
    """
    few, many = sorted((control, treatment), key=lambda s: s.n)
    return 1 < few.n < FEW and many.n >= LOPSIDED * few.n and effective_users(few, column) < FEW_EFFECTIVE


def welch_freedom(c_var: Number, c_n: Number, t_var: Number, t_n: Number) -> Number:
    """Degrees of freedom of the difference of two estimates with these variances (Welch 1947)."""
    return (c_var + t_var) ** 2 / (c_var**2 / (c_n - 1) + t_var**2 / (t_n - 1))


def t_tail(t: float, freedom: float) -> float:
    """P(T > t) of Student's distribution, exact far out; as scipy.stats.t.sf without its overhead."""
    return float(special.stdtr(freedom, -t))


def normal_tail(z: float) -> float:
    """P(Z > z) of the standard normal, exact far out."""
    return float(special.ndtr(-z))


def normal_critical(tail: float) -> float:
    """The z that leaves this tail above it."""
    return float(-special.ndtri(tail))


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
