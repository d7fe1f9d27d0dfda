"""The one long pass over a log: what every item, slate and day counts, from which all later tables are made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers.errors import DataError, ParameterError, nearest
from recab_helpers.impressions.aggregates import CELL
from recab_helpers.impressions.kept import here, is_here, keep
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
CODE, POWER = "recab_variant", "recab_power"
CODED = ("user_id", CODE)
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

    `units` has a row per slate, or per user, variant and day where a log tells no slates: user_id as it lies in the
    log, the number of the variant in `variants` (CODE), day, impressions, clicks, novelty_bits, further numbers. Where
    `last` is above 0 the slates hold which positions were shown and clicked as sums of powers of two, up to that
    position (`shown_at`, `clicked_at`).
    """

    log: nw.LazyFrame
    shown: pd.DataFrame  # impressions by item_id (text) and variant
    units: nw.LazyFrame
    variants: tuple[str, ...]
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


def count(log: nw.LazyFrame, numbers: Sequence[str] = (), variants: Sequence[str] = ()) -> Counted:
    """The log counted by items and slates; `numbers` names further columns to sum, `variants` all that there are."""
    there, numbers = log.collect_schema().names(), tuple(numbers)
    ranked = {"slate_id", "position"} <= set(there)
    deepest = [nw.col("position").max().cast(nw.Float64).alias("deepest")] if ranked else []
    variants = variants or in_order(log.select("variant").unique().collect("pyarrow")["variant"].to_list())
    code = _code_of(variants)
    rows = log.select("item_id", *(["position"] if ranked else []), code)
    shown = keep(rows.group_by("item_id", CODE).agg(nw.len().alias("shown"), *deepest))
    table = shown.with_columns(nw.col("item_id").cast(nw.String)).collect("pandas").to_native()
    table["variant"] = _names(table[CODE], variants)
    last = int(table["deepest"].max()) if ranked and len(table) else 0
    last = last if last <= LAST_MARKED else 0
    total = float(table["shown"].sum())
    bits = shown.group_by("item_id").agg(nw.col("shown").sum())
    bits = bits.select("item_id", novelty_bits=(nw.lit(total) / nw.col("shown").cast(nw.Float64)).log(2))
    time = "timestamp" if "timestamp" in there else "day"
    values = {"clicks": nw.col("clicked").cast(nw.Float64)}
    if last:
        values["shown_at"] = nw.col(POWER)
        values["clicked_at"] = values["shown_at"] * values["clicks"]
    elif ranked:
        values["weighted_clicks"] = values["clicks"] / (nw.col("position").cast(nw.Float64) + 1).log(2)
    slate = [c for c in ("slate_id",) if c in there]
    of_day = {} if slate else {"day": day_of(log)}
    lies = _with_powers(log, by_shift=is_here(shown)) if last else log
    read = lies.select("user_id", code, *slate, "item_id", *numbers, *([time] if slate else []), **of_day, **values)
    rows = read.join(bits, on="item_id", how="inner")  # every item is there
    sums = [nw.col(c).cast(nw.Float64).sum() for c in (*values, "novelty_bits", *numbers)]
    size = nw.len().cast(nw.Float64).alias("impressions")
    if slate:
        units = rows.group_by(*CODED, "slate_id").agg(nw.col(time).min(), size, *sums)
        units = units.with_columns(day=day_of(log)).drop("slate_id", *([time] if time != "day" else []))
    else:
        units = rows.group_by(*CODED, "day").agg(size, *sums)
    units = keep(units)
    return Counted(
        log=log,
        shown=table[["item_id", "variant", "shown"]],
        units=units,
        variants=tuple(variants),
        has_slates=bool(slate),
        numbers=numbers,
        last=last,
        positions=_marked(units, variants, last) if last else _by_position(log) if "position" in there else None,
    )


def _with_powers(log: nw.LazyFrame, *, by_shift: bool) -> nw.LazyFrame:
    """The log with two to the power of the position less one, as POWER; DuckDB can shift a bit, which is faster."""
    if by_shift:
        native: Any = log.to_native()
        return nw.from_native(native.project(f'*, (1::bigint << ("position"::bigint - 1))::double as {POWER}'))
    return log.with_columns((nw.lit(2.0) ** (nw.col("position").cast(nw.Float64) - 1)).alias(POWER))


def _code_of(variants: Sequence[str]) -> nw.Expr:
    """The number of the variant, as CODE: groups are told by numbers in less time than by text."""
    *others, last = enumerate(variants)
    code: nw.Expr = nw.when(nw.col("variant") == last[1]).then(nw.lit(last[0]))
    for i, variant in reversed(others):
        code = nw.when(nw.col("variant") == variant).then(nw.lit(i)).otherwise(code)
    return code.alias(CODE)


def _variant_of(variants: Sequence[str]) -> nw.Expr:
    """The variant of such a number."""
    variant = nw.lit(variants[0])
    for i, name in enumerate(variants[1:], 1):
        variant = nw.when(nw.col(CODE) == i).then(nw.lit(name)).otherwise(variant)
    return variant


def _names(codes: pd.Series, variants: Sequence[str]) -> pd.Series:
    """The variants of numbers in a small table; every row has one."""
    assert codes.notna().all()
    return codes.map(dict(enumerate(variants)))


def days_of(counted: Counted) -> nw.LazyFrame:
    """Counts per user, variant and day, kept by the engine of this process.

    A slate belongs to the day of its first impression.
    """
    units = counted.units
    if counted.last:
        weights = (_bit("clicked_at", k) * (1 / np.log2(k + 1)) for k in range(1, counted.last + 1))
        weighted = nw.when(nw.col("clicked_at") > 0).then(sum(weights)).otherwise(0.0)
        units = units.with_columns(weighted_clicks=weighted)
    there = units.collect_schema().names()
    weighs = [c for c in ("weighted_clicks",) if c in there]
    sums = ("impressions", "clicks", *weighs, "novelty_bits", *counted.numbers)
    if counted.has_slates:
        sessions = nw.len().cast(nw.Float64).alias("sessions")
        units = units.group_by(*CODED, "day").agg(*(nw.col(c).sum() for c in sums), sessions)
        sums = (*sums[:2], "sessions", *sums[2:])
    return keep(here(units.select("user_id", _variant_of(counted.variants).alias("variant"), "day", *sums)))


def in_one_variant(counted: Counted, users: nw.LazyFrame) -> tuple[Counted, int]:
    """The log without users who were seen in more than one variant, counted again, and their number.

    `users` has a row per user and variant.

    Raises:
        DataError: that leaves a variant without users.
    """
    twice = users.group_by("user_id").agg(nw.len().alias("variants")).filter(nw.col("variants") > 1).select("user_id")
    n = int(twice.select(n=nw.len()).collect("pyarrow")["n"][0])
    if not n:
        return counted, 0
    rest = users.join(twice, on="user_id", how="anti")
    before, after = (set(x.select("variant").unique().collect("pyarrow")["variant"].to_list()) for x in (users, rest))
    if gone := in_order(before - after):
        raise DataError(
            f"Every user of {gone[0]} was seen in another variant too. Give users one variant each, and keep to it."
        )
    log, variant = counted.log, nw.col("variant")
    ends = log.group_by("user_id").agg(variant.min().alias("first"), variant.max().alias("last"))
    moved = ends.filter(nw.col("first") != nw.col("last")).select("user_id")  # in the log's own engine
    return count(log.join(moved, on="user_id", how="anti"), counted.numbers, counted.variants), n


def _by_position(log: nw.LazyFrame) -> pd.DataFrame:
    """Impressions and clicks by variant and position over users, as `cells` has them."""
    units = log.group_by(*UNIT, "position").agg(
        nw.len().cast(nw.Float64).alias("impressions"), nw.col("clicked").cast(nw.Float64).sum().alias("clicks")
    )
    return cells(units, "position")


def _marked(units: nw.LazyFrame, variants: Sequence[str], last: int) -> pd.DataFrame:
    """The same from the marks of slates: slates of one user that show the same positions are counted at once."""
    positions = range(1, last + 1)
    alike = units.group_by(*CODED, "shown_at").agg(nw.len().cast(nw.Float64).alias("slates"))
    at = {f"n{k}": nw.col("slates") * _bit("shown_at", k) for k in positions}
    shown = alike.select(*CODED, **at).group_by(*CODED).agg(*(nw.col(c).sum() for c in at))
    at = {f"c{k}": _bit("clicked_at", k) for k in positions}
    clicked = units.filter(nw.col("clicked_at") > 0).select(*CODED, **at)
    clicked = clicked.group_by(*CODED).agg(*(nw.col(c).sum() for c in at))
    users = shown.join(clicked, on=list(CODED), how="left").with_columns(*(nw.col(c).fill_null(0.0) for c in at))
    wanted: dict[str, nw.Expr] = {}
    for k in positions:
        n, c = nw.col(f"n{k}"), nw.col(f"c{k}")
        of = {"users": (n > 0).cast(nw.Float64), "impressions": n, "clicks": c}
        of |= dict(zip(CELL, (c * c, c * n, n * n), strict=True))
        wanted |= {f"{name} {k}": value for name, value in of.items()}
    table = users.select(CODE, **wanted).group_by(CODE).agg(*(nw.col(c).sum() for c in wanted))
    wide = table.collect("pandas").to_native()
    variant = _names(wide[CODE], variants)
    names = ["users", "impressions", "clicks", *CELL]
    parts = [wide[[f"{n} {k}" for n in names]].set_axis(names, axis=1) for k in positions]
    found = pd.concat([p.assign(variant=variant, position=k) for k, p in zip(positions, parts, strict=True)])
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


def day_of(log: nw.LazyFrame) -> nw.Expr:
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
