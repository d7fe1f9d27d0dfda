"""What an analysis reads of a test: its users summed up, and a few small tables; never an impression.

`impressions.reduce` makes them from a log of any size; `Users.of` and `Running.of` make the same ones from arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import nan

import numpy as np
import pandas as pd

from recab_helpers.brief import Brief
from recab_helpers.impressions.histograms import Histogram, Spread, histograms_before
from recab_helpers.impressions.statistics import PRE, ByVariant, Stacked, SufficientStatistics
from recab_helpers.impressions.weights import weigh, weight_of
from recab_helpers.references import CONTROL, Comparison, in_order

TREND = ("clicks", "impressions", "clicks x day", "impressions x day")
CELL = ("clicks_clicks", "clicks_impressions", "impressions_impressions")  # of users, in a cell of a day or position


@dataclass(frozen=True, kw_only=True)
class Within:
    """Users of a test in which every user meets every variant, each summed up once with columns for all variants.

    `design` is sessions or interleaved. `mixed` counts sessions with items of more than one variant, None where it
    could not be told.
    """

    design: str
    statistics: SufficientStatistics
    mixed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Users(Brief):
    """The users of a test, summed up once: every function of the analysis reads this and no table of users.

    `statistics` are by variant, control first. `segments` are by segment, level and variant, of a few columns.
    `histograms` are by their columns; those of before (`histograms_before`) are always there. `first_seen` counts users
    by the day of their first impression (rows, from 0) and variant (columns); None where days are not known.
    `in_two_variants` and `impossible` count users seen in more than one variant, and users with more clicks than
    impressions or more sessions than impressions; None where the columns that tell are not there. `in_two_variants` are
    left out of all else. `unknown` counts the users of whom the table of what is known from before says nothing; None
    without one. `missing` counts the users without a number in a column, and `own` has, by such columns, the statistics
    of the users who have one in all of them; so has `own_segments` for goals. Where one user outweighs the rest of a
    goal, `caps` has the most that counts of its last column, and `capped` the statistics with all counts of heavier
    users shrunk to it, and what they did before likewise; segments are of these too. Where every user meets every
    variant, `within` has them, and `statistics` are of who met a variant. `quantiles` has, by column of the impressions
    and quantile, how it is spread in each variant.
    """

    statistics: ByVariant
    segments: dict[str, dict[str, ByVariant]] = field(default_factory=dict)
    histograms: dict[tuple[str, ...], Histogram] = field(default_factory=dict)
    first_seen: pd.DataFrame | None = None
    in_two_variants: int | None = None
    impossible: int | None = None
    unknown: int | None = None
    missing: dict[str, int] = field(default_factory=dict)
    own: dict[frozenset[str], ByVariant] = field(default_factory=dict)
    own_segments: dict[frozenset[str], dict[str, dict[str, ByVariant]]] = field(default_factory=dict)
    capped: ByVariant = field(default_factory=dict)
    quantiles: dict[tuple[str, float], dict[str, Spread]] = field(default_factory=dict)
    caps: dict[str, float] = field(default_factory=dict)
    within: Within | None = None

    @classmethod
    def of(
        cls,
        variant: Sequence[str] | np.ndarray | pd.Series,
        columns: Mapping[str, np.ndarray],
        *,
        segments: Mapping[str, np.ndarray] | None = None,
        histograms: Sequence[tuple[str, ...]] = (),
    ) -> "Users":
        """From arrays of one value per user: the variant, numeric columns, segments as text, and the columns of goals.

        >>> users = Users.of(["control", "treatment", "treatment"], {"clicks": [1, 0, 4]})
        >>> users.counts
        {'control': 1, 'treatment': 2}
        >>> users.statistics["treatment"].mean
        array([2.])
        """
        coded = pd.Categorical(variant)
        names = in_order(coded.categories[np.unique(coded.codes)])
        code = np.array([names.index(str(c)) if str(c) in names else -1 for c in coded.categories])[coded.codes]
        values = np.column_stack([np.asarray(c, dtype=np.float64) for c in columns.values()])
        at = {c: i for i, c in enumerate(columns)}
        wanted = dict.fromkeys((*histograms, *histograms_before(columns)))
        found = {h: Histogram.of(code, values[:, [at[c] for c in h]], h, names) for h in wanted}
        caps = {h[-1]: cap for h in histograms if (cap := found[h].cap) is not None}
        weighed = weigh(values, at, caps)
        by_segment: dict[str, dict[str, ByVariant]] = {}
        for segment, levels in (segments or {}).items():
            level_of, level_names = pd.factorize(np.asarray(levels).astype(str), sort=True)
            by_segment[segment] = {
                str(name): _by_variant(weighed[level_of == i], code[level_of == i], tuple(columns), names)
                for i, name in enumerate(level_names)
            }
        return cls(
            statistics=_by_variant(values, code, tuple(columns), names),
            segments=by_segment,
            histograms=found,
            caps=caps,
            capped=_by_variant(weighed, code, tuple(columns), names) if caps else {},
        )

    def read_by(self, columns: tuple[str, ...]) -> ByVariant:
        """The statistics that a metric of these columns is read from."""
        return self.capped if self.is_capped(columns) else self.counted_by(columns)

    def counted_by(self, columns: tuple[str, ...]) -> ByVariant:
        """The same with every user counted whole."""
        lacking = frozenset(columns).intersection(self.missing)
        return self.own[lacking] if lacking else self.statistics

    def segments_of(self, columns: tuple[str, ...]) -> dict[str, dict[str, ByVariant]]:
        """The segments of a goal of these columns."""
        lacking = frozenset(columns).intersection(self.missing)
        return self.own_segments[lacking] if lacking else self.segments

    def is_capped(self, columns: tuple[str, ...]) -> bool:
        """Whether heavy users count less in a metric of these columns."""
        return bool(self.capped) and set(columns) <= set(next(iter(self.capped.values())).columns)

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants, control first."""
        return tuple(self.statistics)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Every treatment against control."""
        return tuple(Comparison(v) for v in self.variants if v != CONTROL)

    @property
    def columns(self) -> tuple[str, ...]:
        """Numeric columns that the statistics hold."""
        return next(iter(self.statistics.values())).columns

    @property
    def pre_columns(self) -> tuple[str, ...]:
        """The columns that count the period before the test."""
        return tuple(c for c in self.columns if c.startswith(PRE))

    @property
    def n(self) -> int:
        """Users, all variants together."""
        return self.within.statistics.n if self.within else sum(self.counts.values())

    @property
    def counts(self) -> dict[str, int]:
        """Users by variant."""
        return {v: s.n for v, s in self.statistics.items()}

    @cached_property
    def whole(self) -> SufficientStatistics:
        """Statistics of all variants together."""
        first, *others = self.statistics.values()
        return sum(others, first)


@dataclass(frozen=True, kw_only=True)
class Running:
    """Statistics of all data to date at the end of every day (from 0); a user enters on the first day seen.

    What is known of a user from before (columns that begin with PRE) enters with the user.
    """

    columns: tuple[str, ...]
    n: dict[str, np.ndarray]  # by variant, control first; (n_days,) users seen so far
    sums: dict[str, np.ndarray]  # (n_days, n_columns)
    products: dict[str, np.ndarray]  # (n_days, n_columns, n_columns) sums of products of a user's sums to date

    @classmethod
    def of(
        cls,
        variant: np.ndarray,
        daily: np.ndarray,
        columns: Sequence[str],
        names: Sequence[str],
        *,
        seen: str,
        caps: Mapping[str, float] | None = None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> "Running":
        """From codes of variants (n_users,) and what each day added, shape (n_users, n_days, n_columns).

        A user is seen from the first day on which the column `seen` is above zero, and counts less from that on which
        one of `caps` (`Users.caps`) is exceeded. `known` has what is known of users from before, shape (n_users,) each.
        """
        to_date = np.cumsum(daily, axis=1, dtype=np.float64)
        exposed = to_date[:, :, list(columns).index(seen)] > 0
        if caps:
            weight = weight_of({c: to_date[:, :, list(columns).index(c)] for c in caps}, caps)
            to_date *= np.asarray(weight)[:, :, None]
        if known:
            values = np.column_stack([np.asarray(v, dtype=np.float64) for v in known.values()])
            to_date = np.concatenate([to_date, exposed[:, :, None] * values[:, None, :]], axis=2)
            columns = (*columns, *known)
        n, sums, products = {}, {}, {}
        for code, name in enumerate(names):
            rows = to_date[variant == code]
            n[name] = exposed[variant == code].sum(axis=0)
            sums[name] = rows.sum(axis=0)
            products[name] = np.einsum("udi,udj->dij", rows, rows)
        return cls(columns=tuple(columns), n=n, sums=sums, products=products)

    def __len__(self) -> int:
        return len(next(iter(self.n.values())))

    def stacked(self, variant: str) -> Stacked:
        """Statistics of the variant at the end of every day."""
        n = self.n[variant].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.sums[variant] / n[:, None]
            rest = self.products[variant] - n[:, None, None] * mean[:, :, None] * mean[:, None, :]
            cov = rest / np.where(n > 1, n - 1, nan)[:, None, None]
        return Stacked(n=n, columns=self.columns, mean=mean, cov=cov)

    def at(self, day: int) -> ByVariant:
        """Statistics by variant at the end of this day."""
        zero = np.zeros(len(self.columns))
        return {
            v: SufficientStatistics.from_sums(
                int(self.n[v][day]), self.sums[v][day], self.products[v][day], self.columns, shift=zero
            )
            for v in self.n
        }


@dataclass(frozen=True, kw_only=True)
class Sample(Brief):
    """Users of a log, one value each, without what variant they were in: numeric columns, and segments as text.

    `daily` has what each day added to `daily_columns`, shape (n_users, n_days, n_columns), None where days are not
    known. `of` is the number of users that they stand for.
    """

    columns: dict[str, np.ndarray]
    segments: dict[str, np.ndarray] = field(default_factory=dict)
    daily: np.ndarray | None = None
    daily_columns: tuple[str, ...] = ()
    of: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True, kw_only=True)
class Aggregates(Brief):
    """A log reduced to what an analysis needs; a part that the log cannot give is None.

    `by_day` and `by_position` are indexed by variant and level and hold impressions, clicks, users and, over the
    users of the cell, sums of squares and products (clicks_clicks, clicks_impressions, impressions_impressions).
    `trend` has clicks and impressions of users, and both with every day counted as often as its number (from 0):
    TREND. `items` holds impressions by item_id (rows) and variant (columns).
    """

    users: Users
    running: Running | None = None
    trend: ByVariant = field(default_factory=dict)
    by_day: pd.DataFrame | None = None
    by_position: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    n_impressions: int = 0
    first_day: pd.Timestamp | None = None  # where days have dates
    dropped: dict[str, tuple[int, int]] = field(default_factory=dict)  # rows left out and their users, by variant
    by_impression: bool = False  # whether a unit is an impression, since users have no ids
    both_slates: dict[str, ByVariant] = field(default_factory=dict)  # by treatment, as `impressions.both_slates` says
    off_policy: dict[str, SufficientStatistics] = field(default_factory=dict)  # by target, as `impressions.off_policy`
    target_unknown: dict[str, int] = field(default_factory=dict)  # by target that says it, users whom it does not know

    @cached_property
    def daily(self) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
        """The days with impressions, in order from 0, and by variant the columns of `by_day` on each, 0 without any.

        Nothing where days are not known.
        """
        if self.by_day is None:
            return np.zeros(0, dtype=np.int64), {}
        (variant_of, day_of), (variants, all_days) = self.by_day.index.codes, self.by_day.index.levels
        days, at = np.unique(all_days.to_numpy()[day_of], return_inverse=True)
        table = np.zeros((len(variants), len(days), self.by_day.shape[1]))
        table[variant_of, at] = self.by_day.to_numpy()
        return days, {v: dict(zip(self.by_day, table[i].T, strict=True)) for i, v in enumerate(variants)}


def _by_variant(values: np.ndarray, code: np.ndarray, columns: tuple[str, ...], names: Sequence[str]) -> ByVariant:
    return {name: SufficientStatistics.of(values[code == i], columns) for i, name in enumerate(names)}
