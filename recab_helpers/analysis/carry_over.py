"""What a session leaves behind for the next, where every session of a user draws its variant anew."""

import math

import numpy as np

from recab_helpers.analysis.metrics import CTR
from recab_helpers.analysis.statistics import t_tail, variance_of
from recab_helpers.impressions.aggregates import Within
from recab_helpers.impressions.within import AFTER_OTHER, AFTER_SAME, at


def carry_over(of: Within, variants: tuple[str, ...]) -> tuple[float, float] | None:
    """By how much CTR is higher after a session of the other variant, a lift, and p; None where it is not told.

    Sessions draw their variants anew, so that within each variant those after the same and after the other differ by
    chance only, unless a session leaves something behind. The mean of both log ratios.
    """
    s, value, gradient = of.statistics, 0.0, np.zeros(len(of.statistics.columns))
    for v in variants:
        for after, side in ((AFTER_SAME, -1), (AFTER_OTHER, 1)):
            columns = tuple(at(f"{c} {after}", v) for c in CTR.columns)
            if not set(columns) <= set(s.columns):
                return None
            ratio, by = s.gradient(columns)
            if not ratio > 0:
                return None
            value += side * math.log(ratio) / len(variants)
            gradient += side * by / ratio / len(variants)
    variance = variance_of(s, gradient)
    return (math.expm1(value), 2 * t_tail(abs(value) / math.sqrt(variance), s.n - 1)) if variance > 0 else None
