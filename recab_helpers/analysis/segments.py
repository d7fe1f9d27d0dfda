"""Effects within segments of users: exploratory, corrected for their number, and tested for being unlike."""

import math
import re

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.analysis.effects import Effect, benjamini_hochberg, columns_of, estimate, sufficient_statistics
from recab_helpers.analysis.metrics import CONTROL, MetricSpec, variants_of

MIN_USERS = 100  # in each variant of a segment; smaller ones are not estimated
MAX_LEVELS = 12


def segment_columns(users: pd.DataFrame) -> list[str]:
    """Text, category and true/false columns with a few levels; the ids and the variant are not segments."""
    taken = {"user_id", "variant"}
    kinds = users.select_dtypes(["object", "string", "category", "bool"]).columns
    return [c for c in kinds if c not in taken and 2 <= users[c].nunique() <= MAX_LEVELS]


def segment_effects(users: pd.DataFrame, metric: MetricSpec, *, alpha: float = 0.05) -> pd.DataFrame:
    """The metric's lift in every level of every segment; p-values adjusted over all rows (Benjamini-Hochberg).

    Columns: segment, level, comparison, users, lift, low, high, p_value, adjusted_p_value, reason.
    """
    rows = []
    for segment in segment_columns(users):
        parts = dict(list(users.groupby(users[segment].astype(str), observed=True)))
        for level in sorted(parts, key=_natural):
            part = parts[level]
            rows += [_row(segment, level, part, name, metric, alpha) for name in variants_of(users)[1:]]
    names = ["segment", "level", "comparison", "users", "lift", "low", "high", "log_se", "p_value", "reason"]
    table = pd.DataFrame(rows, columns=names)
    defined = table["p_value"].notna()
    table["adjusted_p_value"] = np.nan
    table.loc[defined, "adjusted_p_value"] = benjamini_hochberg(table.loc[defined, "p_value"].to_numpy())
    return table


def heterogeneity(segments: pd.DataFrame) -> pd.DataFrame:
    """Do lifts differ between the levels of a segment? Cochran's Q on log ratios (Cochran 1954), BH-adjusted.

    Columns: segment, comparison, levels, q, p_value, adjusted_p_value.
    """
    rows = []
    for (segment, comparison), part in segments[segments["log_se"] > 0].groupby(["segment", "comparison"]):
        if len(part) < 2:
            continue
        weight, log_ratio = part["log_se"] ** -2.0, np.log1p(part["lift"])
        q = float(np.sum(weight * (log_ratio - np.average(log_ratio, weights=weight)) ** 2))
        rows.append((segment, comparison, len(part), q, float(stats.chi2.sf(q, len(part) - 1))))
    table = pd.DataFrame(rows, columns=["segment", "comparison", "levels", "q", "p_value"])
    return table.assign(adjusted_p_value=benjamini_hochberg(table["p_value"].to_numpy(dtype=float)))


def _natural(level: str) -> tuple[float, str]:
    """Sorts '5 or more' after '1 to 4', and names without a number first."""
    number = re.search(r"\d+(\.\d+)?", level)
    return float(number[0]) if number else -1.0, level


def _row(segment: str, level: str, part: pd.DataFrame, name: str, metric: MetricSpec, alpha: float) -> tuple:
    comparison = f"{name} vs {CONTROL}"
    pair = part[part["variant"].isin((CONTROL, name))]
    counts = pair["variant"].value_counts().reindex([CONTROL, name], fill_value=0)
    if counts.min() < MIN_USERS:
        reason = f"{counts.min()} {'user' if counts.min() == 1 else 'users'} in one variant; {MIN_USERS} are needed"
        return (segment, level, comparison, int(counts.sum()), *([math.nan] * 5), reason)
    statistics = sufficient_statistics(pair, columns_of((metric,), pair))
    e: Effect = estimate(metric, statistics[CONTROL], statistics[name], alpha=alpha)
    return (segment, level, comparison, int(counts.sum()), e.lift, *e.lift_ci, e.log_se, e.p_value, e.reason)
