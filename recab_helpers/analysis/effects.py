"""Effects of treatment against control, from sufficient statistics only.

The unit is the user. Ratios (CTR) take the delta method with users as clusters (Deng, Knoblich and Lu 2018);
CUPED removes what the pre-experiment period explains (Deng et al. 2013); the interval of a lift is built on the
log scale, where it is not forced to be symmetric.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recab_helpers.analysis.metrics import MetricSpec, covariates_of, goals_of, mean_of
from recab_helpers.analysis.progress import Progress
from recab_helpers.analysis.statistics import (
    ROUNDING,
    before,
    benjamini_hochberg,
    effective_users,
    holm,
    lopsided,
    regression,
    t_critical,
    t_tail,
    variance_of,
    welch_freedom,
)
from recab_helpers.brief import Brief
from recab_helpers.errors import ParameterError, nearest
from recab_helpers.formats import lift, lift_interval
from recab_helpers.impressions.aggregates import Users, Within
from recab_helpers.impressions.counting import days_to_return
from recab_helpers.impressions.histograms import Spread
from recab_helpers.impressions.statistics import PRE, ByVariant, SufficientStatistics
from recab_helpers.impressions.within import at
from recab_helpers.references import Comparison

Interval = tuple[float, float]
UNDEFINED: Interval = (math.nan, math.nan)
BOTH = "a lift needs both above 0"
WITHIN = "within users"  # the method where every user meets both variants


@dataclass(frozen=True, kw_only=True)
class Effect(Brief):
    """One variant against another on one metric; lifts are fractions; undefined numbers are nan, `reason` says why.

    `alpha` is the level of its intervals. `se` is of the difference, `log_se` of log(treatment / control), and
    `log_freedom` are the degrees of freedom with which the latter is known.
    `variance_reduction` is the share of variance that CUPED removed. `noninferiority_p` tests that a guardrail is
    worse than its margin. Where heavy users are capped, `uncapped_lift` and `uncapped_ci` are those of a goal with
    every user counted whole; nan elsewhere.
    """

    metric: MetricSpec
    comparison: Comparison
    method: str
    alpha: float
    n_control: int
    n_treatment: int
    same_users: bool = False  # whether they are the same users, each in both variants
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
    log_freedom: float = math.nan
    variance_reduction: float = math.nan
    noninferiority_p: float = math.nan
    uncapped_lift: float = math.nan
    uncapped_ci: Interval = UNDEFINED
    reason: str = ""

    def in_words(self) -> str:
        """Lift and interval."""
        of = f"{self.metric.label}, {self.comparison.variant} against {self.comparison.against}: "
        return of + (f"{lift(self.lift)} ({lift_interval(self.lift_ci)})" if self.defined else self.reason)

    @property
    def n(self) -> int:
        """Users of both variants."""
        return self.n_control if self.same_users else self.n_control + self.n_treatment

    @property
    def defined(self) -> bool:
        """Whether there is a lift."""
        return math.isfinite(self.lift)

    @property
    def good_ci(self) -> Interval:
        """The interval of the lift in the metric's good direction, low end first."""
        low, high = self.lift_ci
        return (low, high) if self.metric.direction > 0 else (-high, -low)

    @property
    def better(self) -> bool:
        """Whether the whole interval lies on the good side of zero."""
        return self.good_ci[0] > 0

    @property
    def worse(self) -> bool:
        """Whether the whole interval lies on the bad side of zero."""
        return self.good_ci[1] < 0

    @property
    def hangs_on_heavy(self) -> bool:
        """Whether the interval lies elsewhere than on its side of zero with heavy users counted whole."""
        return math.isfinite(self.uncapped_ci[0]) and _side(self.lift_ci) != _side(self.uncapped_ci)

    @property
    def contradicted(self) -> bool:
        """Whether that interval lies wholly on the other side of zero."""
        return _side(self.lift_ci) * _side(self.uncapped_ci) < 0

    @property
    def margin(self) -> float:
        """The worst relative change that is accepted; nan for a metric that is no guardrail."""
        return self.metric.margin if self.metric.role == "guardrail" else math.nan

    def without_numbers(self, reason: str, **changes: Any) -> "Effect":
        """The effect as undefined, and why."""
        kept = ["metric", "comparison", "method", "alpha", "n_control", "n_treatment", "same_users"]
        kept += ["control", "treatment"]
        return Effect(**{name: getattr(self, name) for name in kept} | changes, reason=reason)


def estimate_effects(
    users: Users,
    metrics: tuple[MetricSpec, ...],
    *,
    alpha: float = 0.05,
    cuped: bool = True,
    progress: Progress | None = None,
) -> list[Effect]:
    """Every treatment against control on every metric; treatments and goals share alpha in the goals' intervals.

    Treatments share it in those of guardrails too, so that none at its margin passes more often for their number. Of a
    test that may be read every evening (`progress`), the intervals of goals and guardrails are those of today's look.
    Interleaved slates have none.

    Goal p-values are adjusted by Holm (1979), secondary ones by Benjamini and Hochberg (1995).

    Raises:
        ParameterError: no metric is a goal, or the users lack a column of one.

    >>> from recab_helpers.analysis import CTR
    >>> clicks = {"clicks": [1, 0, 2, 1, 2, 1, 3, 2], "impressions": [10] * 8}
    >>> (effect,) = estimate_effects(Users.of(["control"] * 4 + ["treatment"] * 4, clicks), (CTR,))
    >>> effect.control, effect.treatment, effect.lift
    (0.1, 0.2, 1.0)
    """
    for metric in metrics:
        for column in set(metric.columns) - {*users.columns, *users.missing}:
            which = f"metric {metric.name} reads the column {column}, which the users do not have"
            raise ParameterError(f"{which}. {nearest(column, users.columns)}")
    comparisons = users.comparisons
    if not comparisons:  # a log read off-policy has one variant
        return []
    levels = {"goal": alpha / (len(comparisons) * len(goals_of(metrics))), "guardrail": alpha / len(comparisons)}
    levels = {role: progress.level(level) if progress else level for role, level in levels.items()}
    levels["deterioration"] = alpha / len(comparisons)  # whatever the look: it only holds a treatment back
    if within := users.within:
        if within.design == "interleaved":  # clicks of one variant are taken from the other: no lift
            return []
        found = [
            estimate_within(m, within, comparison, alpha=levels.get(m.role, alpha))
            for m in metrics
            for comparison in comparisons
        ]
        return adjust_p_values(found)
    effects = [
        _estimated(metric, users, comparison, alpha=levels.get(metric.role, alpha), cuped=cuped)
        for metric in metrics
        for comparison in comparisons
    ]
    effects = [_with_uncapped(e, users, cuped=cuped) for e in effects]
    of_whom = {metric.name: _of_whom(users, metric) for metric in metrics}
    said = [replace(e, method=e.method + w) if (w := of_whom[e.metric.name]) else e for e in effects]
    return adjust_p_values(said)


def _estimated(metric: MetricSpec, users: Users, of: Comparison, *, alpha: float, cuped: bool) -> Effect:
    """The effect of one comparison on a metric of any kind."""
    if metric.kind == "quantile":
        spread = users.quantiles.get((metric.numerator, metric.quantile))
        if spread is None:
            raise ParameterError(
                f"metric {metric.name} is a quantile of the impressions, which was not asked for. Reduce the log with "
                f"quantiles=[({metric.numerator!r}, {metric.quantile:g})]."
            )
        return estimate_quantile(metric, spread[of.against], spread[of.variant], comparison=of, alpha=alpha)
    by = users.read_by(metric.columns)
    return estimate(metric, by[of.against], by[of.variant], comparison=of, alpha=alpha, cuped=cuped)


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
    values, n = (c, t), (control.n, treatment.n)
    effect = _of_values(metric, of, method, values, n, alpha=alpha, variance_reduction=reduction)
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


def _of_values(
    metric: MetricSpec,
    comparison: Comparison,
    method: str,
    values: tuple[float, float],
    users: tuple[int, int],
    *,
    alpha: float,
    **more: Any,
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
        **more,
    )


def estimate_within(metric: MetricSpec, of: Within, comparison: Comparison, *, alpha: float = 0.05) -> Effect:
    """The lift of a ratio, of all sessions of the treatment against all of control, with users as clusters.

    Users who met one variant only count too. A lift is of what a session does; what a variant does to later sessions
    (carry-over) is in both and cannot be told.
    """
    s = of.statistics
    columns = {v: tuple(at(c, v) for c in metric.columns) for v in (comparison.against, comparison.variant)}
    (c, c_grad), (t, t_grad) = (s.gradient(columns[v]) for v in columns)
    effect = _of_values(metric, comparison, WITHIN, (c, t), (s.n, s.n), alpha=alpha, same_users=True)
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
    found: dict[str, Any] = {
        "difference_ci": (t - c - half, t - c + half),
        "p_value": 2 * t_tail(abs(t - c) / se, freedom),
        "se": se,
    }
    if c > 0 and t == 0:
        low, high = (d / c for d in found["difference_ci"])
        p = math.nan
        if effect.metric.role == "guardrail":
            p = t_tail(effect.metric.direction * (t - c + effect.metric.direction * effect.margin * c) / se, freedom)
        method = f"{effect.method}, linear"
        found |= {"method": method, "lift": -1.0, "lift_ci": (max(low, -1.0), high), "noninferiority_p": p}
        return replace(effect, **found)
    if not (c > 0 and t > 0):
        reason = f"{effect.metric.label} is {c:g} in control and {t:g} in treatment; {BOTH}"
        return replace(effect, **found, reason=reason)
    log_vars = log_variances or (c_var / c**2, t_var / t**2)
    log_freedom, log_se = welch_freedom(log_vars[0], users[0], log_vars[1], users[1]), math.sqrt(sum(log_vars))
    factor = math.exp(min(t_critical(effect.alpha / 2, log_freedom) * log_se, 700.0))
    p = math.nan
    if effect.metric.role == "guardrail":
        worst = math.log(t / c) - math.log(1 - effect.metric.direction * effect.metric.margin)
        p = t_tail(effect.metric.direction * worst / log_se, log_freedom)
    lift_ci = (t / c / factor - 1, t / c * factor - 1)
    found |= {"lift_ci": lift_ci, "log_se": log_se, "log_freedom": log_freedom, "noninferiority_p": p}
    return replace(effect, lift=t / c - 1, **found)


def adjust_p_values(effects: list[Effect]) -> list[Effect]:
    """Holm over goal metrics, Benjamini-Hochberg over secondary ones; undefined p-values stay undefined."""
    adjusted = list(effects)
    for role, adjust in (("goal", holm), ("secondary", benjamini_hochberg)):
        at = [i for i, e in enumerate(effects) if e.metric.role == role and math.isfinite(e.p_value)]
        for i, p in zip(at, adjust(np.array([effects[i].p_value for i in at])), strict=True):
            adjusted[i] = replace(effects[i], adjusted_p_value=float(p))
    return adjusted


def _side(ci: Interval) -> int:
    """Side of zero on which the whole interval lies; 0 where it covers zero, or is not defined."""
    return int(ci[0] > 0) - int(ci[1] < 0)


def _with_uncapped(effect: Effect, users: Users, *, cuped: bool) -> Effect:
    """The effect, of a goal whose heavy users are capped with what it is where they count whole."""
    metric, of = effect.metric, effect.comparison
    if metric.role != "goal" or users.within or not users.is_capped(metric.columns):
        return effect
    pair = users.statistics[of.against], users.statistics[of.variant]
    whole = estimate(metric, *pair, comparison=of, alpha=effect.alpha, cuped=cuped)
    return replace(effect, uncapped_lift=whole.lift, uncapped_ci=whole.lift_ci)


def _why_undefined(effect: Effect, control: SufficientStatistics, treatment: SufficientStatistics) -> str:
    metric, comparison = effect.metric, effect.comparison
    for name, s in ((comparison.against, control), (comparison.variant, treatment)):
        if s.n < 2:
            return f"{name} has {s.n} user; a variance needs at least 2"
        if metric.kind == "ratio" and not s.mean[s.columns.index(metric.denominator)] > 0:
            return f"{name} has no {metric.denominator}"
    return ""


def _of_whom(users: Users, metric: MetricSpec) -> str:
    """What the name of the method adds where not every user counts whole."""
    if metric.kind == "quantile":
        return ""
    if users.is_capped(metric.columns):
        return f", {' and '.join(f'{column} capped at {cap:,.0f}' for column, cap in users.caps.items())}"
    lacking = [
        f"{users.missing[c]:,} {'user' if users.missing[c] == 1 else 'users'} "
        + (f"whose {days} days were not over" if (days := days_to_return(c)) else f"without {c}")
        for c in metric.columns
        if c in users.missing
    ]
    return f", but not {' and '.join(lacking)}" if lacking else ""
