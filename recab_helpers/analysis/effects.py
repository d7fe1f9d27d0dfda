"""Effects of treatment against control, from sufficient statistics only.

The unit is the user. Ratios (CTR) take the delta method with users as clusters (Deng, Knoblich and Lu 2018);
CUPED removes what the pre-experiment period explains (Deng et al. 2013); the interval of a lift is built on the
log scale, where it is not forced to be symmetric.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.analysis.metrics import CONTROL, MetricSpec, variants_of

Interval = tuple[float, float]
UNDEFINED: Interval = (math.nan, math.nan)
SMALL_N = 100  # users in a variant below which normal intervals are doubtful for heavy-tailed counts


@dataclass(frozen=True, kw_only=True)
class SufficientStatistics:
    """Number of users, column means and the sample covariance of the columns (n - 1), in float64."""

    n: int
    columns: tuple[str, ...]
    mean: np.ndarray  # (n_columns,)
    cov: np.ndarray  # (n_columns, n_columns)

    def gradient(self, columns: tuple[str, ...]) -> tuple[float, np.ndarray]:
        """Value of a mean or ratio of these columns, and its derivative by every column mean."""
        g = np.zeros(len(self.columns))
        top = self.columns.index(columns[0])
        if len(columns) == 1:
            g[top] = 1.0
            return float(self.mean[top]), g
        bottom = self.columns.index(columns[1])
        if not self.mean[bottom] > 0:
            return math.nan, np.full_like(g, math.nan)
        ratio = self.mean[top] / self.mean[bottom]
        g[top], g[bottom] = 1 / self.mean[bottom], -ratio / self.mean[bottom]
        return float(ratio), g

    def __add__(self, other: "SufficientStatistics") -> "SufficientStatistics":
        """Statistics of both groups together (Chan, Golub and LeVeque 1983)."""
        n, shift = self.n + other.n, other.mean - self.mean
        scatter = (self.n - 1) * self.cov + (other.n - 1) * other.cov
        scatter = scatter + np.outer(shift, shift) * self.n * other.n / n
        mean = self.mean + shift * other.n / n
        return replace(self, n=n, mean=mean, cov=scatter / (n - 1))


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Treatment against control on one metric; lifts are fractions; undefined numbers are nan, `reason` says why.

    `se` is of the difference, `log_se` of log(treatment / control). `variance_reduction` is the share of variance
    that CUPED removed. `noninferiority_p` tests that a guardrail is worse than its margin.
    """

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
    adjusted_p_value: float = math.nan
    se: float = math.nan
    log_se: float = math.nan
    variance_reduction: float = math.nan
    direction: int = 1
    margin: float = math.nan
    noninferiority_p: float = math.nan
    reason: str = ""

    @property
    def name(self) -> str:
        """The treatment of the comparison."""
        return self.comparison.split(" vs ")[0]


def sufficient_statistics(users: pd.DataFrame, columns: Iterable[str]) -> dict[str, SufficientStatistics]:
    """Per variant, control first; two passes, so that large means do not cancel the variance."""
    columns = tuple(columns)
    values = np.column_stack([users[c].to_numpy(dtype=np.float64) for c in columns])
    variant = users["variant"].astype("category")
    out = {}
    for name in variants_of(users):
        rows = values[(variant.cat.codes == variant.cat.categories.get_loc(name)).to_numpy()]
        mean = rows.mean(axis=0)
        rows -= mean
        cov = rows.T @ rows / (len(rows) - 1) if len(rows) > 1 else np.full((len(columns),) * 2, np.nan)
        out[name] = SufficientStatistics(n=len(rows), columns=columns, mean=mean, cov=cov)
    return out


def columns_of(metrics: Iterable[MetricSpec], users: pd.DataFrame) -> list[str]:
    """Columns that the metrics read, with the covariates that the table has."""
    wanted = [c for m in metrics for c in (*m.columns, *(m.covariate if set(m.covariate) <= set(users) else ()))]
    return list(dict.fromkeys(wanted))


def estimate_effects(
    users: pd.DataFrame, metrics: tuple[MetricSpec, ...], *, alpha: float = 0.05, cuped: bool = True
) -> list[Effect]:
    """Every treatment against control on every metric, from the users table, with adjusted p-values."""
    by_variant = sufficient_statistics(users, columns_of(metrics, users))
    return compare(by_variant, metrics, alpha=alpha, cuped=cuped)


def compare(
    by_variant: dict[str, SufficientStatistics],
    metrics: tuple[MetricSpec, ...],
    *,
    alpha: float = 0.05,
    cuped: bool = True,
) -> list[Effect]:
    """Every treatment against control from statistics; several treatments share alpha in goal intervals.

    Goal p-values are adjusted by Holm (1979), secondary ones by Benjamini and Hochberg (1995).
    """
    treatments = [v for v in by_variant if v != CONTROL]
    effects = [
        estimate(
            metric,
            by_variant[CONTROL],
            by_variant[treatment],
            comparison=f"{treatment} vs {CONTROL}",
            alpha=alpha / len(treatments) if metric.role == "goal" else alpha,
            cuped=cuped,
        )
        for metric in metrics
        for treatment in treatments
    ]
    return adjust_p_values(effects)


def estimate(
    metric: MetricSpec,
    control: SufficientStatistics,
    treatment: SufficientStatistics,
    *,
    comparison: str = f"treatment vs {CONTROL}",
    alpha: float = 0.05,
    cuped: bool = True,
) -> Effect:
    """Difference with Welch's interval and p, and the lift with its interval on the log scale.

    Welch's degrees of freedom (Welch 1947) also serve the ratio, whose users enter linearized. With a covariate
    both values are adjusted to the same pre-experiment mean, and the lift is over the adjusted control.
    """
    (c, c_grad), (t, t_grad) = (s.gradient(metric.columns) for s in (control, treatment))
    method = "delta method" if metric.kind == "ratio" else "Welch"
    reduction = math.nan
    if cuped and (theta := _cuped_coefficient(metric, control, treatment)):
        plain = _variance(control, c_grad) + _variance(treatment, t_grad)
        (c_pre, c_pre_grad), (t_pre, t_pre_grad) = (s.gradient(metric.covariate) for s in (control, treatment))
        pre = (control + treatment).gradient(metric.covariate)[0]
        c, t = c - theta * (c_pre - pre), t - theta * (t_pre - pre)
        c_grad, t_grad = c_grad - theta * c_pre_grad, t_grad - theta * t_pre_grad
        method += ", CUPED"
        reduction = 1 - (_variance(control, c_grad) + _variance(treatment, t_grad)) / plain
    c_var, t_var = _variance(control, c_grad), _variance(treatment, t_grad)
    effect = Effect(
        metric=metric.name,
        label=metric.label,
        role=metric.role,
        comparison=comparison,
        method=method,
        n_control=control.n,
        n_treatment=treatment.n,
        control=c,
        treatment=t,
        difference=t - c,
        variance_reduction=reduction,
        direction=metric.direction,
        margin=metric.margin if metric.role == "guardrail" else math.nan,
    )
    return with_uncertainty(effect, c_var, t_var, alpha=alpha, reason=_why_undefined(metric, control, treatment))


def with_uncertainty(effect: Effect, c_var: float, t_var: float, *, alpha: float, reason: str = "") -> Effect:
    """The effect with intervals and p-values from the variances of both values."""
    c, t, variance = effect.control, effect.treatment, c_var + t_var
    if reason or not variance > 0:
        return replace(effect, reason=reason or f"{effect.label} does not vary between users")
    n = effect.n_control, effect.n_treatment
    freedom, se = _welch_freedom(c_var, n[0], t_var, n[1]), math.sqrt(variance)
    half = stats.t.isf(alpha / 2, freedom) * se
    found = {
        "difference_ci": (t - c - half, t - c + half),
        "p_value": float(2 * stats.t.sf(abs(t - c) / se, freedom)),
        "se": se,
    }
    if not (c > 0 and t > 0):
        why = f"{effect.label} is {c:g} in control and {t:g} in treatment; a lift needs both above 0"
        return replace(effect, **found, reason=why)
    log_vars = c_var / c**2, t_var / t**2
    log_freedom, log_se = _welch_freedom(log_vars[0], n[0], log_vars[1], n[1]), math.sqrt(sum(log_vars))
    factor = math.exp(min(stats.t.isf(alpha / 2, log_freedom) * log_se, 700.0))
    found |= {"lift": t / c - 1, "lift_ci": (t / c / factor - 1, t / c * factor - 1), "log_se": log_se}
    if effect.role == "guardrail":
        worst = math.log(t / c) - math.log(1 - effect.direction * effect.margin)
        found["noninferiority_p"] = float(stats.t.sf(effect.direction * worst / log_se, log_freedom))
    return replace(effect, **found)


def adjust_p_values(effects: list[Effect]) -> list[Effect]:
    """Holm over goal metrics, Benjamini-Hochberg over secondary ones; undefined p-values stay undefined."""
    adjusted = list(effects)
    for role, adjust in (("goal", holm), ("secondary", benjamini_hochberg)):
        at = [i for i, e in enumerate(effects) if e.role == role and math.isfinite(e.p_value)]
        for i, p in zip(at, adjust(np.array([effects[i].p_value for i in at])), strict=True):
            adjusted[i] = replace(effects[i], adjusted_p_value=float(p))
    return adjusted


def holm(p: np.ndarray) -> np.ndarray:
    """Step-down adjusted p-values that keep the familywise error (Holm 1979)."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values that keep the false discovery rate (Benjamini and Hochberg 1995)."""
    return stats.false_discovery_control(p) if len(p) else p


def _cuped_coefficient(metric: MetricSpec, control: SufficientStatistics, treatment: SufficientStatistics) -> float:
    """Regression of the metric on its covariate over both variants; 0 where there is none or it is constant."""
    if not metric.covariate or not set(metric.covariate) <= set(control.columns):
        return 0.0
    both = control + treatment
    (_, grad), (value, pre_grad) = both.gradient(metric.columns), both.gradient(metric.covariate)
    pre_variance = pre_grad @ both.cov @ pre_grad if math.isfinite(value) else 0.0
    theta = float(grad @ both.cov @ pre_grad / pre_variance) if pre_variance > 0 else 0.0
    return theta if math.isfinite(theta) else 0.0


def _variance(s: SufficientStatistics, gradient: np.ndarray) -> float:
    """Variance of a value with this gradient (delta method)."""
    return float(gradient @ s.cov @ gradient) / s.n if s.n else math.nan


def _welch_freedom(c_var: float, c_n: int, t_var: float, t_n: int) -> float:
    """Degrees of freedom of the difference of two estimates with these variances (Welch 1947)."""
    return (c_var + t_var) ** 2 / (c_var**2 / (c_n - 1) + t_var**2 / (t_n - 1))


def _why_undefined(metric: MetricSpec, control: SufficientStatistics, treatment: SufficientStatistics) -> str:
    for name, s in ((CONTROL, control), ("treatment", treatment)):
        if s.n < 2:
            return f"{name} has {s.n} user; a variance needs at least 2"
        if metric.kind == "ratio" and not s.mean[s.columns.index(metric.denominator)] > 0:
            return f"{name} has no {metric.denominator}"
    return ""
