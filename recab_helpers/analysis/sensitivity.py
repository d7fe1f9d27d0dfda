"""Other ways to the same question, shown beside the main estimate: do they agree?"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.estimating import estimate, with_uncertainty
from recab_helpers.analysis.metrics import MetricSpec, mean_of
from recab_helpers.analysis.statistics import normal_tail, variance_of
from recab_helpers.impressions.aggregates import Users
from recab_helpers.impressions.histograms import Histogram
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.references import Comparison

REPLICATES = 1000
CELLS = 4_000_000  # resampled counts held at once
PIECE = 65_536  # resampled users held at once: few enough for a cache, and for numbers of two bytes
EACH = 8  # users a distinct value, below which drawing them one by one costs less than how many there are of each
MOST_DISTINCT = 200_000  # combinations of values, above which the bootstrap is left out
MIN_STRATUM = 20  # users of a stratum in each variant
STRATA = "activity"  # the segment whose levels are the strata


def sensitivity(users: Users, goals: Sequence[MetricSpec], *, alpha: float = 0.05, boot: bool = True) -> list[Effect]:
    """The goals without CUPED, post-stratified and by bootstrap, and their numerators by ranks.

    Treatments and goals share alpha, as they do in the intervals of the goals.
    """
    if users.within is not None:  # whose variants are no two groups
        return []
    rows, alpha = [], alpha / (max(len(users.comparisons), 1) * len(goals))
    for goal in goals:
        histogram = users.histograms.get(goal.columns)
        for c in users.comparisons:
            control, treatment = (users.counted_by(goal.columns)[v] for v in (c.against, c.variant))
            plain = estimate(goal, control, treatment, comparison=c, alpha=alpha, cuped=False)
            rows.append(plain)
            if STRATA in users.segments:
                rows.append(post_stratified(users, plain))
            if histogram is not None and boot:
                rows.append(bootstrap(histogram, plain))
        if histogram is not None:
            rows += [mann_whitney(histogram, c, alpha=alpha) for c in users.comparisons]
    return rows


def mann_whitney(histogram: Histogram, comparison: Comparison, *, alpha: float = 0.05) -> Effect:
    """Rank test (Mann and Whitney 1947) of the histogram's first column: are ranks, not totals, alike?

    Normal approximation with the correction for ties and for continuity. `control` and `treatment` are medians; it
    has no lift.
    """
    of = histogram.only(histogram.columns[0])
    c, t = (of.counts[v].astype(np.float64) for v in (comparison.against, comparison.variant))
    n, m, both = c.sum(), t.sum(), c + t
    below = np.cumsum(c) - c
    u = float(t @ (below + c / 2))
    ties = np.sum(both**3 - both) / max((n + m) * (n + m - 1), 1)
    variance = n * m / 12 * (n + m + 1 - ties)
    defined = variance > 1e-9 * max(n * m, 1)
    z = max(abs(u - n * m / 2) - 0.5, 0) / math.sqrt(variance) if defined else math.nan
    metric = mean_of(histogram.columns[0])
    return Effect(
        metric=mean_of(metric.name, label=f"{metric.label} per user (medians)"),
        comparison=comparison,
        method="Mann-Whitney",
        alpha=alpha,
        n_control=int(n),
        n_treatment=int(m),
        control=_median(of, comparison.against),
        treatment=_median(of, comparison.variant),
        p_value=2 * normal_tail(z),
        reason="a rank test has no lift" if defined else "all users have the same value",
    )


def post_stratified(users: Users, plain: Effect, *, strata: str = STRATA) -> Effect:
    """Per-stratum values weighted by the strata's shares of all variants together (Miratrix, Sekhon and Yu 2013).

    A ratio weights the linearized numerator and denominator, so that it stays a ratio of totals.
    """
    levels = users.segments_of(plain.metric.columns)[strata]
    n_all = np.array([sum(s.n for s in group.values()) for group in levels.values()])
    share = n_all / n_all.sum()
    method, columns = f"post-stratified by {strata}", plain.metric.columns
    values, variances = [], []
    for name in (plain.comparison.against, plain.comparison.variant):
        groups = [group[name] for group in levels.values() if name in group]
        if (few := min(s.n for s in groups) if len(groups) == len(levels) else 0) < MIN_STRATUM:
            reason = f"a stratum of {strata} has {few} users in {name}; {MIN_STRATUM} are needed"
            return plain.without_numbers(reason, method=method)
        at = [groups[0].columns.index(c) for c in columns]
        mean = share @ np.array([s.mean[at] for s in groups])
        overall = SufficientStatistics(n=sum(s.n for s in groups), columns=columns, mean=mean, cov=np.eye(len(at)))
        value, gradient = overall.gradient(columns)
        within = (
            SufficientStatistics(n=s.n, columns=columns, mean=s.mean[at], cov=s.cov[np.ix_(at, at)]) for s in groups
        )
        values.append(value)
        variances.append(float(np.sum(share**2 * [variance_of(s, gradient) for s in within])))
    fresh = plain.without_numbers("", method=method, control=values[0], treatment=values[1])
    return with_uncertainty(replace(fresh, difference=values[1] - values[0]), *variances)


def bootstrap(histogram: Histogram, plain: Effect) -> Effect:
    """Percentile interval of the lift from REPLICATES resamples of the users (Efron 1979).

    Users with the same values are alike, so a resample is a multinomial draw of how many there are of each; where they
    are few for their values, they are drawn one by one, which comes to the same.
    """
    method = "bootstrap"
    if not plain.defined:
        return plain.without_numbers(plain.reason, method=method)
    if len(histogram.values) > MOST_DISTINCT:
        return plain.without_numbers(f"users have {len(histogram.values):,} distinct values; too many", method=method)
    at = [histogram.columns.index(c) for c in plain.metric.columns]
    values = np.column_stack([histogram.values[:, at], np.ones(len(histogram.values))])[:, :2]  # a mean is over users
    lifts = []
    for seed, name in enumerate((plain.comparison.against, plain.comparison.variant)):
        there = histogram.counts[name] > 0
        sums = _resampled(histogram.counts[name][there], values[there], np.random.default_rng((29, seed)))
        with np.errstate(divide="ignore", invalid="ignore"):
            lifts.append(sums[:, 0] / sums[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = lifts[1] / lifts[0] - 1
    if not np.isfinite(ratio).all():
        return plain.without_numbers(f"a resample has no {plain.metric.numerator}", method=method)
    low, high = np.quantile(ratio, [plain.alpha / 2, 1 - plain.alpha / 2])
    tail = min(np.mean(ratio <= 0), np.mean(ratio >= 0))
    p = max(2 * float(tail), 2 / REPLICATES)  # a bootstrap cannot tell smaller ones apart
    found: dict[str, Any] = {"difference": plain.difference, "lift": plain.lift, "lift_ci": (float(low), float(high))}
    return replace(plain.without_numbers("", method=method), **found, p_value=min(p, 1.0))


def _resampled(counts: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sums of every column of `values` in each resample, shape (REPLICATES, n_columns)."""
    n = int(counts.sum())
    if n < min(EACH * len(counts), PIECE):
        columns, step = np.repeat(values, counts, axis=0).T.copy(), max(1, PIECE // n)
        sums = np.empty((REPLICATES, len(columns)))
        for i in range(0, REPLICATES, step):
            drawn = rng.integers(0, n, size=(min(step, REPLICATES - i), n), dtype=np.uint16)
            sums[i : i + step] = np.stack([column.take(drawn).sum(axis=1) for column in columns], axis=1)
        return sums
    step = max(1, CELLS // len(counts))
    draws = (rng.multinomial(n, counts / n, size=min(step, REPLICATES - i)) for i in range(0, REPLICATES, step))
    return np.concatenate([drawn @ values for drawn in draws])


def _median(histogram: Histogram, variant: str) -> float:
    """Median of the users of a variant; the mean of the two middle ones where their number is even."""
    up_to = np.cumsum(histogram.counts[variant])
    if not up_to[-1]:
        return math.nan
    low, high = (up_to[-1] - 1) // 2, up_to[-1] // 2
    at = np.searchsorted(up_to, [low, high], side="right")
    return float(histogram.values[at, 0].mean())
