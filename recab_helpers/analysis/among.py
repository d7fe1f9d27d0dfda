"""Treatments held against each other, and how likely each variant is the best: what a test of several is run for."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.estimating import adjusted_values, estimate
from recab_helpers.analysis.metrics import MetricSpec
from recab_helpers.analysis.statistics import holm
from recab_helpers.impressions.aggregates import Users
from recab_helpers.references import CONTROL, Comparison

GRID = 2001  # points of the integral of chance_to_be_best, over 8 standard errors on both sides
BEST_COLUMNS = {
    "metric": "name of the goal",
    "variant": "control or a treatment",
    "value": "of the goal, adjusted for the period before where it is known",
    "chance_to_be_best": "that its true value is the best of all variants, under a flat prior",
}


def among_treatments(users: Users, goals: Sequence[MetricSpec], *, alpha: float = 0.05) -> list[Effect]:
    """Every two treatments on every goal, what looks better against the other, where neither does in their order.

    The pairs share alpha, and p-values are adjusted by Holm (1979).

    None where there is one treatment.
    """
    pairs = list(combinations([v for v in users.variants if v != CONTROL], 2))

    def pair(goal: MetricSpec, first: str, second: str) -> Effect:
        of, level = users.read_by(goal.columns), alpha / (len(pairs) * len(goals))
        e = estimate(goal, of[first], of[second], comparison=Comparison(second, first), alpha=level)
        return pair(goal, second, first) if goal.direction * e.difference < 0 else e

    effects = [pair(goal, first, second) for goal in goals for first, second in pairs]
    defined = [i for i, e in enumerate(effects) if np.isfinite(e.p_value)]
    for i, p in zip(defined, holm(np.array([effects[i].p_value for i in defined])), strict=True):
        effects[i] = replace(effects[i], adjusted_p_value=float(p))
    return effects


def best_table(users: Users, goals: Sequence[MetricSpec]) -> pd.DataFrame:
    """BEST_COLUMNS of every goal and variant; empty where there is one treatment, or a value does not vary."""
    rows = []
    for goal in goals if len(users.variants) > 2 else ():
        values = adjusted_values(goal, users.read_by(goal.columns))
        mean, se = (np.array([v[i] for v in values.values()]) for i in (0, 1))
        if np.isfinite(mean).all() and (se > 0).all():
            best = chance_to_be_best(goal.direction * mean, se)
            rows += [(goal.name, v, m, p) for v, m, p in zip(values, mean, best, strict=True)]
    return pd.DataFrame(rows, columns=list(BEST_COLUMNS))


def chance_to_be_best(mean: np.ndarray, se: np.ndarray) -> np.ndarray:
    """Of independent normal values, the chance of each to be the largest: the integral of f_i times the other F_j."""
    x = mean[:, None] + se[:, None] * np.linspace(-8, 8, GRID)
    chances = np.empty(len(mean))
    for i in range(len(mean)):
        below = stats.norm.cdf(x[i], np.delete(mean, i)[:, None], np.delete(se, i)[:, None]).prod(axis=0)
        chances[i] = np.trapezoid(stats.norm.pdf(x[i], mean[i], se[i]) * below, x[i])
    return chances / chances.sum()
