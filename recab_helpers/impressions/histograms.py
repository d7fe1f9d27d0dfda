"""How many users, or impressions, have each value, and from which value on a user outweighs the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from recab_helpers.impressions.statistics import PRE, SufficientStatistics

HEAVY = 0.01  # share of a variant that one user must make up to outweigh the rest, and
TIMES_MEAN = 20  # times the mean user's: of a million draws of gamma activity, shape 0.7, none is
CAP = 0.99  # quantile at which users are capped where one outweighs the rest
BINS = 1000  # of a factor e: values within a thousandth of each other are told as one
AT_MOST, ALL = "at most", "impressions"
Z = 1.96  # of the interval whose width tells the error of a quantile


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How many users of each variant have each distinct combination of values."""

    columns: tuple[str, ...]
    values: np.ndarray  # (n_distinct, n_columns), sorted
    counts: dict[str, np.ndarray]  # by variant, control first; (n_distinct,) users

    @classmethod
    def of(cls, variant: np.ndarray, values: np.ndarray, columns: Sequence[str], names: Sequence[str]) -> "Histogram":
        """From one row per user: the code of its variant in `names`, and its values (n, n_columns).

        >>> clicks = Histogram.of(np.array([0, 1, 1]), np.array([[2], [2], [5]]), ["clicks"], ["control", "treatment"])
        >>> clicks.values.ravel(), clicks.counts["treatment"]
        (array([2, 5]), array([1, 1]))
        """
        order = np.lexsort(values.T[::-1])
        ordered = values[order]
        new = np.ones(len(ordered), dtype=bool)
        new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        distinct, which = ordered[new], np.cumsum(new) - 1
        counts = np.bincount(which * len(names) + variant[order], minlength=len(distinct) * len(names))
        by_name = dict(zip(names, counts.reshape(-1, len(names)).T, strict=True))
        return cls(columns=tuple(columns), values=distinct, counts=by_name)

    @property
    def cap(self) -> float | None:
        """Quantile CAP of the last column over all users, where one user outweighs the rest of a variant; else None.

        One does who makes up HEAVY of the variant's sum, and TIMES_MEAN times the mean user. Which variant a user is in
        plays no part in the cap.
        """
        value, cap = self.values[:, -1], None
        for users in self.counts.values():
            total = value @ users
            if total > 0 and value[users > 0].max() > total * max(HEAVY, TIMES_MEAN / users.sum()):
                cap = self.quantile or None
        return cap if cap is not None and cap < value.max() else None

    @property
    def quantile(self) -> float:
        """Quantile CAP of the last column over all users."""
        value = self.values[:, -1]
        order = np.argsort(value)
        below = np.cumsum(np.sum(list(self.counts.values()), axis=0)[order])
        return float(value[order][np.searchsorted(below, CAP * below[-1])])

    def only(self, column: str) -> "Histogram":
        """The histogram of one of the columns."""
        return self.of_value(column, self.values[:, self.columns.index(column)])

    def of_value(self, name: str, value: np.ndarray) -> "Histogram":
        """The histogram of a value that follows from the columns, shape (n_distinct,)."""
        values, inverse = np.unique(value, return_inverse=True)
        counts = {v: np.bincount(inverse, c, len(values)).astype(np.int64) for v, c in self.counts.items()}
        return Histogram(columns=(name,), values=values[:, None], counts=counts)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How many impressions of a variant have each value, to a thousandth, and how users differ about one quantile.

    A bin b holds the values from exp(b / BINS) to exp((b + 1) / BINS), and -inf those of zero. `statistics` are of
    users: impressions AT_MOST the quantile, and ALL.
    """

    bins: np.ndarray  # (n_bins,), ascending
    counts: np.ndarray  # (n_bins,) impressions
    statistics: SufficientStatistics

    def at(self, share: float) -> float:
        """The value that this share of the impressions does not exceed; nan where no value is that of such a share."""
        if not 0 < share < 1:
            return nan
        to = np.cumsum(self.counts) / self.counts.sum()
        shares = np.column_stack([np.concatenate([[0.0], to[:-1]]), to]).ravel()
        ends = np.exp(np.column_stack([self.bins, self.bins + 1]) / BINS).ravel()
        return float(np.interp(share, shares, ends))

    def variance(self, quantile: float) -> float:
        """The variance of `at(quantile)`, by the outer interval (Deng, Knoblich and Lu 2018).

        The share of impressions at most the quantile is a ratio, whose error by users the delta method tells; the
        values at the ends of its interval lie as far apart as those of the quantile's own.
        """
        s = self.statistics
        if s.n < 2:
            return nan
        _, gradient = s.gradient((AT_MOST, ALL))
        error = Z * float(np.sqrt(max(gradient @ s.cov @ gradient, 0.0) / s.n))
        return ((self.at(quantile + error) - self.at(quantile - error)) / (2 * Z)) ** 2


def histograms_before(columns: Iterable[str]) -> list[tuple[str, ...]]:
    """Which of these columns, that count the period before the test, belong into a histogram together.

    >>> histograms_before(["clicks", "pre_spend", "pre_clicks", "pre_impressions"])
    [('pre_clicks', 'pre_impressions'), ('pre_spend',)]
    """
    pre = [c for c in columns if c.startswith(PRE)]
    pair = tuple(f"{PRE}{c}" for c in ("clicks", "impressions"))
    return [pair, *((c,) for c in pre if c not in pair)] if set(pair) <= set(pre) else [(c,) for c in pre]
