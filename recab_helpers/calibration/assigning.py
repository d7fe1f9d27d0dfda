"""What a log of the same users would be reduced to under any assignment of them to two variants.

Thousands of tests differ in little but who was in which variant: what users did is prepared once, and an assignment
only adds it up. The aggregates are those that `Users.of` and `Running.of` make of the same arrays, to rounding.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

from recab_helpers.analysis.metrics import MetricSpec
from recab_helpers.impressions.aggregates import CELL, TREND, Aggregates, Running, Sample, Users
from recab_helpers.impressions.histograms import Histogram, histograms_before
from recab_helpers.impressions.statistics import KNOWN, PRE, ByVariant, SufficientStatistics
from recab_helpers.impressions.weights import users_before, weigh, weight_of
from recab_helpers.references import CONTROL

VARIANTS = (CONTROL, "treatment")
FLAT = 1e-13  # of the square about all users' mean, below which a variance is rounding error


def assigned(people: Sample, code: np.ndarray, goal: MetricSpec) -> Aggregates:
    """What a log of these users would be reduced to, had each been in the variant of this code (VARIANTS).

    Raises:
        ValueError: a variant has nobody.
    """
    return Assigner(people, goal).test(code)


@dataclass(frozen=True)
class Assigner:
    """Users of a log, prepared for any number of assignments; `goal` is the metric that decides."""

    people: Sample
    goal: MetricSpec

    def test(self, code: np.ndarray) -> Aggregates:
        """The aggregates of the test in which each user was in the variant of this code, shape (n_users,) of 0 and 1.

        Raises:
            ValueError: a variant has nobody.
        """
        if not 0 < code.sum() < len(code):
            raise ValueError(f"{code.sum()} of {len(code)} users are in treatment; give each variant one at least.")
        histograms = {h: of.histogram(code) for h, of in self._distinct.items()}
        cap = histograms[self.goal.columns].cap
        prepared = self._plain if cap is None else self._capped
        users = Users(
            statistics=self._plain.statistics.of(code),
            segments={
                segment: {level: sums.of(code[rows]) for level, (rows, sums) in levels.items()}
                for segment, levels in prepared.segments.items()
            },
            histograms=histograms,
            caps={} if cap is None else {self.goal.columns[-1]: cap},
            capped={} if cap is None else prepared.statistics.of(code),
            **({"in_two_variants": 0, "impossible": 0, "first_seen": self._first_seen(code)} if self._by_day else {}),
        )
        running = None if prepared.looks is None else prepared.looks.of(code)
        if self._by_day is None or prepared.trend is None:
            return Aggregates(users=users, running=running)
        by_day, n = self._by_day.of(code)
        return Aggregates(users=users, running=running, trend=prepared.trend.of(code), by_day=by_day, n_impressions=n)

    @cached_property
    def _distinct(self) -> dict[tuple[str, ...], "_Distinct"]:
        columns = self.people.columns
        return {h: _Distinct(h, columns) for h in dict.fromkeys((self.goal.columns, *histograms_before(columns)))}

    @cached_property
    def _plain(self) -> "_Prepared":
        return _Prepared(self.people, self.goal, {})

    @cached_property
    def _capped(self) -> "_Prepared":
        """The same with heavy users capped; whose cap it is does not depend on who is in which variant."""
        whole = self._distinct[self.goal.columns].histogram(np.arange(len(self.people)) % 2)
        cap = whole.quantile
        return _Prepared(self.people, self.goal, {self.goal.columns[-1]: cap})

    @cached_property
    def _by_day(self) -> "_ByDay | None":
        people = self.people
        if people.daily is None or not {"clicks", "impressions"} <= set(people.daily_columns):
            return None
        return _ByDay(*(people.daily[:, :, people.daily_columns.index(c)].T for c in ("clicks", "impressions")))

    def _first_seen(self, code: np.ndarray) -> pd.DataFrame:
        assert self._by_day is not None
        first, n_days = self._by_day.first, self._by_day.n_days
        counts = np.bincount(first * 2 + code, minlength=2 * n_days).reshape(n_days, 2)
        days = np.flatnonzero(counts.any(axis=1))
        return pd.DataFrame(counts[days], pd.Index(days, name="day"), VARIANTS)


class _Distinct:
    """Which of the distinct combinations of values each user has."""

    def __init__(self, columns: tuple[str, ...], of: Mapping[str, np.ndarray]):
        values = np.column_stack([np.asarray(of[c], dtype=np.float64) for c in columns])
        order = np.lexsort(values.T[::-1])
        new = np.ones(len(values), dtype=bool)
        new[1:] = (values[order][1:] != values[order][:-1]).any(axis=1)
        self.columns, self.values = columns, values[order][new]
        self.which = np.empty(len(values), dtype=np.int64)
        self.which[order] = np.cumsum(new) - 1
        self.all = np.bincount(self.which, minlength=len(self.values))

    def histogram(self, code: np.ndarray) -> Histogram:
        treated = np.bincount(self.which[code == 1], minlength=len(self.values))
        counts = dict(zip(VARIANTS, (self.all - treated, treated), strict=True))
        return Histogram(columns=self.columns, values=self.values, counts=counts)


class _Sums:
    """Sums of values and of their products, about the mean of all users; of an array of shape (n_columns, n_users)."""

    def __init__(self, values: np.ndarray, columns: tuple[str, ...]):
        self.columns, self.mean = columns, values.mean(axis=1)
        self.rest = values - self.mean[:, None]

    def of(self, code: np.ndarray) -> ByVariant:
        n, found = int(code.sum()), {}
        for name, size, one in zip(VARIANTS, (len(code) - n, n), _indicators(code), strict=True):
            products = (self.rest * one) @ self.rest.T
            of = SufficientStatistics.from_sums(size, self.rest @ one, products, self.columns, shift=self.mean)
            flat = of.cov.diagonal() * (size - 1) < FLAT * products.diagonal()  # all alike in one variant
            if flat.any():
                of.cov[flat], of.cov[:, flat] = 0.0, 0.0
            found[name] = of if size > 1 else replace(of, cov=np.full_like(products, math.nan))
        return found


class _Looks:
    """What `Running.of` sums up: exposure, counts to date and their products, and what is known from before.

    `daily` has shape (n_columns, n_days, n_users).
    """

    def __init__(self, daily: np.ndarray, columns: tuple[str, ...], caps: Mapping[str, float], known: dict):
        counts = np.cumsum(daily, axis=1, dtype=np.float64)
        exposed = (counts[columns.index("impressions")] > 0).astype(np.float64)
        if caps:
            counts *= np.asarray(weight_of({c: counts[columns.index(c)] for c in caps}, caps))
        self.columns, self.known, self.n_days = columns, tuple(known), daily.shape[1]
        self.pairs = list(combinations_with_replacement(range(len(columns)), 2))
        self.parts = [exposed, *counts, *(counts[i] * counts[j] for i, j in self.pairs)]
        before = [np.asarray(v, dtype=np.float64) for v in known.values()]
        self.known_pairs = list(combinations_with_replacement(range(len(before)), 2))
        self.before = np.array([*before, *(before[i] * before[j] for i, j in self.known_pairs)])
        self.seen = [exposed, *(c * exposed for c in counts)] if known else []  # multiplied with what was before

    def of(self, code: np.ndarray) -> Running:
        c, m, days = len(self.columns), len(self.known), self.n_days
        ones = _indicators(code)
        by_variant = np.stack([part @ ones.T for part in self.parts]).transpose(2, 0, 1)  # (2, n_parts, n_days)
        crosses = np.zeros((2, 1 + c, days, len(self.before)))
        for i, one in enumerate(ones):
            crosses[i, : len(self.seen)] = [part @ (self.before * one).T for part in self.seen]
        n, sums, products = {}, {}, {}
        for name, by_day, of_known in zip(VARIANTS, by_variant, crosses, strict=True):
            n[name] = np.rint(by_day[0]).astype(np.int64)
            sums[name], products[name] = np.empty((days, c + m)), np.empty((days, c + m, c + m))
            sums[name][:, :c], sums[name][:, c:] = by_day[1 : 1 + c].T, of_known[0, :, :m]
            for (i, j), row in zip(self.pairs, by_day[1 + c :], strict=True):
                products[name][:, i, j] = products[name][:, j, i] = row
            for i in range(c):
                products[name][:, i, c:] = products[name][:, c:, i] = of_known[1 + i, :, :m]
            for at, (i, j) in enumerate(self.known_pairs):
                products[name][:, c + i, c + j] = products[name][:, c + j, c + i] = of_known[0, :, m + at]
        return Running(columns=(*self.columns, *self.known), n=n, sums=sums, products=products)


class _ByDay:
    """Clicks and impressions of users by day, shape (n_days, n_users) each, and the day of the first impression."""

    def __init__(self, clicks: np.ndarray, shown: np.ndarray):
        clicks, shown = clicks.astype(np.float64, order="C"), shown.astype(np.float64, order="C")
        there = shown > 0
        self.first, self.n_days = there.argmax(axis=0), len(shown)
        self.n_impressions = round(shown.sum())
        self.parts = [shown, clicks, there.astype(np.float64), clicks * clicks, clicks * shown, shown * shown]

    def of(self, code: np.ndarray) -> tuple[pd.DataFrame, int]:
        ones = _indicators(code)
        sums = np.stack([part @ ones.T for part in self.parts], axis=-1)  # (n_days, n_variants, n_parts)
        table = np.rint(sums).swapaxes(0, 1).reshape(2 * self.n_days, -1)
        there = table[:, 2] > 0
        index = _cells(self.n_days)
        columns = ("impressions", "clicks", "users", *CELL)
        return pd.DataFrame(table[there], index if there.all() else index[there], columns), self.n_impressions


@cache
def _cells(n_days: int) -> pd.MultiIndex:
    """Every variant on every day."""
    return pd.MultiIndex.from_product([VARIANTS, range(n_days)], names=["variant", "day"])


class _Prepared:
    """What an assignment sums up, with heavy users capped where `caps` has one."""

    def __init__(self, people: Sample, goal: MetricSpec, caps: dict[str, float]):
        columns = tuple(people.columns)
        values = np.array([np.asarray(c, dtype=np.float64) for c in people.columns.values()])
        values = weigh(values.T, {c: i for i, c in enumerate(columns)}, caps).T
        self.statistics, self.segments = _Sums(values, columns), {}
        for segment, levels in people.segments.items():
            which, distinct = pd.factorize(np.asarray(levels), use_na_sentinel=False)
            names, level_of = np.unique(np.asarray(distinct).astype(str), return_inverse=True)
            rows_of = [np.flatnonzero(level_of[which] == i) for i in range(len(names))]
            self.segments[segment] = {
                str(name): (rows, _Sums(values[:, rows], columns)) for name, rows in zip(names, rows_of, strict=True)
            }
        self.looks: _Looks | None = None
        self.trend: _Sums | None = None
        if people.daily is None:
            return
        at = {c: people.daily[:, :, i].T for i, c in enumerate(people.daily_columns)}
        there = tuple(c for c in dict.fromkeys(("impressions", *goal.columns)) if c in at)
        known = {
            c: users_before(people.columns, c, caps) for c in (*(f"{PRE}{c}" for c in there), *goal.further, KNOWN)
        }
        self.looks = _Looks(
            np.stack([at[c] for c in there]),
            there,
            {c: cap for c, cap in caps.items() if c in there},
            {c: v for c, v in known.items() if v is not None},
        )
        if {"clicks", "impressions"} <= set(at):
            day = np.arange(people.daily.shape[1], dtype=np.float64)
            clicks, shown = (at[c].astype(np.float64) for c in ("clicks", "impressions"))
            trend = np.stack([clicks.sum(axis=0), shown.sum(axis=0), day @ clicks, day @ shown])
            sizes = dict(zip(TREND[:2], trend[:2], strict=True))
            self.trend = _Sums(trend * weight_of(sizes, {c: cap for c, cap in caps.items() if c in sizes}), TREND)


def _indicators(code: np.ndarray) -> np.ndarray:
    """1 for control and 1 for treatment, shape (2, n_users): each is summed by itself, not as the rest of all users.

    A bot in one variant would cost the other its digits.
    """
    return np.stack([1.0 - code, code])
