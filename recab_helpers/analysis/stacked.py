"""The log ratio of `effects.estimate`, of many looks at once: the same formulas on arrays with an axis of looks."""

from dataclasses import replace

import numpy as np

from recab_helpers.analysis.metrics import MetricSpec, covariates_of
from recab_helpers.analysis.statistics import FEW, FEW_EFFECTIVE, LOPSIDED, ROUNDING, welch_freedom
from recab_helpers.impressions.statistics import Stacked


def log_ratios(metric: MetricSpec, control: Stacked, treatment: Stacked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log(treatment / control), its standard error and that error's degrees of freedom, of every look, shape (n,).

    As `estimate` finds them one by one, with CUPED where the statistics have the covariate. The error is nan at a look
    without a lift, or whose lift is -1.
    """
    with np.errstate(all="ignore"):
        both = _together(control, treatment)
        (c, c_by), (t, t_by), (_, by) = (_value(s, metric.columns) for s in (control, treatment, both))
        covariates = covariates_of(metric, control.columns)
        c_shared, t_shared = np.zeros_like(c_by), np.zeros_like(t_by)
        if covariates:
            of = [[_value(s, x) for x in covariates] for s in (control, treatment, both)]
            (c_was, c_was_by), (t_was, t_was_by), (was, was_by) = (
                (np.stack([v for v, _ in one], axis=-1), np.stack([g for _, g in one], axis=-2)) for one in of
            )
            theta = _theta(both.cov, by, was, was_by)
            adjusted = np.einsum("dk,dkj->dj", theta, np.nan_to_num(was_by))
            c_shared, t_shared = ((s.n / both.n)[:, None] * adjusted for s in (control, treatment))
            c, t = c - _dot(theta, np.nan_to_num(c_was - was)), t - _dot(theta, np.nan_to_num(t_was - was))
            c_by = c_by - np.einsum("dk,dkj->dj", theta, np.nan_to_num(c_was_by))
            t_by = t_by - np.einsum("dk,dkj->dj", theta, np.nan_to_num(t_was_by))
        users, grow = [control.n, treatment.n], [np.ones_like(c), np.ones_like(c)]
        if metric.kind == "mean":
            common = _lopsided(control, treatment, metric.numerator)
            users = [np.where(common, both.n, n) for n in users]
            control, treatment = (
                replace(s, cov=np.where(common[:, None, None], both.cov, s.cov)) for s in (control, treatment)
            )
        if metric.kind == "ratio":
            users = [_effective(s, metric.denominator) for s in (control, treatment)]
            grow = [(1 - 1 / s.n) / (1 - 1 / u) for s, u in zip((control, treatment), users, strict=True)]
        rounding = ROUNDING if metric.kind == "ratio" else ROUNDING**2
        varies = (grow[0] * _variance(control, c_by) * control.n > rounding * c**2) | (
            grow[1] * _variance(treatment, t_by) * treatment.n > rounding * t**2
        )
        x = grow[0] * _variance(control, c_shared / t[:, None] - (c_by + c_shared) / c[:, None])
        y = grow[1] * _variance(treatment, (t_by + t_shared) / t[:, None] - t_shared / c[:, None])
        defined = varies & (c > 0) & (t > 0) & (control.n > 1) & (treatment.n > 1)
        log_se = np.where(defined, np.sqrt(x + y), np.nan)
        return np.log(t / c), log_se, welch_freedom(x, users[0], y, users[1])


def _together(one: Stacked, other: Stacked) -> Stacked:
    """Statistics of both groups (Chan, Golub and LeVeque 1983)."""
    n = one.n + other.n
    empty = (one.n == 0) | (other.n == 0)
    shift = np.where(empty[:, None], 0.0, other.mean - one.mean)
    mean = np.where((one.n == 0)[:, None], other.mean, one.mean + shift * (other.n / n)[:, None])
    scatter = sum(np.nan_to_num(s.cov) * np.maximum(s.n - 1, 0)[:, None, None] for s in (one, other))
    scatter = scatter + shift[:, :, None] * shift[:, None, :] * (one.n * other.n / n)[:, None, None]
    return Stacked(n=n, columns=one.columns, mean=mean, cov=scatter / np.where(n > 1, n - 1, np.nan)[:, None, None])


def _value(s: Stacked, columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """`SufficientStatistics.gradient` of every look: values (n,) and derivatives (n, n_columns)."""
    by, top = np.zeros_like(s.mean), s.columns.index(columns[0])
    if len(columns) == 1:
        by[:, top] = 1.0
        return s.mean[:, top], by
    under = np.where((below := s.mean[:, s.columns.index(columns[1])]) > 0, below, np.nan)
    ratio = s.mean[:, top] / under
    by[:, top], by[:, s.columns.index(columns[1])] = 1 / under, -ratio / under
    return ratio, np.where(np.isfinite(under)[:, None], by, np.nan)


def _theta(cov: np.ndarray, by: np.ndarray, was: np.ndarray, was_by: np.ndarray) -> np.ndarray:
    """`statistics.regression` of every look, shape (n, k); 0 of a covariate that is left out."""
    variance = np.einsum("dki,dij,dkj->dk", was_by, cov, was_by)
    used = np.isfinite(was) & (variance > 0) & np.isfinite(by).all(axis=1)[:, None]
    sd = np.sqrt(np.where(used, variance, 1.0))
    scaled = np.where(used[:, :, None], np.nan_to_num(was_by), 0.0) / sd[:, :, None]
    cov, by = np.nan_to_num(cov), np.nan_to_num(by)
    inverse = np.linalg.pinv(np.einsum("dki,dij,dlj->dkl", scaled, cov, scaled), rcond=1e-9)
    return np.einsum("dkl,dli,dij,dj->dk", inverse, scaled, cov, by, optimize=True) / sd


def _variance(s: Stacked, gradient: np.ndarray) -> np.ndarray:
    """`statistics.variance_of` of every look."""
    return np.einsum("di,dij,dj->d", gradient, s.cov, gradient) / s.n


def _effective(s: Stacked, denominator: str) -> np.ndarray:
    """`statistics.effective_users` of every look."""
    at = s.columns.index(denominator)
    square = s.mean[:, at] ** 2
    effective = s.n * square / (square + s.cov[:, at, at] * (s.n - 1) / s.n)
    return np.where(effective < FEW_EFFECTIVE, np.maximum(effective, 2.0), s.n)


def _lopsided(control: Stacked, treatment: Stacked, column: str) -> np.ndarray:
    """`statistics.lopsided` of every look."""
    few, many = np.minimum(control.n, treatment.n), np.maximum(control.n, treatment.n)
    of_few = np.where(control.n <= treatment.n, _effective(control, column), _effective(treatment, column))
    return (few > 1) & (few < FEW) & (many >= LOPSIDED * few) & (of_few < FEW_EFFECTIVE)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("dk,dk->d", a, b)
