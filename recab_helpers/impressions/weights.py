"""What a heavy user counts: all counts shrink together, so that ratios stay the user's own."""

from collections.abc import Mapping

import numpy as np

from recab_helpers.impressions.histograms import CAP
from recab_helpers.impressions.statistics import KNOWN, PRE


def weight_of(sizes: Mapping[str, np.ndarray], caps: Mapping[str, float]) -> np.ndarray | float:
    """What users count of these sizes: the least that one of `caps` leaves of them, at most 1."""
    weight: np.ndarray | float = 1.0
    for column, cap in caps.items():
        weight = np.minimum(weight, cap / np.maximum(sizes[column], cap))
    return weight


def users_before(columns: Mapping[str, np.ndarray], column: str, caps: Mapping[str, float]) -> np.ndarray | None:
    """A column of before, its users weighed as `Users.capped` weighs them; None where it is not there."""
    if column not in columns:
        return None
    return np.asarray(columns[column], dtype=np.float64) * (1.0 if column == KNOWN else _early(columns, caps))


def _early(columns: Mapping[str, np.ndarray], caps: Mapping[str, float]) -> np.ndarray | float:
    """What users count in the period before: its counts are capped at the same quantile as those of the test."""
    then = {f"{PRE}{c}": np.asarray(columns[f"{PRE}{c}"], dtype=np.float64) for c in caps if f"{PRE}{c}" in columns}
    most = {c: float(np.quantile(v, CAP)) for c, v in then.items()}
    return weight_of(then, {c: cap for c, cap in most.items() if cap > 0})


def weigh(values: np.ndarray, at: Mapping[str, int], caps: Mapping[str, float]) -> np.ndarray:
    """Values of users of whom all counts shrink together where one of `caps` is exceeded, and those of before likewise.

    A column that is 0 or 1 for everybody counts nothing and stays.
    """
    if not caps:
        return values
    found = values.copy()
    early = _early({c: values[:, i] for c, i in at.items()}, caps)
    now = weight_of({c: values[:, at[c]] for c in caps}, caps)
    for column, i in at.items():
        if column.startswith(PRE) and column != KNOWN:
            found[:, i] *= early
        elif values[:, i].max(initial=0) > 1:
            found[:, i] *= now
    return found
