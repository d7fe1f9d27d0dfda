"""Means and covariances of users' columns, from which every estimate follows, and what the columns' names tell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np

PRE = "pre_"  # begins the name of a column that was known before the test, such as a count of the period before
KNOWN = f"{PRE}known"  # 1 for users of whom the period before is known, 0 for those whose counts are 0 for want of it


def name_before(column: str) -> str:
    """The name of a column that was known before the test.

    >>> name_before("age"), name_before("pre_clicks")
    ('pre_age', 'pre_clicks')
    """
    return column if column.startswith(PRE) else f"{PRE}{column}"


@dataclass(frozen=True, kw_only=True)
class SufficientStatistics:
    """Number of users, column means and the sample covariance of the columns (n - 1), in float64."""

    n: int
    columns: tuple[str, ...]
    mean: np.ndarray  # (n_columns,)
    cov: np.ndarray  # (n_columns, n_columns); nan below two users

    @classmethod
    def of(cls, values: np.ndarray, columns: Sequence[str]) -> "SufficientStatistics":
        """From one row per user, shape (n, n_columns); in two passes, so that large means do not cancel.

        >>> users = SufficientStatistics.of(np.array([[1, 10], [3, 10]]), ["clicks", "impressions"])
        >>> users.n, users.mean
        (2, array([ 2., 10.]))
        >>> users.gradient(("clicks", "impressions"))[0]  # CTR
        0.2
        """
        n = len(values)
        mean = values.mean(axis=0) if n else np.full(len(columns), nan)
        rest = values - mean
        cov = rest.T @ rest / (n - 1) if n > 1 else np.full((len(columns),) * 2, nan)
        return cls(n=n, columns=tuple(columns), mean=mean, cov=cov)

    @classmethod
    def from_sums(
        cls, n: int, sums: np.ndarray, products: np.ndarray, columns: Sequence[str], *, shift: np.ndarray
    ) -> "SufficientStatistics":
        """From sums and cross products of (value - shift), shapes (n_columns,) and (n_columns, n_columns)."""
        mean = sums / n if n else np.full(len(columns), nan)
        cov = (products - n * np.outer(mean, mean)) / (n - 1) if n > 1 else np.full((len(columns),) * 2, nan)
        return cls(n=n, columns=tuple(columns), mean=mean + shift, cov=cov)

    def gradient(self, columns: tuple[str, ...]) -> tuple[float, np.ndarray]:
        """Value of the mean of one column or the ratio of two, and its derivative by every column mean."""
        g = np.zeros(len(self.columns))
        top = self.columns.index(columns[0])
        if len(columns) == 1:
            g[top] = 1.0
            return float(self.mean[top]), g
        bottom = self.columns.index(columns[1])
        if not self.mean[bottom] > 0:
            return nan, np.full_like(g, nan)
        ratio = self.mean[top] / self.mean[bottom]
        g[top], g[bottom] = 1 / self.mean[bottom], -ratio / self.mean[bottom]
        return float(ratio), g

    def sum(self, column: str) -> float:
        """The column's total over the users."""
        return float(self.n * self.mean[self.columns.index(column)]) if self.n else 0.0

    def __add__(self, other: "SufficientStatistics") -> "SufficientStatistics":
        """Statistics of both groups together (Chan, Golub and LeVeque 1983)."""
        if not (self.n and other.n):
            return self if self.n else other
        n, shift = self.n + other.n, other.mean - self.mean
        parts = [(s.n - 1) * s.cov for s in (self, other) if s.n > 1]
        scatter = sum(parts, np.outer(shift, shift) * self.n * other.n / n)
        return replace(self, n=n, mean=self.mean + shift * other.n / n, cov=scatter / (n - 1))


ByVariant = dict[str, SufficientStatistics]  # control first


@dataclass(frozen=True, kw_only=True)
class Stacked:
    """Sufficient statistics of the same columns many times over, such as at the end of every day."""

    n: np.ndarray  # (n_times,)
    columns: tuple[str, ...]
    mean: np.ndarray  # (n_times, n_columns); nan without users
    cov: np.ndarray  # (n_times, n_columns, n_columns); nan below two users
