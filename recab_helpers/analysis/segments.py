"""Effects within segments of users: exploratory, corrected for their number, and tested for being unlike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.estimating import estimate
from recab_helpers.analysis.metrics import MetricSpec
from recab_helpers.analysis.statistics import benjamini_hochberg
from recab_helpers.impressions.aggregates import Users
from recab_helpers.impressions.statistics import ByVariant
from recab_helpers.references import Comparison

MIN_USERS = 100  # in each variant of a segment; smaller ones are not estimated
SEGMENT_COLUMNS = {
    "metric": "name of the goal",
    "segment": "what tells users apart",
    "level": "which of them these are",
    "variant": "the treatment",
    "against": "what it is held against",
    "users": "users of both variants at this level",
    "lift": "estimate, a fraction",
    "low": "low end of the lift's interval",
    "high": "high end of the lift's interval",
    "log_se": "standard error of log(1 + lift)",
    "p_value": "of the difference",
    "adjusted_p_value": "over all rows, Benjamini-Hochberg",
    "reason": "why there is no lift, where there is none",
}
HETEROGENEITY_COLUMNS = {
    "metric": "name of the goal",
    "segment": "what tells users apart",
    "variant": "the treatment",
    "against": "what it is held against",
    "levels": "levels with a lift",
    "q": "Cochran's Q of their log ratios",
    "p_value": "of equal lifts",
    "adjusted_p_value": "over the segments, Benjamini-Hochberg",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One treatment against another variant among the users of one level; `effect` is None where they are too few."""

    segment: str
    level: str
    comparison: Comparison
    users: int
    effect: Effect | None
    reason: str


def in_segments(users: Users, goal: MetricSpec, *, alpha: float = 0.05) -> list[Part]:
    """The goal's effects in every level of every segment."""
    return [
        _part(segment, level, levels[level], comparison, goal, alpha=alpha)
        for segment, levels in users.segments_of(goal.columns).items()
        for level in sorted(levels, key=_natural)
        for comparison in users.comparisons
    ]


def segment_effects(users: Users, goals: Sequence[MetricSpec], *, alpha: float = 0.05) -> pd.DataFrame:
    """The goals' lifts in every level of every segment, as SEGMENT_COLUMNS says."""
    rows = [_row(goal, part) for goal in goals for part in in_segments(users, goal, alpha=alpha)]
    table = pd.DataFrame(rows, columns=list(SEGMENT_COLUMNS))
    defined = table["p_value"].notna()
    p = table.loc[defined, "p_value"].to_numpy(dtype=float)
    table.loc[defined, "adjusted_p_value"] = benjamini_hochberg(p)
    return table


def heterogeneity(segments: pd.DataFrame) -> pd.DataFrame:
    """Do lifts differ between the levels of a segment? Cochran's Q on log ratios (Cochran 1954).

    From the table of `segment_effects`; as HETEROGENEITY_COLUMNS says.
    """
    rows = []
    key = ["metric", "segment", "variant", "against"]
    for names, part in segments[segments["log_se"] > 0].groupby(key, sort=True):
        if len(part) > 1:
            of = np.log1p(part["lift"].to_numpy(dtype=float)), part["log_se"].to_numpy(dtype=float)
            rows.append((*names, len(part), *cochran(*of)))
    table = pd.DataFrame(rows, columns=list(HETEROGENEITY_COLUMNS)[:-1])
    return table.assign(adjusted_p_value=benjamini_hochberg(table["p_value"].to_numpy(dtype=float)))


def cochran(log_ratio: np.ndarray, log_se: np.ndarray) -> tuple[float, float]:
    """Q of independent estimates of one value, and the chance of a larger one; shapes (n,), n at least 2.

    >>> q, p = cochran(np.array([0.0, 0.2]), np.array([0.1, 0.1]))
    >>> round(q, 9), round(p, 4)  # (0.2 / 0.1)^2 / 2
    (2.0, 0.1573)
    """
    weight = log_se**-2.0
    q = float(np.sum(weight * (log_ratio - np.average(log_ratio, weights=weight)) ** 2))
    return q, float(special.chdtrc(len(log_ratio) - 1, q))


def reversed_in(segments: pd.DataFrame, effect: Effect) -> list[str]:
    """The segments in all of whose levels the lift points the other way than in all users together (Simpson 1951).

    From the table of `segment_effects`. The variants then hold the levels in unlike shares: believe neither.
    """
    of = segments[(segments["metric"] == effect.metric.name) & (segments["variant"] == effect.comparison.variant)]
    found = []
    for segment, part in of.groupby("segment", sort=False):
        whole = part["lift"].notna().all() and len(part) > 1
        if whole and effect.defined and effect.lift and (np.sign(part["lift"]) == -np.sign(effect.lift)).all():
            found.append(str(segment))
    return found


def losing(segments: pd.DataFrame, goal: MetricSpec, comparison: Comparison, *, alpha: float = 0.05) -> pd.DataFrame:
    """The levels in which the treatment is shown to be worse than control, by their adjusted p; the largest loss first.

    From the table of `segment_effects`.
    """
    of = segments[(segments["metric"] == goal.name) & (segments["variant"] == comparison.variant)]
    lost = of[(of["adjusted_p_value"] < alpha) & (goal.direction * of["lift"] < 0)]
    return lost.sort_values("lift", ascending=goal.direction > 0, kind="stable")


def _natural(level: str) -> tuple[float, str]:
    """Sorts '5 or more' after '1 to 4', and names without a number first."""
    number = re.search(r"\d+(\.\d+)?", level)
    return float(number[0]) if number else -1.0, level


def _part(
    segment: str, level: str, group: ByVariant, comparison: Comparison, metric: MetricSpec, *, alpha: float
) -> Part:
    pair = [group[v] for v in (comparison.against, comparison.variant) if v in group]
    counts = [s.n for s in pair] if len(pair) == 2 else [0, *(s.n for s in pair)]
    of: dict[str, Any] = {"segment": segment, "level": level, "comparison": comparison, "users": sum(counts)}
    if (few := min(counts)) < MIN_USERS:
        why = f"{few} {'user' if few == 1 else 'users'} in one variant; {MIN_USERS} are needed"
        return Part(**of, effect=None, reason=why)
    effect = estimate(metric, pair[0], pair[1], comparison=comparison, alpha=alpha)
    return Part(**of, effect=effect, reason=effect.reason)


def _row(goal: MetricSpec, part: Part) -> dict[str, Any]:
    """SEGMENT_COLUMNS of one part, but the adjusted p."""
    row = {"metric": goal.name, "segment": part.segment, "level": part.level, "users": part.users}
    row |= {"variant": part.comparison.variant, "against": part.comparison.against, "reason": part.reason}
    if (e := part.effect) is None:
        return row
    return row | {"lift": e.lift, "low": e.lift_ci[0], "high": e.lift_ci[1], "log_se": e.log_se, "p_value": e.p_value}
