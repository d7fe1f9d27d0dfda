"""The one long pass over a log: what every item, slate and day counts, from which all later tables are made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers.errors import DataError, ParameterError, nearest
from recab_helpers.impressions.aggregates import CELL
from recab_helpers.impressions.kept import here, keep
from recab_helpers.references import in_order

COUNTS = {
    "impressions": "items shown to the user",
    "clicks": "of them clicked",
    "sessions": "slates that the user saw",
    "clicked_any": "1 for a user who clicked, else 0",
    "weighted_clicks": "a click at position k counts 1 / log2(k + 1) (Jarvelin and Kekalainen 2002)",
    "novelty_bits": "sum of -log2 of the shown items' shares of all impressions (Vargas and Castells 2011)",
}
RETAINED = re.compile(r"retained_([1-9]\d{0,2})")
UNIT = ("user_id", "variant")
LAST_MARKED = 46  # position up to which a sum of powers of two tells positions apart: 2^46 x 2^6 rows < 2^53


def days_to_return(column: str) -> int:
    """Of a column that says who came back, within how many days of the first; 0 of any other.

    >>> days_to_return("retained_7"), days_to_return("clicks")
    (7, 0)
    """
    asked = RETAINED.fullmatch(column)
    return int(asked[1]) if asked else 0


def summed_of(asked: Sequence[str], there: Sequence[str], known: Sequence[str] = ()) -> tuple[str, ...]:
    """Of the columns that metrics ask for, those of a log's impressions: neither counted anyway nor known of its users.

    Who came back (`days_to_return`) is counted where no column has that name.

    `there` are the columns of the log, `known` those of the table of its users.

    Raises:
        ParameterError: a column is in neither.
    """
    counted = {*COUNTS, *known}
    wanted = [c for c in asked if c not in counted]
    for column in wanted:
        if column not in there and not days_to_return(column):
            raise ParameterError(
                f"A metric reads the column {column}, which is in neither the log nor what is known of its users. "
                f"{nearest(column, counted | set(there))}"
            )
    return tuple(dict.fromkeys(c for c in wanted if c in there))


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A log counted once and kept by its engine.

    `units` has a row per slate, or per user, variant and day where a log tells no slates: user_id and variant as they
    lie in the log, day, impressions, clicks, novelty_bits, further numbers. Where `last` is above 0 the slates hold
    which positions were shown and clicked as sums of powers of two, up to that position (`shown_at`, `clicked_at`).
    """

    log: nw.LazyFrame
    shown: pd.DataFrame  # impressions by item_id (text) and variant
    units: nw.LazyFrame
    has_slates: bool
    numbers: tuple[str, ...]
    last: int
    positions: pd.DataFrame | None  # what `by_position` makes of it; None where positions are not known

    @property
    def n(self) -> int:
        """Impressions."""
        return int(self.shown["shown"].sum())

    @property
    def repeats(self) -> bool:
        """Whether a position stands twice in a slate, where `last` is above 0.

        A sum of n powers of two has n bits if and only if they are distinct: each carry loses one.
        """
        return self.positions is not None and round(self.positions["impressions"].sum()) != self.n


def count(log: nw.LazyFrame, numbers: Sequence[str] = ()) -> Counted:
    """The log counted by items and slates; `numbers` names further columns to sum."""
    there, numbers = log.collect_schema().names(), tuple(numbers)
    ranked = {"slate_id", "position"} <= set(there)
    deepest = [nw.col("position").cast(nw.Float64).max().alias("deepest")] if ranked else []
    shown = log.group_by("item_id", "variant").agg(nw.len().alias("shown"), *deepest)
    shown = keep(shown)
    table = shown.with_columns(nw.col("item_id").cast(nw.String)).collect("pandas").to_native()
    last = int(table["deepest"].max()) if ranked and len(table) else 0
    last = last if last <= LAST_MARKED else 0
    total = float(table["shown"].sum())
    bits = shown.group_by("item_id").agg(nw.col("shown").sum())
    bits = bits.select("item_id", novelty_bits=(nw.lit(total) / nw.col("shown").cast(nw.Float64)).log(2))
    time = "timestamp" if "timestamp" in there else "day"
    values = {"clicks": nw.col("clicked").cast(nw.Float64)}
    if last:
        values["shown_at"] = nw.lit(2.0) ** (nw.col("position").cast(nw.Float64) - 1)
        values["clicked_at"] = values["shown_at"] * values["clicks"]
    elif ranked:
        values["weighted_clicks"] = values["clicks"] / (nw.col("position").cast(nw.Float64) + 1).log(2)
    slate = [c for c in ("slate_id",) if c in there]
    of_day = {} if slate else {"day": _day(log)}
    read = log.select(*UNIT, *slate, "item_id", *numbers, *([time] if slate else []), **of_day, **values)
    rows = read.join(bits, on="item_id", how="left")
    sums = [nw.col(c).cast(nw.Float64).sum() for c in (*values, "novelty_bits", *numbers)]
    size = nw.len().cast(nw.Float64).alias("impressions")
    if slate:
        units = rows.group_by(*UNIT, "slate_id").agg(nw.col(time).min(), size, *sums)
        units = units.with_columns(day=_day(log)).drop("slate_id", *([time] if time != "day" else []))
    else:
        units = rows.group_by(*UNIT, "day").agg(size, *sums)
    units = keep(units)
    return Counted(
        log=log,
        shown=table[["item_id", "variant", "shown"]],
        units=units,
        has_slates=bool(slate),
        numbers=numbers,
        last=last,
        positions=_marked(units, last) if last else _by_position(log) if "position" in there else None,
    )


def days_of(counted: Counted) -> nw.LazyFrame:
    """Counts per user, variant and day, kept by the engine of this process.

    A slate belongs to the day of its first impression.
    """
    units = counted.units
    if counted.last:
        weights = (_bit("clicked_at", k) * (1 / np.log2(k + 1)) for k in range(1, counted.last + 1))
        units = units.with_columns(weighted_clicks=sum(weights))
    if counted.has_slates:
        there = units.collect_schema().names()
        weighted = [c for c in ("weighted_clicks",) if c in there]
        sums = ("impressions", "clicks", *weighted, "novelty_bits", *counted.numbers)
        sessions = nw.len().cast(nw.Float64).alias("sessions")
        units = units.group_by(*UNIT, "day").agg(*(nw.col(c).sum() for c in sums), sessions)
        units = units.select(*UNIT, "day", "impressions", "clicks", "sessions", *sums[2:])
    return keep(here(units))


def in_one_variant(counted: Counted, days: nw.LazyFrame) -> tuple[Counted, nw.LazyFrame, int]:
    """The log without users who were seen in more than one variant, counted again with its days, and their number.

    Raises:
        DataError: that leaves a variant without users.
    """
    twice = _twice(days)
    n = int(twice.select(n=nw.len()).collect("pyarrow")["n"][0])
    if not n:
        return counted, days, 0
    rest = days.join(twice, on="user_id", how="anti")
    before, after = (set(x.select("variant").unique().collect("pyarrow")["variant"].to_list()) for x in (days, rest))
    if gone := in_order(before - after):
        raise DataError(
            f"Every user of {gone[0]} was seen in another variant too. Give users one variant each, and keep to it."
        )
    log = counted.log
    found = count(log.join(_twice(log), on="user_id", how="anti"), counted.numbers)  # in the log's own engine
    return found, days_of(found), n


def _twice(rows: nw.LazyFrame) -> nw.LazyFrame:
    """Ids of the users who are in more than one variant."""
    variant = nw.col("variant")
    ends = rows.group_by("user_id").agg(variant.min().alias("first"), variant.max().alias("last"))
    return ends.filter(nw.col("first") != nw.col("last")).select("user_id")


def _by_position(log: nw.LazyFrame) -> pd.DataFrame:
    """Impressions and clicks by variant and position over users, as `cells` has them."""
    units = log.group_by(*UNIT, "position").agg(
        nw.len().cast(nw.Float64).alias("impressions"), nw.col("clicked").cast(nw.Float64).sum().alias("clicks")
    )
    return cells(units, "position")


def _marked(units: nw.LazyFrame, last: int) -> pd.DataFrame:
    """The same from the marks of slates."""
    positions = range(1, last + 1)
    at = {f"n{k}": _bit("shown_at", k) for k in positions} | {f"c{k}": _bit("clicked_at", k) for k in positions}
    users = units.select(*UNIT, **at).group_by(*UNIT).agg(*(nw.col(c).sum() for c in at))
    wanted: dict[str, nw.Expr] = {}
    for k in positions:
        n, c = nw.col(f"n{k}"), nw.col(f"c{k}")
        of = {"users": (n > 0).cast(nw.Float64), "impressions": n, "clicks": c}
        of |= dict(zip(CELL, (c * c, c * n, n * n), strict=True))
        wanted |= {f"{name} {k}": value for name, value in of.items()}
    table = users.select("variant", **wanted).group_by("variant").agg(*(nw.col(c).sum() for c in wanted))
    wide = table.collect("pandas").to_native()
    names = ["users", "impressions", "clicks", *CELL]
    parts = [wide[[f"{n} {k}" for n in names]].set_axis(names, axis=1) for k in positions]
    found = pd.concat([p.assign(variant=wide["variant"], position=k) for k, p in zip(positions, parts, strict=True)])
    return found[found["users"] > 0].astype({"users": "int64"})


def cells(units: nw.LazyFrame, by: str) -> pd.DataFrame:
    """Impressions, clicks and units by variant and level, with sums of squares and products over the units of each."""
    c, n = nw.col("clicks"), nw.col("impressions")
    return (
        units.with_columns(clicks_clicks=c * c, clicks_impressions=c * n, impressions_impressions=n * n)
        .group_by("variant", by)
        .agg(nw.len().alias("users"), *(nw.col(x).sum() for x in ("impressions", "clicks", *CELL)))
        .collect("pandas")
        .to_native()
    )


def _day(log: nw.LazyFrame) -> nw.Expr:
    """The day of an impression: a date, or a number."""
    schema = log.collect_schema()
    if "timestamp" not in schema.names():
        return nw.col("day").cast(nw.Int64)
    if schema["timestamp"].is_numeric():  # seconds since 1970
        return (nw.col("timestamp").cast(nw.Float64) / 86_400).floor().cast(nw.Int64)
    return nw.col("timestamp").cast(nw.Date)


def _bit(column: str, position: int) -> nw.Expr:
    """1.0 where the sum of powers of two holds that of the position, else 0.0."""
    value = nw.col(column)
    return (value * 2.0 ** (1 - position)).floor() - 2.0 * (value * 2.0**-position).floor()
