"""Effects of treatment against control, from sufficient statistics only.

The unit is the user. Ratios (CTR) take the delta method with users as clusters (Deng, Knoblich and Lu 2018);
the interval of a lift is built on the log scale, where it is not forced to be symmetric.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.experiment.metrics import CONTROL, MetricSpec, variants_of

Interval = tuple[float, float]
UNDEFINED: Interval = (math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class SufficientStatistics:
    """Number of users, column means and the sample covariance of the columns (n - 1), in float64."""

    n: int
    mean: pd.Series
    cov: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Treatment against control on one metric; lifts are fractions; undefined numbers are nan, `reason` says why."""

    metric: str
    label: str
    role: str
    comparison: str
    method: str
    n_control: int
    n_treatment: int
    control: float
    treatment: float
    difference: float = math.nan
    difference_ci: Interval = UNDEFINED
    lift: float = math.nan
    lift_ci: Interval = UNDEFINED
    p_value: float = math.nan
    se: float = math.nan
    reason: str = ""


def sufficient_statistics(users: pd.DataFrame, columns: list[str]) -> dict[str, SufficientStatistics]:
    """Per variant, control first; two passes, so that large means do not cancel the variance."""
    values = users[columns].to_numpy(dtype=np.float64)
    out = {}
    for variant in variants_of(users):
        rows = values[(users["variant"] == variant).to_numpy()]
        mean = rows.mean(axis=0)
        centered = rows - mean
        cov = centered.T @ centered / (len(rows) - 1) if len(rows) > 1 else np.full((len(columns),) * 2, np.nan)
        out[variant] = SufficientStatistics(
            n=len(rows), mean=pd.Series(mean, columns), cov=pd.DataFrame(cov, columns, columns)
        )
    return out


def estimate_effects(users: pd.DataFrame, metrics: tuple[MetricSpec, ...], *, alpha: float = 0.05) -> list[Effect]:
    """Every treatment against control on every metric, from the users table."""
    columns = list(dict.fromkeys(c for m in metrics for c in m.columns))
    by_variant = sufficient_statistics(users, columns)
    treatments = [v for v in by_variant if v != CONTROL]
    return [
        estimate(
            metric,
            by_variant[CONTROL],
            by_variant[treatment],
            comparison=f"{treatment} vs {CONTROL}",
            alpha=alpha,
        )
        for metric in metrics
        for treatment in treatments
    ]


def estimate(
    metric: MetricSpec,
    control: SufficientStatistics,
    treatment: SufficientStatistics,
    *,
    comparison: str = f"treatment vs {CONTROL}",
    alpha: float = 0.05,
) -> Effect:
    """Difference with Welch's interval and p, and the lift with its interval on the log scale.

    Welch's degrees of freedom (Welch 1947) also serve the ratio, whose users enter linearized.
    """
    (c, c_var), (t, t_var) = (value_and_variance(metric, s) for s in (control, treatment))
    named = {
        "metric": metric.name,
        "label": metric.label,
        "role": metric.role,
        "comparison": comparison,
        "method": "delta method" if metric.kind == "ratio" else "Welch",
        "n_control": control.n,
        "n_treatment": treatment.n,
        "control": c,
        "treatment": t,
    }
    variance = c_var + t_var
    if not variance > 0:
        return Effect(**named, difference=t - c, reason=_why_undefined(metric, control, treatment, variance))
    freedom = _welch_freedom(c_var, control.n, t_var, treatment.n)
    half, se = stats.t.isf(alpha / 2, freedom) * math.sqrt(variance), math.sqrt(variance)
    lift, lift_ci = math.nan, UNDEFINED
    reason = f"{metric.label} of control is {c:g}; a lift needs positive values in both variants"
    if c > 0 and t > 0:
        log_vars = c_var / c**2, t_var / t**2
        log_freedom = _welch_freedom(log_vars[0], control.n, log_vars[1], treatment.n)
        factor = math.exp(stats.t.isf(alpha / 2, log_freedom) * math.sqrt(sum(log_vars)))
        lift, lift_ci, reason = t / c - 1, (t / c / factor - 1, t / c * factor - 1), ""
    return Effect(
        **named,
        difference=t - c,
        difference_ci=(t - c - half, t - c + half),
        lift=lift,
        lift_ci=lift_ci,
        p_value=float(2 * stats.t.sf(abs(t - c) / se, freedom)),
        se=se,
        reason=reason,
    )


def mann_whitney(users: pd.DataFrame, metric: MetricSpec) -> list[Effect]:
    """Rank test (Mann and Whitney 1947) of a per-user column: are ranks, not totals, alike? A sensitivity row.

    `control` and `treatment` are medians; it has no lift.
    """
    control = users.loc[users["variant"] == CONTROL, metric.numerator]
    rows = []
    for name in variants_of(users)[1:]:
        treatment = users.loc[users["variant"] == name, metric.numerator]
        defined = users[metric.numerator].min() < users[metric.numerator].max()
        p = stats.mannwhitneyu(control, treatment).pvalue if defined else math.nan
        rows.append(
            Effect(
                metric=metric.name,
                label=f"{metric.label} (ranks)",
                role="sensitivity",
                comparison=f"{name} vs {CONTROL}",
                method="Mann-Whitney",
                n_control=len(control),
                n_treatment=len(treatment),
                control=float(control.median()),
                treatment=float(treatment.median()),
                p_value=float(p),
                reason="a rank test has no lift" if defined else "all users have the same value",
            )
        )
    return rows


def value_and_variance(metric: MetricSpec, s: SufficientStatistics) -> tuple[float, float]:
    """The metric's value in one variant and the variance of that value."""
    top = float(s.mean[metric.numerator])
    if metric.kind == "mean":
        return top, float(s.cov.loc[metric.numerator, metric.numerator]) / s.n
    bottom = float(s.mean[metric.denominator])
    if not bottom > 0:
        return math.nan, math.nan
    ratio = top / bottom
    weights = np.array([1.0, -ratio]) / bottom
    names = [metric.numerator, metric.denominator]
    return ratio, float(weights @ s.cov.loc[names, names].to_numpy() @ weights) / s.n


def _welch_freedom(c_var: float, c_n: int, t_var: float, t_n: int) -> float:
    """Degrees of freedom of the difference of two estimates with these variances (Welch 1947)."""
    return (c_var + t_var) ** 2 / (c_var**2 / (c_n - 1) + t_var**2 / (t_n - 1))


def _why_undefined(metric: MetricSpec, control, treatment, variance: float) -> str:
    for name, s in ((CONTROL, control), ("treatment", treatment)):
        if s.n < 2:
            return f"{name} has {s.n} user; a variance needs at least 2"
        if metric.kind == "ratio" and not s.mean[metric.denominator] > 0:
            return f"{name} has no {metric.denominator}"
    return f"{metric.label} does not vary between users" if variance == 0 else "the variance is not defined"
