"""What an impression log and a table of users must hold, written once: it drives the check and every error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import narwhals as nw

from recab_helpers.errors import DataError
from recab_helpers.impressions.statistics import PRE
from recab_helpers.references import CONTROL, POSITION_IN

Kind = Literal["id", "text", "rank", "place", "flag", "count", "number", "chance", "time", "day"]
NUMERIC: tuple[Kind, ...] = ("rank", "place", "flag", "count", "number", "chance", "day")
KINDS: dict[Kind, str] = {  # what a value must be, ending the sentence "it must be"
    "id": "given",
    "text": "text",
    "rank": "a rank that counts from 1",
    "place": "the rank in the slate of that variant, 0 where the item is not in it; where that variant showed it, its "
    "position",
    "flag": "0 or 1 per impression: log one row per item shown",
    "count": "a number of 0 or more",
    "number": "a finite number",
    "chance": "a number above 0 and at most 1",
    "time": "a date with time, or seconds since 1970",
    "day": "the number of a day",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table that enters recab."""

    name: str
    kind: Kind
    meaning: str
    required: bool = True

    def bad(self) -> nw.Expr:
        """Where the value is not what it must be; an empty one is only where the column is required."""
        value = nw.col(self.name)
        if self.kind == "place":
            there = nw.col("variant").cast(nw.String) == self.name.removeprefix(POSITION_IN)
            elsewhere = there & (value != nw.col("position"))
        else:
            elsewhere = nw.lit(False)
        broken = {
            "rank": ~value.is_finite() | (value < 1) | (value != value.round(0)),
            "place": ~value.is_finite() | (value < 0) | (value != value.round(0)) | elsewhere,
            "flag": ~value.is_in([0.0, 1.0]),
            "count": ~value.is_finite() | (value < 0),
            "number": ~value.is_finite(),
            "chance": ~value.is_finite() | (value <= 0) | (value > 1),
            "day": ~value.is_finite() | (value != value.round(0)),
        }.get(self.kind, nw.lit(False))
        empty = value.is_null()
        return (broken & ~empty) | empty if self.required else broken & ~empty


IMPRESSIONS = (
    Column(name="user_id", kind="id", meaning="who was shown the item"),
    Column(name="slate_id", kind="id", meaning="the request that the item answered"),
    Column(name="position", kind="rank", meaning="rank of the item in its slate"),
    Column(name="variant", kind="id", meaning=f"what the user was assigned to; one of them is named {CONTROL}"),
    Column(name="item_id", kind="id", meaning="the item shown"),
    Column(name="clicked", kind="flag", meaning="whether it was clicked"),
)
TIMES = (  # one of them
    Column(name="timestamp", kind="time", meaning="when it was shown"),
    Column(name="day", kind="day", meaning="the day of the test, instead of a timestamp"),
)
TITLE = Column(name="title", kind="text", meaning="what a report calls the item", required=False)
PROPENSITY = Column(
    name="propensity", kind="chance", meaning="of a reading off-policy: the chance that the item was shown at its place"
)
MAY_LACK = ("slate_id", "position")  # of the impressions: without them, what needs them is left out
USER = Column(name="user_id", kind="id", meaning="the same id as in the log")


def in_slates(variants: Sequence[str], names: Sequence[str]) -> tuple[Column, ...]:
    """Of a log with these columns, those that say where the shown item stands in the slate of each variant.

    A log that tells no positions has none.
    """
    meaning = "where the item stands in the slate that the variant would have shown"
    there = [n for v in variants if (n := f"{POSITION_IN}{v}") in names and "position" in names]
    return tuple(Column(name=n, kind="place", meaning=meaning) for n in there)


def together(faults: Sequence[str], source: str) -> str:
    """One answer of everything that is wrong."""
    if len(faults) == 1:
        return faults[0]
    listed = " ".join(f"({i}) {fault}" for i, fault in enumerate(faults, 1))
    return f"{source} has {len(faults)} faults. {listed}"


def of_users(names: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a table of users with these names: the id, and counts of the period before."""
    meaning = "counts the period before the test"
    return (USER, *(Column(name=n, kind="count", meaning=meaning, required=False) for n in names if n.startswith(PRE)))


def check(table: nw.LazyFrame, columns: Sequence[Column], *, source: str) -> int:
    """Number of rows of the table, whose columns are typed; every value is checked in one pass.

    Raises:
        DataError: a missing column, no rows, or a value that breaks its column's kind, with its row and the way out.
    """
    names = table.collect_schema().names()
    require_columns(names, columns, source=source)
    there = [c for c in columns if c.name in names]
    counts = [c.bad().cast(nw.Int64).sum().alias(f"bad {i}") for i, c in enumerate(there)]
    found = table.select(nw.len().alias("rows"), *counts).collect("pyarrow").rows(named=True)[0]
    if not found["rows"]:
        raise DataError(f"{source} has no rows. Give at least one.")
    for i, column in enumerate(there):
        if found[f"bad {i}"]:
            refuse(table, column, column.bad(), int(found[f"bad {i}"]), source=source)
    return int(found["rows"])


def require_columns(names: Sequence[str], columns: Sequence[Column], *, source: str) -> None:
    """Refuse a table that lacks one of the columns that are required."""
    if missing := [c.name for c in columns if c.required and c.name not in names]:
        raise DataError(
            f"{source} lacks the column {', '.join(missing)}; it has {', '.join(names)}. Rename or add the column."
        )


def refuse(table: nw.LazyFrame, column: Column, bad: nw.Expr, n: int, *, source: str, shown: str = "") -> None:
    """Raise DataError for the first bad row; `shown` is the column that holds the value as it was written."""
    shown = shown or column.name
    native = table.to_native()
    numbered = isinstance(native, duckdb.DuckDBPyRelation)  # other engines keep no order of rows
    if numbered:
        table = nw.from_native(native.project("*, row_number() over () as recab_row"))
    first = table.filter(bad).head(1).collect("pyarrow").rows(named=True)[0]
    value, where = first[shown], f"in row {first['recab_row']}" if numbered else "in a row"
    many = f" ({n:,} such rows)" if n > 1 else ""
    if value is None:
        raise DataError(f"{source}: column {column.name} is empty {where}{many}. Fill or drop these rows.")
    raise DataError(
        f"{source}: column {column.name} holds {value!r} {where}{many}; it must be {KINDS[column.kind]}. "
        "Correct or drop these rows."
    )
