"""Bands that stay honest when a running test is read more than once.

Two ways: spend alpha over planned looks (Lan and DeMets 1983), or pay for any number of looks with an asymptotic
confidence sequence (Waudby-Smith et al. 2024). Looks follow time; a look without a number is nan.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import optimize, special
from scipy.interpolate import CubicSpline

Shape = Literal["obrien_fleming", "pocock"]
Band = tuple[np.ndarray, np.ndarray]  # low, high; one value per look
Density = Callable[[np.ndarray], np.ndarray]

NEGLIGIBLE_ALPHA = 1e-12  # less than this is not spent but kept for the next look; no level is smaller
REACH = 9.0  # standard deviations that carry all the mass: sf(9) = 1e-19
ROUNDING = 0.01  # share of a boundary by which it is looked for below its least, so that rounding hides none
NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)  # exact to 1e-12 on a normal density over +-REACH
ANGLES = np.linspace(0, math.pi / 2, 161)  # sines of these crowd at the boundary, where the density bends; it is even


def spending(fraction: np.ndarray, *, alpha: float, shape: Shape) -> np.ndarray:
    """Two-sided alpha spent up to each information fraction (Lan and DeMets 1983), each tail on its own alpha / 2.

    O'Brien-Fleming-like, a tail: 2 - 2 Phi(z(1 - alpha/4) / sqrt(t)); Pocock-like: alpha log(1 + (e - 1) t).
    """
    _check_alpha(alpha)
    t = _checked_fraction(fraction)
    if shape == "obrien_fleming":
        return 4 * special.ndtr(special.ndtri(alpha / 4) / np.sqrt(t))
    if shape == "pocock":
        return alpha * np.log1p((math.e - 1) * t)
    raise ValueError(f"shape is {shape!r}; give 'obrien_fleming' or 'pocock'.")


def boundaries(fraction: np.ndarray, *, alpha: float = 0.05, shape: Shape = "obrien_fleming") -> np.ndarray:
    """Critical |z| of each look; inf where there is no alpha to spend yet.

    The density of the score, of those not stopped before, goes from look to look by numerical integration
    (Armitage, McPherson and Rowe 1969); the boundary is the root that lets out what the look may spend.

    >>> boundaries(np.array([0.5, 1.0])).round(3)
    array([2.963, 1.969])
    """
    cumulative = spending(fraction, alpha=alpha, shape=shape)
    t = _checked_fraction(fraction)
    critical, spent, seen = np.full(t.shape, math.inf), 0.0, 0.0
    density: Density | None = None
    edge = 0.0  # where the density ends
    for k, out in enumerate(cumulative):
        if out - spent < NEGLIGIBLE_ALPHA:
            continue  # nobody is stopped here, so that the next look goes on from the same density
        scale, sd = math.sqrt(t[k]), math.sqrt(t[k] - seen)
        critical[k] = _critical(out - spent, out, density, edge, sd, scale)
        score, spent, seen = critical[k] * scale, out, t[k]
        if k + 1 < len(t):
            density, edge = _advance(density, edge, sd, new_edge=score), score
    return critical


def adjusted_intervals(
    estimate: np.ndarray,
    se: np.ndarray,
    fraction: np.ndarray,
    *,
    alpha: float = 0.05,
    shape: Shape = "obrien_fleming",
    freedom: np.ndarray | None = None,
) -> Band:
    """Repeated confidence intervals (Jennison and Turnbull 1989): the band that may be read at every planned look.

    Where `se` is known with few degrees of `freedom`, Student's t takes the place of the normal at every look's level.
    """
    estimate, se = _checked_looks(estimate, se)
    critical = boundaries(fraction, alpha=alpha, shape=shape)
    if critical.shape != se.shape:
        raise ValueError(f"fraction has {critical.size} looks, estimate has {se.size}; give one fraction per look.")
    return _around(estimate, se, critical, freedom)


def confidence_sequence(
    estimate: np.ndarray,
    se: np.ndarray,
    *,
    alpha: float = 0.05,
    best_at: float | None = None,
    freedom: np.ndarray | None = None,
) -> Band:
    """Band that may be read at any look, planned or not (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024).

    Robbins' normal mixture on information 1 / se^2, tightest where information is `best_at` times that of the last
    look (default 1). Fix that point before the test: while it runs, give planned / current information, above 1.
    `freedom` is that of `adjusted_intervals`.
    """
    _check_alpha(alpha)
    estimate, se = _checked_looks(estimate, se)
    best_at = 1.0 if best_at is None else best_at
    if not 0 < best_at < math.inf:
        raise ValueError(f"best_at is {best_at}; give a positive share of the last information, such as 1.")
    if not math.isfinite(se[-1]):
        raise ValueError(f"se of the last look is {se[-1]}; leave out looks after the last one that has a number.")
    surprise = -2 * math.log(alpha)
    r = (surprise + math.log1p(surprise)) * (se[-1] / se) ** 2 / best_at  # rho^2 t of the paper
    critical = np.sqrt((1 + 1 / r) * (np.log1p(r) + surprise))
    return _around(estimate, se, critical, freedom)


def _around(estimate: np.ndarray, se: np.ndarray, critical: np.ndarray, freedom: np.ndarray | None) -> Band:
    half = se * (critical if freedom is None else students(critical, freedom))
    return estimate - half, estimate + half


def crosses(
    estimate: np.ndarray,
    se: np.ndarray,
    fraction: np.ndarray,
    *,
    alpha: float = 0.05,
    shape: Shape = "obrien_fleming",
    freedom: np.ndarray,
) -> bool:
    """Whether the band of `adjusted_intervals` leaves out zero at any look, mostly without making it.

    A look's boundary lets out no more than what was spent up to it and no less than what it spends itself, so that it
    lies between the boundaries of a single look at these two levels; where no estimate lies between them, they tell.

    >>> one = {"fraction": np.array([0.5, 1.0]), "freedom": np.array([1e9, 1e9])}
    >>> crosses(np.array([3.0, 1.9]), np.ones(2), **one), crosses(np.array([2.9, 1.9]), np.ones(2), **one)
    (True, False)
    """
    estimate, se = _checked_looks(estimate, se)
    spent = spending(fraction, alpha=alpha, shape=shape)
    own = np.diff(spent, prepend=0.0)
    surprise = np.abs(estimate) / se
    most, least = (-special.ndtri(np.maximum(s, NEGLIGIBLE_ALPHA) / 2) for s in (own, spent))
    sure = own > 2 * NEGLIGIBLE_ALPHA  # less is kept for the next look, which then has more than its own
    if (surprise[sure] > students(most, freedom)[sure] * (1 + 1e-9)).any():
        return True
    doubtful = np.flatnonzero(surprise > students(least, freedom) * (1 - 1e-9))
    if not len(doubtful):
        return False
    last = doubtful[-1] + 1  # the looks after it change no boundary before them
    critical = _boundaries(tuple(np.asarray(fraction, dtype=float)[:last]), alpha, shape)
    return bool((surprise[:last] > students(np.array(critical), freedom[:last])).any())


@lru_cache(maxsize=256)
def _boundaries(fraction: tuple[float, ...], alpha: float, shape: Shape) -> tuple[float, ...]:
    """`boundaries`, kept: days of the calendar are the same shares of a plan in every test."""
    return tuple(boundaries(np.array(fraction), alpha=alpha, shape=shape).tolist())


def students(critical: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Student's t at the levels of these critical |z|, which are inf where nothing may be spent.

    >>> students(np.array([1.96, np.inf]), np.array([10.0, 10.0])).round(3)
    array([2.228,   inf])
    """
    tail = np.maximum(special.ndtr(-critical), NEGLIGIBLE_ALPHA / 2)
    return np.where(np.isfinite(critical), -special.stdtrit(freedom, tail), math.inf)


def first_crossing(low: np.ndarray, high: np.ndarray) -> int | None:
    """First look whose band leaves zero out: when the test could have stopped. None if it never does."""
    outside = np.flatnonzero((np.asarray(low) > 0) | (np.asarray(high) < 0))
    return int(outside[0]) if outside.size else None


def _critical(increment: float, spent: float, density: Density | None, edge: float, sd: float, scale: float) -> float:
    """The |z| of a look whose score has this `scale` that lets out `increment`, so that `spent` is out with it."""
    if density is None:  # the first look starts from zero, not from a density
        return float(-special.ndtri(increment / 2))
    alone = -special.ndtri(spent / 2)  # of a single look at all that is out: no look's boundary is narrower
    ends = scale * alone * (1 - ROUNDING), edge + REACH * sd
    return float(optimize.brentq(_excess, *ends, args=(increment, density, edge, sd), xtol=1e-12)) / scale


def _excess(score: float, increment: float, density: Density, edge: float, sd: float) -> float:
    """Log of the chance to pass +-score at this look over the chance allowed; zero at the boundary."""
    cuts = np.clip([score - REACH * sd, score + REACH * sd], -edge, edge)
    u, w = _panels(np.array([cuts[0], cuts[1]]), np.array([cuts[1], edge]))
    passing = 2 * np.sum(w * density(u) * special.ndtr((u - score) / sd))
    return math.log(max(passing, 1e-300) / increment)  # past the reach nothing is left


def _advance(density: Density | None, edge: float, sd: float, *, new_edge: float) -> Density:
    """Density of the score at this look within +-new_edge, given that of the look before."""
    if density is None:
        return lambda x: _normal_density(x / sd) / sd
    x = new_edge * np.sin(ANGLES)
    u, w = _panels(np.clip(x - REACH * sd, -edge, edge), np.clip(x + REACH * sd, -edge, edge))
    at = np.sum(w * density(u) * _normal_density((x[:, None] - u) / sd) / sd, axis=1)
    spline = CubicSpline(ANGLES, at, bc_type=((1, 0.0), "not-a-knot"))
    return lambda v: np.maximum(spline(np.arcsin(np.minimum(np.abs(v) / new_edge, 1))), 0)


def _normal_density(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _panels(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre points and weights, one row per interval."""
    half = (high - low)[:, None] / 2
    return low[:, None] + half * (1 + NODES), half * WEIGHTS


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; give a value between 0 and 1, such as 0.05 for a 95% band.")


def _checked_fraction(fraction: np.ndarray) -> np.ndarray:
    t = np.asarray(fraction, dtype=float)
    if t.ndim != 1 or not t.size or not (np.all(np.diff(t, prepend=0.0) > 0) and t[-1] <= 1):
        raise ValueError(f"fraction is {t}; give information that grows from look to look, above 0 and up to 1.")
    return t


def _checked_looks(estimate: np.ndarray, se: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    estimate, se = np.asarray(estimate, dtype=float), np.asarray(se, dtype=float)
    if estimate.ndim != 1 or not estimate.size or estimate.shape != se.shape:
        raise ValueError(f"estimate has shape {estimate.shape}, se {se.shape}; give one of each per look.")
    if (wrong := se[(se <= 0) | np.isinf(se)]).size:
        raise ValueError(f"se has {wrong[0]}; give finite values above 0, and nan at a look that has none.")
    return estimate, se
