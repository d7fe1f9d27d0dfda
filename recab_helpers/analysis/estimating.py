"""Estimate one effect from sufficient statistics only.

The unit is the user. Ratios (CTR) take the delta method with users as clusters (Deng, Knoblich and Lu 2018);
CUPED removes what the pre-experiment period explains (Deng et al. 2013); the interval of a lift is built on the
log scale, where it is not forced to be symmetric.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.metrics import MetricSpec, covariates_of, mean_of
from recab_helpers.analysis.statistics import (
    ROUNDING,
    before,
    effective_users,
    lopsided,
    regression,
    t_critical,
    t_tail,
    variance_of,
    welch_freedom,
)
from recab_helpers.impressions.aggregates import Users, Within
from recab_helpers.impressions.histograms import Spread
from recab_helpers.impressions.statistics import PRE, ByVariant, SufficientStatistics
from recab_helpers.impressions.within import at
from recab_helpers.references import Comparison

BOTH = "a lift needs both above 0"
WITHIN = "within users"  # the method where every user meets both variants


def estimate(
    metric: MetricSpec,
    control: SufficientStatistics,
    treatment: SufficientStatistics,
    *,
    comparison: Comparison | None = None,
    alpha: float = 0.05,
    cuped: bool = True,
) -> Effect:
    """Difference with Welch's interval and p, and the lift with its interval on the log scale.

    A mean of few users against many has one variance of both (`lopsided`).
    Welch's degrees of freedom (Welch 1947) also serve the ratio, whose users enter linearized, and of whom the heavy
    ones leave fewer (`effective_users`). With a covariate
    both values are adjusted to the same pre-experiment mean, and the lift is over the adjusted control. That mean is of
    the same users, so that it varies with both values: the lift's variance is by the delta method over all of it.

    >>> from recab_helpers.analysis import mean_of
    >>> values = [1, 0, 2, 1], [2, 1, 3, 2]
    >>> control, treatment = (SufficientStatistics.of(np.array([v]).T, ["clicks"]) for v in values)
    >>> effect = estimate(mean_of("clicks"), control, treatment)
    >>> effect.difference, round(effect.p_value, 4)
    (1.0, 0.134)
    """
    (c, c_grad), (t, t_grad) = (s.gradient(metric.columns) for s in (control, treatment))
    c_shared = t_shared = np.zeros_like(c_grad)  # derivatives of the common mean, times theta, by each group's means
    method = "delta method" if metric.kind == "ratio" else "Welch"
    reduction = math.nan
    both = control + treatment
    there = covariates_of(metric, both.columns) if cuped else []
    further = [c.removeprefix(PRE) for c in metric.further if (c,) in there]
    covariates, theta = regression(both, both.gradient(metric.columns)[1], there)
    if covariates:
        plain = variance_of(control, c_grad) + variance_of(treatment, t_grad)
        (c_pre, c_by), (t_pre, t_by), (pre, by) = (before(s, covariates) for s in (control, treatment, both))
        c_shared, t_shared = (s.n / both.n * (theta @ by) for s in (control, treatment))
        c, t = float(c - theta @ (c_pre - pre)), float(t - theta @ (t_pre - pre))
        c_grad, t_grad = c_grad - theta @ c_by, t_grad - theta @ t_by
        method += ", CUPED" + (f", also by {' and '.join(further)}" if further else "")
        reduction = 1 - (variance_of(control, c_grad) + variance_of(treatment, t_grad)) / plain
    of = comparison or Comparison("treatment")
    effect = _of_values(metric, of, method, (c, t), (control.n, treatment.n), alpha=alpha)
    effect = replace(effect, variance_reduction=reduction)
    users, grow = (float(control.n), float(treatment.n)), (1.0, 1.0)
    why = _why_undefined(effect, control, treatment)
    if metric.kind == "mean" and lopsided(control, treatment, metric.numerator):
        effect = replace(effect, method=method.replace("Welch", "Student, one common variance"))
        control, treatment = replace(control, cov=both.cov), replace(treatment, cov=both.cov)
        users = float(both.n), float(both.n)
    if metric.kind == "ratio" and min(users) > 1:
        users = effective_users(control, metric.denominator), effective_users(treatment, metric.denominator)
        grow = (1 - 1 / control.n) / (1 - 1 / users[0]), (1 - 1 / treatment.n) / (1 - 1 / users[1])
    variances, log_variances = (grow[0] * variance_of(control, c_grad), grow[1] * variance_of(treatment, t_grad)), None
    if c > 0 and t > 0:
        by_control = c_shared / t - (c_grad + c_shared) / c
        by_treatment = (t_grad + t_shared) / t - t_shared / c
        log_variances = grow[0] * variance_of(control, by_control), grow[1] * variance_of(treatment, by_treatment)
    return with_uncertainty(effect, *variances, log_variances=log_variances, users=users, reason=why)


def estimate_quantile(
    metric: MetricSpec, control: Spread, treatment: Spread, *, comparison: Comparison, alpha: float = 0.05
) -> Effect:
    """The lift of a quantile of the impressions, with users as clusters (Deng, Knoblich and Lu 2018).

    It is as sure as the widths of both quantiles' outer intervals say, on the log scale.
    """
    spreads = (control, treatment)
    values, variances = zip(*((s.at(metric.quantile), s.variance(metric.quantile)) for s in spreads), strict=True)
    users = control.statistics.n, treatment.statistics.n
    effect = _of_values(metric, comparison, "outer interval by users", values, users, alpha=alpha)
    why = "" if all(map(math.isfinite, variances)) else "too few impressions lie beyond the quantile to tell its error"
    return with_uncertainty(effect, *variances, reason=why)


def estimate_within(metric: MetricSpec, of: Within, comparison: Comparison, *, alpha: float = 0.05) -> Effect:
    """The lift of a ratio, of all sessions of the treatment against all of control, with users as clusters.

    Users who met one variant only count too. A lift is of what a session does; what a variant does to later sessions
    (carry-over) is in both and cannot be told.
    """
    s = of.statistics
    columns = {v: tuple(at(c, v) for c in metric.columns) for v in (comparison.against, comparison.variant)}
    (c, c_grad), (t, t_grad) = (s.gradient(columns[v]) for v in columns)
    effect = _of_values(metric, comparison, WITHIN, (c, t), (s.n, s.n), alpha=alpha)
    effect = replace(effect, same_users=True)
    for v, value in ((comparison.against, c), (comparison.variant, t)):
        if not math.isfinite(value) or s.n < 2:
            return replace(effect, reason=f"{v} has no {metric.denominator}" if s.n > 1 else f"there is {s.n} user")
    users = min(effective_users(s, columns[v][1]) for v in columns)
    grow = (1 - 1 / s.n) / (1 - 1 / users)
    variance, log_variance = grow * variance_of(s, t_grad - c_grad), math.nan
    if c > 0 and t > 0:
        log_variance = grow * variance_of(s, t_grad / t - c_grad / c)
    halves = (users + 1) / 2, (users + 1) / 2  # whose degrees of freedom are those of so many pairs
    logs = (log_variance / 2, log_variance / 2) if math.isfinite(log_variance) else None
    return with_uncertainty(effect, variance / 2, variance / 2, log_variances=logs, users=halves)


def with_uncertainty(
    effect: Effect,
    c_var: float,
    t_var: float,
    *,
    log_variances: tuple[float, float] | None = None,
    users: tuple[float, float] | None = None,
    reason: str = "",
) -> Effect:
    """The effect with intervals and p-values from the variances of both values.

    `log_variances` are what the users of control and of treatment add to the variance of log(treatment / control);
    those of values that do not depend on each other unless given. `users` count as many as they are unless given.

    Where nobody in treatment has any, the interval of the lift is that of the difference, over control's value. A
    guardrail that is the same for all users of both variants is inside its margin.
    """
    c, t, variance = effect.control, effect.treatment, c_var + t_var
    n = effect.n_control, effect.n_treatment
    rounding = ROUNDING if effect.metric.kind == "ratio" else ROUNDING**2  # a ratio's variance is a sum that cancels
    constant = not (c_var * n[0] > rounding * c**2 or t_var * n[1] > rounding * t**2)
    if reason or constant:
        reason = reason or f"{effect.metric.label} does not vary between users"
        same = math.isfinite(variance) and math.isclose(c, t, rel_tol=1e-12)
        if constant and same and effect.metric.role == "guardrail":
            zero = (0.0, 0.0)
            return replace(effect, lift=0.0, lift_ci=zero, difference_ci=zero, noninferiority_p=0.0, reason=reason)
        return replace(effect, reason=reason)
    users = users or n
    freedom, se = welch_freedom(c_var, users[0], t_var, users[1]), math.sqrt(variance)
    half = t_critical(effect.alpha / 2, freedom) * se
    effect = replace(
        effect,
        difference_ci=(t - c - half, t - c + half),
        p_value=2 * t_tail(abs(t - c) / se, freedom),
        se=se,
    )
    if c > 0 and t == 0:
        low, high = (d / c for d in effect.difference_ci)
        p = math.nan
        if effect.metric.role == "guardrail":
            p = t_tail(effect.metric.direction * (t - c + effect.metric.direction * effect.margin * c) / se, freedom)
        method = f"{effect.method}, linear"
        return replace(effect, method=method, lift=-1.0, lift_ci=(max(low, -1.0), high), noninferiority_p=p)
    if not (c > 0 and t > 0):
        return replace(effect, reason=f"{effect.metric.label} is {c:g} in control and {t:g} in treatment; {BOTH}")
    log_vars = log_variances or (c_var / c**2, t_var / t**2)
    log_freedom, log_se = welch_freedom(log_vars[0], users[0], log_vars[1], users[1]), math.sqrt(sum(log_vars))
    factor = math.exp(min(t_critical(effect.alpha / 2, log_freedom) * log_se, 700.0))
    p = math.nan
    if effect.metric.role == "guardrail":
        worst = math.log(t / c) - math.log(1 - effect.metric.direction * effect.metric.margin)
        p = t_tail(effect.metric.direction * worst / log_se, log_freedom)
    lift_ci = (t / c / factor - 1, t / c * factor - 1)
    found: dict[str, Any] = {"lift_ci": lift_ci, "log_se": log_se, "log_freedom": log_freedom, "noninferiority_p": p}
    return replace(effect, lift=t / c - 1, **found)


def adjusted_values(metric: MetricSpec, statistics: ByVariant) -> dict[str, tuple[float, float]]:
    """Every variant's value and its standard error, adjusted to the pre-experiment mean of all variants together."""
    first, *others = statistics.values()
    whole, values = sum(others, first), {}
    covariates, theta = regression(whole, whole.gradient(metric.columns)[1], covariates_of(metric, whole.columns))
    for name, s in statistics.items():
        value, gradient = s.gradient(metric.columns)
        if covariates:
            (was, by), pre = before(s, covariates), before(whole, covariates)[0]
            value, gradient = float(value - theta @ (was - pre)), gradient - theta @ by
        values[name] = value, math.sqrt(max(variance_of(s, gradient), 0.0))
    return values


def per_user(effect: Effect, effects: Sequence[Effect], users: Users, *, cuped: bool = True) -> Effect:
    """What the effect's metric counts, as its mean per user: the effect itself, another of the list, or a new one."""
    metric, c = effect.metric, effect.comparison
    for e in (effect, *effects):
        if e.metric.kind == "mean" and e.metric.numerator == metric.numerator and e.comparison == c:
            return e
    mean = mean_of(metric.numerator, further=metric.further)
    of = users.read_by(mean.columns)
    return estimate(mean, of[c.against], of[c.variant], comparison=c, cuped=cuped)


def _of_values(
    metric: MetricSpec,
    comparison: Comparison,
    method: str,
    values: tuple[float, float],
    users: tuple[int, int],
    *,
    alpha: float,
) -> Effect:
    """The effect with both values and their difference, and nothing yet of how sure it is; control comes first."""
    return Effect(
        metric=metric,
        comparison=comparison,
        method=method,
        alpha=alpha,
        n_control=users[0],
        n_treatment=users[1],
        control=values[0],
        treatment=values[1],
        difference=values[1] - values[0],
    )


def _why_undefined(effect: Effect, control: SufficientStatistics, treatment: SufficientStatistics) -> str:
    metric, comparison = effect.metric, effect.comparison
    for name, s in ((comparison.against, control), (comparison.variant, treatment)):
        if s.n < 2:
            return f"{name} has {s.n} user; a variance needs at least 2"
        if metric.kind == "ratio" and not s.mean[s.columns.index(metric.denominator)] > 0:
            return f"{name} has no {metric.denominator}"
    return ""
