"""One row per user of a log, wherever it lies, or of a table of users."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import narwhals as nw
import pandas as pd

from recab_helpers.errors import ParameterError
from recab_helpers.impressions.counting import UNIT, Counted, count, days_of, days_to_return, in_one_variant
from recab_helpers.impressions.kept import keep
from recab_helpers.impressions.known import UNKNOWN, counts_before, join_known, unknown_to
from recab_helpers.impressions.reading import Reading
from recab_helpers.impressions.statistics import PRE
from recab_helpers.references import in_order

MAX_LEVELS = 12  # of a segment


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
    retained: Sequence[str] = (),
) -> UserRows:
    """One row per user of a checked log (`open_log`); `numbers` names further columns to sum per user.

    `counted` is the log as `read_log` has counted it, which is not done again.

    In every `design` but that of users, a user may be in several variants, with a row for each.

    `known` (`open_users`) adds what is known of the users: counts from before of users whom it lacks are 0. `before`
    holds the impressions of the period before the test, which become such counts. Users first seen in the early half of
    the test are told from late ones by the segment `exposure`. `retained` names columns of who came back
    (`days_to_return`); they are empty for users whose days are not over when the log ends.

    Raises:
        DataError: `known` has a column that the log's users already have, or knows nearly none of them.
        ParameterError: the log is too short for anybody's days to be over.
    """
    counted = counted or count(log, numbers)
    days, in_two_variants = days_of(counted), 0
    users = _totals(days)
    if design == "users":
        counted, in_two_variants = in_one_variant(counted, users)
    if in_two_variants:
        days = days_of(counted)
        users = _totals(days)
    items = counted.shown.pivot_table(index="item_id", columns="variant", values="shown", fill_value=0, aggfunc="sum")
    summed = tuple(c for c in days.collect_schema().names() if c not in (*UNIT, "day"))
    users = users.with_columns(clicked_any=(nw.col("clicks") > 0).cast(nw.Float64))
    labels = sorted(days.select("day").unique().collect("pyarrow")["day"].to_list())
    half = labels[0] + (labels[-1] - labels[0]) / 2
    early = nw.col("first_day") <= (half if isinstance(half, (int, float)) else _start_of(labels, half))
    users = users.with_columns(exposure=nw.when(early).then(nw.lit("early")).otherwise(nw.lit("late")))
    if retained:
        refuse_short(retained, labels[0], labels[-1])
        users = _with_returns(users, days, labels[-1], retained)
    numeric, segments = (*summed, "clicked_any", *retained), ["exposure"]
    notes: list[str] = []
    unknown = None
    if before is not None:
        users, more, _ = join_known(users, counts_before(before, numbers), taken={*numeric, *segments, "first_day"})
        numeric = (*numeric, *more)
    if known is not None:
        unknown, notes = unknown_to(users, known)
        users, more, text = join_known(users, known, taken={*numeric, *segments, "first_day"})
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


def _totals(days: nw.LazyFrame) -> nw.LazyFrame:
    """What every user did in a variant over all days, and the first of them."""
    summed = [c for c in days.collect_schema().names() if c not in (*UNIT, "day")]
    return keep(days.group_by(*UNIT).agg(*(nw.col(c).sum() for c in summed), first_day=nw.col("day").min()))


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


def refuse_returns(retained: Sequence[str], how: Reading) -> None:
    """Refuse to tell who came back where a user has not one variant.

    Raises:
        ParameterError: the design is another, or a unit is an impression.
    """
    if retained and (how.design != "users" or how.by_impression):
        what = "unit is impression" if how.by_impression else f"design is {how.design}"
        raise ParameterError(
            f"A metric reads {retained[0]}, but {what}: nobody has a variant to come back to. Leave it out."
        )


def refuse_short(retained: Sequence[str], first: Any, last: Any) -> None:
    """Refuse to tell who came back within more days than lie between the first and the last of a log.

    Raises:
        ParameterError: nobody's days are over.
    """
    longest = last - first
    longest = int(longest) if isinstance(longest, (int, float)) else longest.days
    for column in retained:
        if (n := days_to_return(column)) > longest:
            way = f"Name a shorter one, such as retained_{longest}" if longest else "Leave it out"
            raise ParameterError(
                f"A metric reads {column}, who came back within {n} days, but the log ends {longest} "
                f"{'day' if longest == 1 else 'days'} after its first: nobody's {n} days are over. {way}."
            )


def _with_returns(users: nw.LazyFrame, days: nw.LazyFrame, last: Any, retained: Sequence[str]) -> nw.LazyFrame:
    """The users with 1 for who was seen again within so many days of the first, else 0, empty where these are not over.

    The day of the first impression counts for none, the last day of the log as a whole one.
    """
    first = users.select(*UNIT, "first_day")
    later = days.join(first, on=list(UNIT), how="inner").filter(nw.col("day") > nw.col("first_day"))
    users = users.join(later.group_by(*UNIT).agg(second=nw.col("day").min()), on=list(UNIT), how="left")
    gap, left = nw.col("second") - nw.col("first_day"), nw.lit(last) - nw.col("first_day")
    users = users.with_columns(gap=gap.cast(nw.Float64).fill_null(math.inf), left=left.cast(nw.Float64))
    of = {c: (nw.col("gap") <= days_to_return(c)).cast(nw.Float64) for c in retained}
    over = {c: nw.when(nw.col("left") >= days_to_return(c)).then(value) for c, value in of.items()}
    return users.with_columns(**over).drop("second", "gap", "left")


def _start_of(labels: list[Any], half: Any) -> Any:
    """The last day that is not after the middle of the test."""
    return max(label for label in labels if label <= half)


def _with_few_levels(users: nw.LazyFrame, segments: Sequence[str]) -> tuple[str, ...]:
    found = users.select(*(nw.col(s).n_unique() for s in segments)).collect("pyarrow").rows(named=True)[0]
    return tuple(s for s in segments if 2 <= found[s] <= MAX_LEVELS)
