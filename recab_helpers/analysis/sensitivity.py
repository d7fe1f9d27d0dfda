"""Other ways to the same question, shown beside the main estimate: do they agree?"""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.analysis.effects import (
    Effect,
    SufficientStatistics,
    estimate,
    sufficient_statistics,
    with_uncertainty,
)
from recab_helpers.analysis.metrics import CONTROL, MetricSpec, variants_of

BUCKETS, REPLICATES = 1000, 1000
MIN_STRATUM = 20  # users of a stratum in each variant


def sensitivity(users: pd.DataFrame, metric: MetricSpec, *, alpha: float = 0.05, strata: str = "") -> list[Effect]:
    """The goal metric without CUPED, post-stratified by `strata` and by bucket bootstrap, and clicks by ranks."""
    statistics = sufficient_statistics(users, metric.columns)
    rows = []
    for name in variants_of(users)[1:]:
        plain = estimate(metric, statistics[CONTROL], statistics[name], comparison=f"{name} vs {CONTROL}", alpha=alpha)
        rows.append(plain)
        if strata in users:
            rows.append(post_stratified(users, metric, strata, plain, alpha=alpha))
        rows.append(bootstrap(users, metric, plain, alpha=alpha))
    rows = [replace(e, role="sensitivity") for e in rows]
    return rows + mann_whitney(users, metric.numerator, f"{metric.numerator.capitalize()} per user (ranks)")


def mann_whitney(users: pd.DataFrame, column: str, label: str) -> list[Effect]:
    """Rank test (Mann and Whitney 1947) of a per-user column: are ranks, not totals, alike?

    `control` and `treatment` are medians; it has no lift.
    """
    control = users.loc[users["variant"] == CONTROL, column]
    defined = users[column].min() < users[column].max()
    rows = []
    for name in variants_of(users)[1:]:
        treatment = users.loc[users["variant"] == name, column]
        rows.append(
            Effect(
                metric=column,
                label=label,
                role="sensitivity",
                comparison=f"{name} vs {CONTROL}",
                method="Mann-Whitney",
                n_control=len(control),
                n_treatment=len(treatment),
                control=float(control.median()),
                treatment=float(treatment.median()),
                p_value=float(stats.mannwhitneyu(control, treatment).pvalue) if defined else math.nan,
                reason="a rank test has no lift" if defined else "all users have the same value",
            )
        )
    return rows


def post_stratified(users: pd.DataFrame, metric: MetricSpec, strata: str, plain: Effect, *, alpha: float) -> Effect:
    """Per-stratum values weighted by the strata's shares of both variants together (Miratrix, Sekhon and Yu 2013).

    A ratio weights the linearized numerator and denominator, so that it stays a ratio of totals.
    """
    codes, _ = pd.factorize(users[strata].astype(str), sort=True)
    share = np.bincount(codes) / len(codes)
    values, variances = [], []
    for name in (CONTROL, plain.name):
        rows = (users["variant"] == name).to_numpy()
        x, code = users.loc[rows, list(metric.columns)].to_numpy(dtype=np.float64), codes[rows]
        n = np.bincount(code, minlength=len(share))
        if (n < MIN_STRATUM).any():
            return replace(
                plain,
                method=f"post-stratified by {strata}",
                **dict.fromkeys(("lift", "p_value", "difference", "se", "log_se"), math.nan),
                lift_ci=(math.nan, math.nan),
                difference_ci=(math.nan, math.nan),
                reason=f"a stratum of {strata} has {n.min()} users in {name}; {MIN_STRATUM} are needed",
            )
        mean = np.column_stack([np.bincount(code, x[:, j], len(share)) / n for j in range(x.shape[1])])
        centered = x - mean[code]
        overall = SufficientStatistics(n=len(x), columns=metric.columns, mean=share @ mean, cov=np.eye(x.shape[1]))
        value, gradient = overall.gradient(metric.columns)
        spread = np.bincount(code, (centered @ gradient) ** 2, len(share)) / (n - 1)
        values.append(value)
        variances.append(float(np.sum(share**2 * spread / n)))
    effect = replace(plain, control=values[0], treatment=values[1], difference=values[1] - values[0])
    return with_uncertainty(replace(effect, method=f"post-stratified by {strata}", reason=""), *variances, alpha=alpha)


def bootstrap(users: pd.DataFrame, metric: MetricSpec, plain: Effect, *, alpha: float) -> Effect:
    """Percentile interval of the lift from REPLICATES resamples of BUCKETS buckets of users (Efron 1979).

    Users fall into buckets by a hash of their row, so the work does not grow with them beyond one pass.
    """
    lifts = []
    for seed, name in enumerate((CONTROL, plain.name)):
        rows = users.loc[(users["variant"] == name).to_numpy(), list(metric.columns)].to_numpy(dtype=np.float64)
        bucket = np.random.default_rng(seed).integers(0, min(BUCKETS, len(rows)), len(rows), dtype=np.int32)
        sums = np.column_stack(
            [np.bincount(bucket, minlength=BUCKETS), *(np.bincount(bucket, c, BUCKETS) for c in rows.T)]
        )
        resampled = _weights(seed) @ sums
        with np.errstate(divide="ignore", invalid="ignore"):
            lifts.append(resampled[:, 1] / resampled[:, -1 if metric.kind == "ratio" else 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = lifts[1] / lifts[0] - 1
    if not np.isfinite(ratio).all():
        nothing = dict.fromkeys(("lift", "p_value", "se", "log_se"), math.nan)
        undefined = {"lift_ci": (math.nan, math.nan), "difference_ci": (math.nan, math.nan)}
        return replace(plain, method="bootstrap", **nothing, **undefined, reason="a resample has no clicks")
    low, high = np.quantile(ratio, [alpha / 2, 1 - alpha / 2])
    tail = min(np.mean(ratio <= 0), np.mean(ratio >= 0))
    p = max(2 * float(tail), 2 / REPLICATES)  # a bootstrap cannot tell smaller ones apart
    nothing = {"difference_ci": (math.nan, math.nan), "se": math.nan, "log_se": math.nan}
    return replace(plain, method=f"bootstrap of {BUCKETS} buckets", lift_ci=(low, high), p_value=min(p, 1.0), **nothing)


@lru_cache(maxsize=4)
def _weights(seed: int) -> np.ndarray:
    """How often each bucket enters each resample, shape (REPLICATES, BUCKETS)."""
    rng = np.random.default_rng((29, seed))
    return rng.multinomial(BUCKETS, np.full(BUCKETS, 1 / BUCKETS), size=REPLICATES).astype(np.float64)
