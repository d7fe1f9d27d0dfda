"""From a lazy log to the aggregates of an analysis, by one set of expressions for every engine.

Impressions become slates, slates become one row per user and day, those one row per user; all that leaves the engine
are small tables. A slate belongs to the day of its first impression.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers.errors import DataError
from recab_helpers.impressions.aggregates import Aggregates, Users
from recab_helpers.impressions.both_slates import both_slates
from recab_helpers.impressions.counting import CELL, UNIT, cells, days_to_return
from recab_helpers.impressions.histograms import histograms_before
from recab_helpers.impressions.quantiles import spreads
from recab_helpers.impressions.statistics import KNOWN, PRE, ByVariant, SufficientStatistics
from recab_helpers.impressions.summing import (
    day_numbers,
    histogram_by,
    missing_numbers,
    statistics_by,
    users_by_day,
    with_capped,
)
from recab_helpers.impressions.to_date import running_sums, trend_by
from recab_helpers.impressions.user_rows import UserRows
from recab_helpers.impressions.within import within

OF_CTR = ("impressions", "clicks", f"{PRE}impressions", f"{PRE}clicks")
BASIC = ("impressions", "clicks", "sessions", "clicked_any")


def reduce(
    rows: UserRows,
    columns: Sequence[str] = (),
    *,
    goals: Sequence[tuple[str, ...]] = (("clicks", "impressions"),),
    further: Sequence[str] = (),
    quantiles: Sequence[tuple[str, float]] = (),
) -> Aggregates:
    """The aggregates of a test: statistics of `columns` and of what is known from before, and those of the goals.

    `goals` names the columns that each goal reads: for these there are also segments, looks and histograms. Looks
    have `further` columns of before, beside those that count what the goals count. Users of whom a column of who came
    back is empty are left out of what reads it. `quantiles` names columns of the impressions and which quantile of each
    is told.

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
    missing = missing_numbers(rows.users, wanted)
    if needed := [c for c in (*of_goals, *basic, *pre) if c in missing and not days_to_return(c)]:
        for_whom = f"{missing[needed[0]]:,} {'user' if missing[needed[0]] == 1 else 'users'} of the log"
        raise DataError(f"The column {needed[0]} is empty or infinite for {for_whom}. Fill it, or leave it out.")
    lacking, wanted = [c for c in wanted if c in missing], [c for c in wanted if c not in missing]
    ends = {f"{end} {c}": getattr(nw.col(c).cast(nw.Float64), end)() for c in wanted for end in ("min", "mean", "max")}
    of = rows.users.select(**ends).collect("pyarrow").rows(named=True)[0]
    constant = {c for c in wanted if of[f"min {c}"] == of[f"max {c}"]}  # less its value, it is exactly zero
    shift = np.array([of[f"min {c}"] if c in constant else round(of[f"mean {c}"]) for c in wanted], dtype=np.float64)
    statistics = statistics_by(rows.users, wanted, shift, ())[()]
    variants, own = list(statistics), {}
    for several in [(c,) for c in lacking] + list(combinations(lacking, 2)):
        there = _with_numbers(rows.users, several)
        middle = there.select(*(nw.col(c).cast(nw.Float64).mean() for c in several)).collect("pyarrow")
        less = np.array([*(middle[c][0] or 0.0 for c in several), *shift])
        names = [*several, *wanted]
        nobody = SufficientStatistics.of(np.empty((0, len(names))), names)
        found = statistics_by(there, names, less, ()).get((), {})
        own[frozenset(several)] = {v: found.get(v, nobody) for v in variants}
    of_clicks, before = [("clicks",)] if "clicks" in rows.numeric else [], histograms_before(pre)
    empty = {g: gone for g in goals if (gone := frozenset(g) & {*lacking})}
    told = {g: _with_numbers(rows.users, list(gone)) for g, gone in empty.items()}
    histograms = {
        g: histogram_by(told.get(g, rows.users), g, variants) for g in dict.fromkeys((*goals, *of_clicks, *before))
    }
    caps = {g[-1]: cap for g in goals if g not in empty and (cap := histograms[g].cap) is not None}
    weighed, capped = rows.users, {}
    if caps:
        counted = [c for c in wanted if c in {*of_goals, *basic, *rows.summed, *pre} and c != "clicked_any"]
        counts = [c for c in counted if c != KNOWN and (c.startswith(PRE) or of[f"max {c}"] > 1)]
        weighed = with_capped(rows.users, caps, counts)
        capped = statistics_by(weighed, counted, np.zeros(len(counted)), ())[()]
    for_segments = [c for c in wanted if c in {*of_goals, *pre}]
    at = [wanted.index(c) for c in for_segments]
    own_segments = {
        gone: _segments(told[g], rows.segments, [*gone, *for_segments], np.array([*(0.0 for _ in gone), *shift[at]]))
        for g, gone in empty.items()
    }
    users = Users(
        statistics=statistics,
        segments=_segments(weighed, rows.segments, for_segments, shift[at]),
        own_segments=own_segments,
        histograms=histograms,
        first_seen=None if rows.days is None else users_by_day(rows.users, "first_day", rows.day_labels),
        in_two_variants=None if rows.by_impression else rows.in_two_variants,
        impossible=_impossible(rows),
        unknown=rows.unknown,
        missing={c: missing[c] for c in lacking},
        own=own,
        capped=capped,
        caps=caps,
        quantiles={}
        if rows.log is None
        else {(c, q): spreads(rows.log, c, q, variants) for c, q in dict.fromkeys(quantiles)},
    )
    if rows.days is None or rows.log is None:
        return Aggregates(users=users)
    daily = [c for c in dict.fromkeys(("impressions", *of_goals)) if c in (*rows.summed, "clicked_any")]
    ours = ("clicks" if c == "clicked_any" else c for c in daily)
    known = [p for p in dict.fromkeys((*(f"{PRE}{c}" for c in ours), *further, KNOWN)) if p in pre]
    days = rows.days.join(weighed.select(*UNIT, *known), on=list(UNIT), how="left") if known else rows.days
    return Aggregates(
        users=users,
        running=running_sums(days, rows.day_labels, daily, variants, caps, known),
        trend=trend_by(rows.days, rows.day_labels[0], caps),
        **_of_log(rows, statistics),
        by_impression=rows.by_impression,
        both_slates=both_slates(rows.log, rows.users, [c for c in OF_CTR if c in rows.numeric]),
    )


def _with_numbers(users: nw.LazyFrame, columns: Sequence[str]) -> nw.LazyFrame:
    """The users who have a number in every one of these columns."""
    return users.filter(*(nw.col(c).cast(nw.Float64).is_finite() for c in columns))


def _segments(
    users: nw.LazyFrame, segments: Sequence[str], columns: Sequence[str], shift: np.ndarray
) -> dict[str, dict[str, ByVariant]]:
    """Statistics of the columns by segment, level and variant."""
    found = {s: statistics_by(users, columns, shift, (s,)) for s in segments}
    return {s: {level[0]: by for level, by in levels.items()} for s, levels in found.items()}


def _reduce_within(rows: UserRows, columns: Sequence[str]) -> Aggregates:
    """The aggregates of a test in which every user meets every variant: what needs two groups of users is left out."""
    assert rows.log is not None
    assert rows.days is not None
    columns = [c for c in columns if c in rows.numeric]
    if missing := missing_numbers(rows.users, columns):
        column, n = next(iter(missing.items()))
        raise DataError(
            f"The column {column} is empty or infinite for {n:,} users of the log. Fill it, or leave it out."
        )
    statistics = statistics_by(rows.users, columns, np.zeros(len(columns)), ())[()]
    return Aggregates(
        users=Users(
            statistics=statistics,
            impossible=_impossible(rows),
            unknown=rows.unknown,
            within=None
            if rows.design == "off_policy"
            else within(rows.log, rows.users, list(statistics), columns, design=rows.design),
        ),
        **_of_log(rows, statistics),
    )


def _of_log(rows: UserRows, statistics: ByVariant) -> dict[str, Any]:
    """The parts of `Aggregates` that every design has."""
    assert rows.days is not None
    of_days, first, variants = cells(rows.days, "day"), rows.day_labels[0], list(statistics)
    return {
        "by_day": _ordered(of_days.assign(day=day_numbers(of_days["day"], rows.day_labels)), "day", variants),
        "by_position": None if rows.positions is None else _ordered(rows.positions, "position", variants),
        "items": rows.items,
        "n_impressions": round(sum(s.sum("impressions") for s in statistics.values())),
        "first_day": None if isinstance(first, (int, float)) else pd.Timestamp(first),
        "dropped": rows.dropped,
    }


def _impossible(rows: UserRows) -> int | None:
    """Users with more clicks or more sessions than impressions; None where they are not counted."""
    if not {"clicks", "impressions"} <= set(rows.numeric):
        return None
    odd = nw.col("clicks") > nw.col("impressions")
    if "sessions" in rows.numeric:
        odd |= nw.col("sessions") > nw.col("impressions")
    return int(rows.users.select(n=odd.cast(nw.Int64).sum()).collect("pyarrow")["n"][0])


def _ordered(cells: pd.DataFrame, by: str, variants: Sequence[str]) -> pd.DataFrame:
    """The cells indexed by variant, control first, and level."""
    order = {v: i for i, v in enumerate(variants)}
    table = cells.assign(**{by: cells[by].astype("int64")}).set_index(["variant", by])
    return table.sort_index(key=lambda i: i.map(order) if i.name == "variant" else i)[
        ["impressions", "clicks", "users", *CELL]
    ]
