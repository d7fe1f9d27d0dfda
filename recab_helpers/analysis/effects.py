"""The effects of a test: every treatment against control on every metric, and what their number asks of each.

Goals and treatments share alpha, and p-values are adjusted for how many of them are read.
"""

import math
from dataclasses import replace

import numpy as np

from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.estimating import estimate, estimate_quantile, estimate_within
from recab_helpers.analysis.metrics import MetricSpec, goals_of
from recab_helpers.analysis.progress import Progress
from recab_helpers.analysis.statistics import benjamini_hochberg, holm
from recab_helpers.errors import ParameterError, nearest
from recab_helpers.impressions.aggregates import Users
from recab_helpers.impressions.counting import days_to_return
from recab_helpers.references import Comparison


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


def adjust_p_values(effects: list[Effect]) -> list[Effect]:
    """Holm over goal metrics, Benjamini-Hochberg over secondary ones; undefined p-values stay undefined."""
    adjusted = list(effects)
    for role, adjust in (("goal", holm), ("secondary", benjamini_hochberg)):
        at = [i for i, e in enumerate(effects) if e.metric.role == role and math.isfinite(e.p_value)]
        for i, p in zip(at, adjust(np.array([effects[i].p_value for i in at])), strict=True):
            adjusted[i] = replace(effects[i], adjusted_p_value=float(p))
    return adjusted


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


def _with_uncapped(effect: Effect, users: Users, *, cuped: bool) -> Effect:
    """The effect, of a goal whose heavy users are capped with what it is where they count whole."""
    metric, of = effect.metric, effect.comparison
    if metric.role != "goal" or users.within or not users.is_capped(metric.columns):
        return effect
    pair = users.statistics[of.against], users.statistics[of.variant]
    whole = estimate(metric, *pair, comparison=of, alpha=effect.alpha, cuped=cuped)
    return replace(effect, uncapped_lift=whole.lift, uncapped_ci=whole.lift_ci)


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
