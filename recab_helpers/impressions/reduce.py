"""From a lazy log to the aggregates of an analysis, by one set of expressions for every engine.

Impressions become slates, slates become one row per user and day, those one row per user; all that leaves the engine
are small tables. A slate belongs to the day of its first impression.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers.errors import DataError
from recab_helpers.impressions.aggregates import (
    CAP,
    KNOWN,
    PRE,
    TREND,
    Aggregates,
    ByVariant,
    Histogram,
    Running,
    Sample,
    SufficientStatistics,
    Users,
    histograms_before,
)
from recab_helpers.impressions.both_slates import both_slates
from recab_helpers.impressions.contract import USER
from recab_helpers.impressions.counting import CELL, UNIT, Counted, cells, count, days_of, in_one_variant
from recab_helpers.impressions.kept import here, keep
from recab_helpers.impressions.within import within
from recab_helpers.references import in_order

KEY = "recab_key"  # ids as text, by which tables meet
MAX_LEVELS = 12  # of a segment
UNKNOWN = "unknown"  # level of users of whom a segment is not known
FEW_KNOWN, NEARLY_ALL = 0.05, 0.95  # shares of users that the log and a table of users have in common
OF_CTR = ("impressions", "clicks", f"{PRE}impressions", f"{PRE}clicks")
BASIC = ("impressions", "clicks", "sessions", "clicked_any")


@dataclass(frozen=True, kw_only=True)
class UserRows:
    """One row per user and variant, computed once and kept by the engine, with what it was made from.

    `users` has user_id as it lies in the log, variant, COUNTS, first_day, what is known from before, and segments;
    `days` has the counts per user and day. `numeric` and `segments` name the columns that metrics may read and that
    tell users apart. A table of users alone has no log, days and items.
    """

    log: nw.LazyFrame | None
    days: nw.LazyFrame | None
    users: nw.LazyFrame
    items: pd.DataFrame | None  # impressions by item_id and variant
    day_labels: list[Any]  # days of the log in order; dates, or numbers
    numeric: tuple[str, ...]
    segments: tuple[str, ...]
    summed: tuple[str, ...]  # of `numeric`, those that are sums over the days
    positions: pd.DataFrame | None = None  # of `Counted`
    notes: tuple[str, ...] = ()  # what was made of the tables, in sentences
    dropped: dict[str, tuple[int, int]] = field(default_factory=dict)  # rows left out and their users, by variant
    by_impression: bool = False
    in_two_variants: int = 0  # users who are left out
    unknown: int | None = None  # users whom the table of what is known lacks; None without one
    design: str = "users"  # what has a variant

    def head(self, n: int = 5) -> pd.DataFrame:
        """The first users by id, to look at."""
        return self.users.sort("user_id", "variant").head(n).collect("pandas").to_native()


def user_rows(
    log: nw.LazyFrame,
    known: nw.LazyFrame | None = None,
    *,
    numbers: Sequence[str] = (),
    before: nw.LazyFrame | None = None,
    counted: Counted | None = None,
    design: str = "users",
) -> UserRows:
    """One row per user of a checked log (`open_log`); `numbers` names further columns to sum per user.

    `counted` is the log as `read_log` has counted it, which is not done again.

    In every `design` but that of users, a user may be in several variants, with a row for each.

    `known` (`open_users`) adds what is known of the users: counts from before of users whom it lacks are 0. `before`
    holds the impressions of the period before the test, which become such counts. Users first seen in the early half of
    the test are told from late ones by the segment `exposure`.

    Raises:
        DataError: `known` has a column that the log's users already have, or knows nearly none of them.
    """
    counted = counted or count(log, numbers)
    days, in_two_variants = days_of(counted), 0
    if design == "users":
        counted, days, in_two_variants = in_one_variant(counted, days)
    items = counted.shown.pivot_table(index="item_id", columns="variant", values="shown", fill_value=0, aggfunc="sum")
    summed = tuple(c for c in days.collect_schema().names() if c not in (*UNIT, "day"))
    users = days.group_by(*UNIT).agg(*(nw.col(c).sum() for c in summed), nw.col("day").min().alias("first_day"))
    users = users.with_columns(clicked_any=(nw.col("clicks") > 0).cast(nw.Float64))
    labels = sorted(days.select("day").unique().collect("pyarrow")["day"].to_list())
    half = labels[0] + (labels[-1] - labels[0]) / 2
    early = nw.col("first_day") <= (half if isinstance(half, (int, float)) else _start_of(labels, half))
    users = users.with_columns(exposure=nw.when(early).then(nw.lit("early")).otherwise(nw.lit("late")))
    numeric, segments = (*summed, "clicked_any"), ["exposure"]
    notes: list[str] = []
    unknown = None
    if before is not None:
        users, more, _ = _joined(users, _counted_before(before, numbers), taken={*numeric, *segments, "first_day"})
        numeric = (*numeric, *more)
    if known is not None:
        unknown, notes = unknown_to(users, known)
        users, more, text = _joined(users, known, taken={*numeric, *segments, "first_day"})
        numeric, segments = (*numeric, *more), [*segments, *text]
    users = keep(users)
    return UserRows(
        log=counted.log,
        days=days,
        users=users,
        items=items[list(in_order(items.columns))].rename_axis(columns=None),
        positions=counted.positions,
        day_labels=labels,
        numeric=numeric,
        segments=_with_few_levels(users, segments),
        summed=summed,
        notes=tuple(notes),
        in_two_variants=in_two_variants,
        unknown=unknown,
        design=design,
    )


def users_alone(users: nw.LazyFrame) -> UserRows:
    """The rows of a table of users that stands alone (`open_users(..., alone=True)`): no impressions, days or items."""
    schema = users.collect_schema()
    numeric = tuple(n for n in schema.names() if schema[n].is_numeric())
    text = [n for n in schema.names() if schema[n] == nw.String and n not in UNIT]
    filled = {n: nw.col(n).fill_null(0.0) for n in numeric if n.startswith(PRE)}
    filled |= {n: nw.col(n).fill_null(UNKNOWN) for n in text}
    kept = keep(users.with_columns(**filled) if filled else users)
    segments = _with_few_levels(kept, text) if text else ()
    return UserRows(
        log=None, days=None, users=kept, items=None, day_labels=[], numeric=numeric, segments=segments, summed=()
    )


def _counted_before(before: nw.LazyFrame, numbers: Sequence[str]) -> nw.LazyFrame:
    """Counts per user of the period before the test, as columns that begin with PRE."""
    names = before.collect_schema().names()
    counts = {f"{PRE}impressions": nw.len(), f"{PRE}clicks": nw.col("clicked").sum()}
    if "slate_id" in names:
        counts[f"{PRE}sessions"] = nw.col("slate_id").n_unique()
    counts |= {f"{PRE}{n}": nw.col(n).sum() for n in numbers}
    found = before.group_by("user_id").agg(*(e.cast(nw.Float64).alias(n) for n, e in counts.items()))
    return found.with_columns(nw.col("user_id").cast(nw.String))


def unknown_to(users: nw.LazyFrame, known: nw.LazyFrame) -> tuple[int, list[str]]:
    """How many of the log's users a table lacks, and a note where it knows not nearly all.

    Raises:
        DataError: it knows so few that the ids of the two cannot be the same things.
    """
    ids = here(known.select(USER.name)).unique()
    mine = here(users.select(nw.col(USER.name).cast(nw.String)).unique())
    both_have = mine.join(ids, on=USER.name, how="semi")
    n, m, both = (int(t.select(nw.len().alias("n")).collect("pyarrow")["n"][0]) for t in (mine, ids, both_have))
    if both < FEW_KNOWN * min(n, m):
        shown = [", ".join(t.sort(USER.name).head(3).collect("pyarrow")[USER.name].to_list()) for t in (mine, ids)]
        raise DataError(
            f"The users table knows {both:,} of the {n:,} users of the log: their ids are not the same, {shown[0]} in "
            f"the log and {shown[1]} in the table. Write them alike, leading zeros too."
        )
    note = f"the users table knows {both:,} of the {n:,} users of the log"
    return n - both, [note] if both < NEARLY_ALL * n else []


def reduce(
    rows: UserRows, columns: Sequence[str] = (), *, goals: Sequence[tuple[str, ...]] = (("clicks", "impressions"),)
) -> Aggregates:
    """The aggregates of a test: statistics of `columns` and of what is known from before, and those of the goals.

    `goals` names the columns that each goal reads: for these there are also segments, looks and histograms.

    Raises:
        DataError: the users lack a column, or it is empty or infinite for some of them.
    """
    if rows.design != "users":
        return _reduce_within(rows, [c for c in dict.fromkeys((*columns, *BASIC)) if not c.startswith(PRE)])
    pre = [c for c in rows.numeric if c.startswith(PRE)]
    of_goals = list(dict.fromkeys(c for goal in goals for c in goal))
    basic = [c for c in BASIC if c in rows.numeric]
    wanted = list(dict.fromkeys([*columns, *of_goals, *basic, *pre]))
    if absent := [c for c in wanted if c not in rows.numeric]:
        raise DataError(f"The users have no column {absent[0]}; they have {', '.join(rows.numeric)}. Add it.")
    missing = _missing(rows.users, wanted)
    if needed := [c for c in (*of_goals, *basic, *pre) if c in missing]:
        for_whom = f"{missing[needed[0]]:,} {'user' if missing[needed[0]] == 1 else 'users'} of the log"
        raise DataError(f"The column {needed[0]} is empty or infinite for {for_whom}. Fill it, or leave it out.")
    lacking, wanted = [c for c in wanted if c in missing], [c for c in wanted if c not in missing]
    ends = {f"{end} {c}": getattr(nw.col(c).cast(nw.Float64), end)() for c in wanted for end in ("min", "mean", "max")}
    of = rows.users.select(**ends).collect("pyarrow").rows(named=True)[0]
    constant = {c for c in wanted if of[f"min {c}"] == of[f"max {c}"]}  # less its value, it is exactly zero
    shift = np.array([of[f"min {c}"] if c in constant else round(of[f"mean {c}"]) for c in wanted], dtype=np.float64)
    statistics = _statistics(rows.users, wanted, shift, ())[()]
    variants, own = list(statistics), {}
    for several in [(c,) for c in lacking] + list(combinations(lacking, 2)):
        there = rows.users.filter(*(nw.col(c).cast(nw.Float64).is_finite() for c in several))
        middle = there.select(*(nw.col(c).cast(nw.Float64).mean() for c in several)).collect("pyarrow")
        less = np.array([*(middle[c][0] or 0.0 for c in several), *shift])
        names = [*several, *wanted]
        nobody = SufficientStatistics.of(np.empty((0, len(names))), names)
        found = _statistics(there, names, less, ()).get((), {})
        own[frozenset(several)] = {v: found.get(v, nobody) for v in variants}
    of_clicks, before = [("clicks",)] if "clicks" in rows.numeric else [], histograms_before(pre)
    histograms = {g: _histogram(rows.users, g, variants) for g in dict.fromkeys((*goals, *of_clicks, *before))}
    caps = {g[-1]: cap for g in goals if (cap := histograms[g].cap) is not None}
    weighed, capped = rows.users, {}
    if caps:
        counted = [c for c in wanted if c in {*of_goals, *basic, *rows.summed, *pre} and c != "clicked_any"]
        weighed = _weighed(rows.users, caps, [c for c in counted if c != KNOWN])
        capped = _statistics(weighed, counted, np.zeros(len(counted)), ())[()]
    for_segments = [c for c in wanted if c in {*of_goals, *pre}]
    at = [wanted.index(c) for c in for_segments]
    segments = {s: _statistics(weighed, for_segments, shift[at], (s,)) for s in rows.segments}
    users = Users(
        statistics=statistics,
        segments={s: {level[0]: by for level, by in levels.items()} for s, levels in segments.items()},
        histograms=histograms,
        first_seen=None if rows.days is None else _counts(rows.users, "first_day", rows.day_labels),
        in_two_variants=None if rows.by_impression else rows.in_two_variants,
        impossible=_impossible(rows),
        unknown=rows.unknown,
        missing={c: missing[c] for c in lacking},
        own=own,
        capped=capped,
        caps=caps,
    )
    if rows.days is None or rows.log is None:
        return Aggregates(users=users)
    daily = [c for c in dict.fromkeys(("impressions", *of_goals)) if c in (*rows.summed, "clicked_any")]
    ours = ("clicks" if c == "clicked_any" else c for c in daily)
    known = [p for p in dict.fromkeys((*(f"{PRE}{c}" for c in ours), KNOWN)) if p in pre]
    days = rows.days.join(weighed.select(*UNIT, *known), on=list(UNIT), how="left") if known else rows.days
    first, of_days = rows.day_labels[0], cells(rows.days, "day")
    return Aggregates(
        users=users,
        running=_running(days, rows.day_labels, daily, variants, caps, known),
        trend=_trend(rows.days, first, caps),
        by_day=_ordered(of_days.assign(day=_numbered(of_days["day"], rows.day_labels)), "day", variants),
        by_position=None if rows.positions is None else _ordered(rows.positions, "position", variants),
        items=rows.items,
        n_impressions=round(sum(s.sum("impressions") for s in statistics.values())),
        first_day=None if isinstance(first, (int, float)) else pd.Timestamp(first),
        dropped=rows.dropped,
        by_impression=rows.by_impression,
        both_slates=both_slates(rows.log, rows.users, [c for c in OF_CTR if c in rows.numeric]),
    )


def _reduce_within(rows: UserRows, columns: Sequence[str]) -> Aggregates:
    """The aggregates of a test in which every user meets every variant: what needs two groups of users is left out."""
    assert rows.log is not None
    assert rows.days is not None
    columns = [c for c in columns if c in rows.numeric]
    if missing := _missing(rows.users, columns):
        column, n = next(iter(missing.items()))
        raise DataError(
            f"The column {column} is empty or infinite for {n:,} users of the log. Fill it, or leave it out."
        )
    statistics = _statistics(rows.users, columns, np.zeros(len(columns)), ())[()]
    variants, first, of_days = list(statistics), rows.day_labels[0], cells(rows.days, "day")
    return Aggregates(
        users=Users(
            statistics=statistics,
            impossible=_impossible(rows),
            unknown=rows.unknown,
            within=None
            if rows.design == "off_policy"
            else within(rows.log, rows.users, variants, columns, design=rows.design),
        ),
        by_day=_ordered(of_days.assign(day=_numbered(of_days["day"], rows.day_labels)), "day", variants),
        by_position=None if rows.positions is None else _ordered(rows.positions, "position", variants),
        items=rows.items,
        n_impressions=round(sum(s.sum("impressions") for s in statistics.values())),
        first_day=None if isinstance(first, (int, float)) else pd.Timestamp(first),
        dropped=rows.dropped,
    )


def sample(rows: UserRows, columns: Sequence[str], daily: Sequence[str], *, most: int, looks: int) -> Sample:
    """Users by id with these columns, segments and what each day added; every k-th where there are more than `most`.

    Where there are more days than `looks`, each of those stands for several.
    """
    n = int(rows.users.select(n=nw.len()).collect("pyarrow")["n"][0])
    step, users = -(-n // most), rows.users
    if step > 1:
        numbered = users.with_row_index("recab_row", order_by="user_id")
        users = keep(numbered.filter(nw.col("recab_row") % step == 0).drop("recab_row"))
    table = users.select("user_id", "variant", *columns, *rows.segments).collect("pandas").to_native()
    table = table.sort_values("user_id", ignore_index=True)  # engines give rows in any order, and draws go by row
    found = Sample(
        columns={c: table[c].to_numpy(dtype=np.float64) for c in columns},
        segments={s: table[s].to_numpy(dtype=str) for s in rows.segments},
        of=n,
    )
    if rows.days is None:
        return found
    days = rows.days.select(*UNIT, "day", *daily)
    if step > 1:
        days = days.join(users.select(*UNIT), on=list(UNIT), how="semi")
    parts = days.collect("pandas").to_native()
    user, day = pd.Index(table["user_id"]).get_indexer(parts["user_id"]), _numbered(parts["day"], rows.day_labels)
    n_days = int(day.max()) + 1
    if n_days > looks:
        day, n_days = day * looks // n_days, looks
    values = np.zeros((len(table), n_days, len(daily)))
    np.add.at(values, (user, day), parts[list(daily)].to_numpy(dtype=np.float64))
    return replace(found, daily=values, daily_columns=tuple(daily))


def _impossible(rows: UserRows) -> int | None:
    """Users with more clicks or more sessions than impressions; None where they are not counted."""
    if not {"clicks", "impressions"} <= set(rows.numeric):
        return None
    odd = nw.col("clicks") > nw.col("impressions")
    if "sessions" in rows.numeric:
        odd |= nw.col("sessions") > nw.col("impressions")
    return int(rows.users.select(n=odd.cast(nw.Int64).sum()).collect("pyarrow")["n"][0])


def _start_of(labels: list[Any], half: Any) -> Any:
    """The last day that is not after the middle of the test."""
    return max(label for label in labels if label <= half)


def refuse_taken(names: Sequence[str], taken: set[str]) -> None:
    """Refuse a table of users with a column that the log's users already have.

    Raises:
        DataError: there is one.
    """
    if clash := sorted(taken & set(names)):
        raise DataError(
            f"The users table has the column {clash[0]}, which is counted from the log. Rename it, or leave it out."
        )


def _joined(users: nw.LazyFrame, known: nw.LazyFrame, *, taken: set[str]) -> tuple[nw.LazyFrame, list[str], list[str]]:
    """The users with what is known of them, and the names of the numeric and of the text columns of that."""
    schema = known.drop("variant", strict=False).collect_schema()
    refuse_taken(schema.names(), taken)
    names = [n for n in schema.names() if n != USER.name]
    numeric = [n for n in names if schema[n].is_numeric()]
    text = [n for n in names if schema[n] in (nw.String, nw.Categorical, nw.Boolean) or schema[n] == nw.Enum]
    known = known.select(USER.name, *numeric, *text)
    if any(n.startswith(PRE) for n in numeric) and KNOWN not in {*numeric, *taken}:
        known, numeric = known.with_columns(nw.lit(1.0).alias(KNOWN)), [*numeric, KNOWN]
    more = here(known).rename({USER.name: KEY})
    joined = users.with_columns(nw.col(USER.name).cast(nw.String).alias(KEY)).join(more, on=KEY, how="left").drop(KEY)
    filled = {n: nw.col(n).cast(nw.Float64).fill_null(0.0) for n in numeric if n.startswith(PRE)}
    filled |= {n: nw.col(n).cast(nw.String).fill_null(UNKNOWN) for n in text}
    return joined.with_columns(**filled) if filled else joined, numeric, text


def _with_few_levels(users: nw.LazyFrame, segments: Sequence[str]) -> tuple[str, ...]:
    found = users.select(*(nw.col(s).n_unique() for s in segments)).collect("pyarrow").rows(named=True)[0]
    return tuple(s for s in segments if 2 <= found[s] <= MAX_LEVELS)


def _weighed(users: nw.LazyFrame, caps: dict[str, float], columns: Sequence[str]) -> nw.LazyFrame:
    """The users with these columns shrunk together where one of `caps` is exceeded, so that ratios stay a user's own.

    The counts of before are capped at the same quantile of what the column was then.
    """
    before = [c for c in columns if c.startswith(PRE)]
    then = [f"{PRE}{c}" for c in caps if f"{PRE}{c}" in before]
    most = {}
    if then:
        found = users.select(*(nw.col(c).cast(nw.Float64).quantile(CAP, "linear") for c in then)).collect("pyarrow")
        most = {c: float(found[c][0]) for c in then if found[c][0]}
    now, early = _weight({c: nw.col(c) for c in caps}, caps), _weight({c: nw.col(c) for c in most}, most)
    return users.with_columns(**{c: nw.col(c).cast(nw.Float64) * (early if c in before else now) for c in columns})


def _weight(sizes: dict[str, nw.Expr], caps: dict[str, float]) -> nw.Expr:
    """What a user counts: the least that one of `caps` leaves of its size, at most 1."""
    weight = nw.lit(1.0)
    for column, cap in caps.items():
        size = sizes[column].cast(nw.Float64)
        weight = nw.when(size * weight > cap).then(cap / size).otherwise(weight)
    return weight


def _missing(users: nw.LazyFrame, columns: Sequence[str]) -> dict[str, int]:
    """How many users have no number in a column, or an infinite one; columns in which all have one are left out."""
    values = {c: nw.col(c).cast(nw.Float64) for c in columns}
    bad = {c: v.is_null() | ~v.is_finite() for c, v in values.items()}
    counts = users.select(*(b.cast(nw.Int64).sum().alias(c) for c, b in bad.items()))
    return {column: int(n) for column, n in counts.collect("pyarrow").rows(named=True)[0].items() if n}


def _statistics(
    users: nw.LazyFrame, columns: Sequence[str], shift: np.ndarray, by: tuple[str, ...]
) -> dict[tuple[str, ...], ByVariant]:
    """Statistics by variant in every group of `by`, from sums of the columns less `shift` and of their products."""
    k = len(columns)
    less = {f"x{i}": nw.col(c).cast(nw.Float64) - float(s) for i, (c, s) in enumerate(zip(columns, shift, strict=True))}
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    grouped = users.select(*by, "variant", **less).with_columns(
        **{f"p{i}_{j}": nw.col(f"x{i}") * nw.col(f"x{j}") for i, j in pairs}
    )
    table = grouped.group_by(*by, "variant").agg(
        nw.len().alias("n"),
        *(nw.col(f"x{i}").sum().alias(f"s{i}") for i in range(k)),
        *(nw.col(f"p{i}_{j}").sum() for i, j in pairs),
    )
    found: dict[tuple[str, ...], ByVariant] = {}
    for row in table.collect("pyarrow").rows(named=True):
        cross = np.empty((k, k))
        for i, j in pairs:
            cross[i, j] = cross[j, i] = row[f"p{i}_{j}"]
        made = SufficientStatistics.from_sums(
            int(row["n"]), np.array([row[f"s{i}"] for i in range(k)]), cross, columns, shift=shift
        )
        found.setdefault(tuple(str(row[b]) for b in by), {})[str(row["variant"])] = made
    return {group: {v: by_variant[v] for v in in_order(by_variant)} for group, by_variant in sorted(found.items())}


def _histogram(users: nw.LazyFrame, columns: tuple[str, ...], variants: Sequence[str]) -> Histogram:
    table = users.group_by(*columns, "variant").agg(nw.len().alias("users")).collect("pandas").to_native()
    wide = table.pivot_table(index=list(columns), columns="variant", values="users", fill_value=0, aggfunc="sum")
    values = np.column_stack([wide.index.get_level_values(c).to_numpy(dtype=np.float64) for c in columns])
    return Histogram(columns=columns, values=values, counts={v: wide[v].to_numpy(dtype=np.int64) for v in variants})


def _counts(users: nw.LazyFrame, by: str, labels: list[Any]) -> pd.DataFrame:
    """Users by day (rows, from 0) and variant (columns)."""
    table = users.group_by(by, "variant").agg(nw.len().alias("users")).collect("pandas").to_native()
    day = _numbered(table[by], labels)
    wide = table.assign(day=day).pivot_table(
        index="day", columns="variant", values="users", fill_value=0, aggfunc="sum"
    )
    return wide.rename_axis(columns=None)


def _numbered(days: pd.Series, labels: list[Any]) -> np.ndarray:
    """Days from 0, by the calendar."""
    first = labels[0]
    if isinstance(first, (int, float)):
        return days.to_numpy(dtype=np.int64) - int(first)
    return (pd.to_datetime(days) - pd.Timestamp(first)).dt.days.to_numpy()


def _trend(days: nw.LazyFrame, first: Any, caps: dict[str, float]) -> ByVariant:
    """Statistics of TREND over the users; heavy ones count less."""
    number = (nw.col("day") - nw.lit(first)).cast(nw.Float64)
    counts = {c: nw.col(c).cast(nw.Float64) for c in TREND[:2]}
    rows = days.select(*UNIT, **counts, **{t: counts[c] * number for t, c in zip(TREND[2:], TREND[:2], strict=True)})
    users = rows.group_by(*UNIT).agg(*(nw.col(c).sum() for c in TREND))
    caps = {c: cap for c, cap in caps.items() if c in counts}
    if caps:
        weight = _weight({c: nw.col(c) for c in caps}, caps)
        users = users.with_columns(**{c: nw.col(c) * weight for c in TREND})
    return _statistics(users, TREND, np.zeros(len(TREND)), ())[()]


def _running(
    days: nw.LazyFrame,
    labels: list[Any],
    columns: Sequence[str],
    variants: Sequence[str],
    caps: dict[str, float],
    known: Sequence[str],
) -> Running:
    """Sums to date by day: what each day changes in the sums of users' values and of their products, added up.

    Users whose counts to date exceed one of `caps` count less, as in the statistics. `known` are columns of `days` that
    say the same of a user on every day.
    """
    sources = list(dict.fromkeys("clicks" if c == "clicked_any" else c for c in columns))
    to_date = {f"to {c}": nw.col(c).cum_sum().over("user_id", order_by="day") for c in sources}
    frame = days.select(*UNIT, "day", *sources, *known).with_columns(
        **to_date,
        which=nw.col("impressions" if "impressions" in sources else sources[0])
        .cum_count()
        .over("user_id", order_by="day"),
    )
    caps = {c: cap for c, cap in caps.items() if c in sources}
    now = _weight({c: nw.col(f"to {c}") for c in caps}, caps)
    then = _weight({c: nw.col(f"to {c}") - nw.col(c) for c in caps}, caps)
    after, before = {}, {}
    for i, c in enumerate(columns):
        if c == "clicked_any":
            after[f"a{i}"] = (nw.col("to clicks") > 0).cast(nw.Float64)
            before[f"b{i}"] = (nw.col("to clicks") - nw.col("clicks") > 0).cast(nw.Float64)
        else:
            after[f"a{i}"], before[f"b{i}"] = nw.col(f"to {c}") * now, (nw.col(f"to {c}") - nw.col(c)) * then
    for i, c in enumerate(known, len(columns)):
        after[f"a{i}"], before[f"b{i}"] = nw.col(c), nw.col(c) * (nw.col("which") > 1).cast(nw.Float64)
    columns = (*columns, *known)
    k = len(columns)
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    frame = frame.with_columns(**after, **before, new=(nw.col("which") == 1).cast(nw.Int64))
    changes = {f"s{i}": nw.col(f"a{i}") - nw.col(f"b{i}") for i in range(k)}
    changes |= {f"p{i}_{j}": nw.col(f"a{i}") * nw.col(f"a{j}") - nw.col(f"b{i}") * nw.col(f"b{j}") for i, j in pairs}
    frame = frame.select("variant", "day", "new", **changes)
    table = frame.group_by("variant", "day").agg(nw.col("new").sum(), *(nw.col(c).sum() for c in changes))
    found = table.collect("pandas").to_native()
    found["day"] = _numbered(found["day"], labels)
    n_days = int(found["day"].max()) + 1
    n, sums, products = {}, {}, {}
    for name in variants:
        of = found[found["variant"] == name].drop(columns="variant").set_index("day")
        of = of.reindex(range(n_days), fill_value=0)
        n[name] = of["new"].to_numpy(dtype=np.int64).cumsum()
        sums[name] = np.column_stack([of[f"s{i}"].to_numpy(dtype=np.float64) for i in range(k)]).cumsum(axis=0)
        cross = np.empty((n_days, k, k))
        for i, j in pairs:
            cross[:, i, j] = cross[:, j, i] = of[f"p{i}_{j}"].to_numpy(dtype=np.float64).cumsum()
        products[name] = cross
    return Running(columns=tuple(columns), n=n, sums=sums, products=products)


def _ordered(cells: pd.DataFrame, by: str, variants: Sequence[str]) -> pd.DataFrame:
    """The cells indexed by variant, control first, and level."""
    order = {v: i for i, v in enumerate(variants)}
    table = cells.assign(**{by: cells[by].astype("int64")}).set_index(["variant", by])
    return table.sort_index(key=lambda i: i.map(order) if i.name == "variant" else i)[
        ["impressions", "clicks", "users", *CELL]
    ]
