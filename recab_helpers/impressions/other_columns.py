"""Columns that no contract names: what metrics and segments may read, and what nobody does."""

import re
from collections.abc import Sequence

from recab_helpers.cells import all_numbers
from recab_helpers.errors import closest
from recab_helpers.impressions import values
from recab_helpers.impressions.contract import Column
from recab_helpers.impressions.reader import Cell, Reader
from recab_helpers.impressions.words import SYNONYMS
from recab_helpers.references import POSITION_IN
from recab_helpers.tables import FILE_NAME

SAMPLE_ROWS = 5_000  # that tell what an unread column may be
SHOWN = 8  # unread columns that are named
SHOWN_OR_NOT = re.compile(r"(?i)view|visible|seen|shown|render|impress|display")


def read_others(table: Reader, numbers: Sequence[str], *, typed: bool) -> None:
    """Read the columns that no contract names: numbers or text by their type, or by all their cells in a text file.

    Metrics ask for `numbers`.
    """
    rest = [c for c in table.cells if c not in table.typed and c not in table.hidden]
    texts = [table.cells[c].sql for c in rest if table.cells[c].kind == "VARCHAR"]
    sure = set() if typed else all_numbers(table.relation, texts)
    for c in rest:
        cell = table.cells[c]
        if c in numbers:
            _read_asked(table, c, cell)
        elif cell.sql in sure or values.is_number(cell.kind):
            table.typed[c] = values.number(cell.sql, cell.kind)
        elif cell.kind in ("VARCHAR", "BOOLEAN") or cell.kind.startswith("ENUM"):
            table.typed[c] = f"nullif({cell.sql}::varchar, '')"


def _read_asked(table: Reader, column: str, cell: Cell) -> None:
    """Read what a metric asks for: a number, or true and false as 1 and 0."""
    asked = Column(name=column, kind="number", meaning="read by a metric", required=False)
    v = values.flag(cell.sql, cell.kind, ())
    words = cell.kind == "BOOLEAN" or (
        cell.kind == "VARCHAR"
        and table.relation.aggregate(f"bool_and({v} is not null or {cell.sql} is null)").fetchall()[0][0]
    )
    if words:
        table.read(asked, v)
    else:
        table.read_kind(asked)


def note_unread(table: Reader) -> None:
    """Say which columns nobody reads, the name that each may have been meant to have, and what it may serve as."""
    known = [*SYNONYMS, "experiment", "propensity", "team"]
    unread = [c for c in table.cells if c not in table.typed and c not in (*known, FILE_NAME, *table.reading.only)]
    unread = [
        c for c in unread if table.written(c) == c and not any(t.startswith(f"{c}.") for t in table.theirs.values())
    ]
    if not unread:
        return
    some = table.relation.limit(SAMPLE_ROWS)
    bits = some.aggregate(", ".join(f"bool_and({_is_bit(table, c)})" for c in unread)).fetchall()[0]
    said = [f"{c} ({w})" if (w := _may_be(table, c, bool(b))) else c for c, b in zip(unread, bits, strict=True)]
    more = f" and {len(said) - SHOWN:,} more" if len(said) > SHOWN else ""
    table.notes.append(f"{table.source}: not read: {', '.join(said[:SHOWN])}{more}")


def _is_bit(table: Reader, column: str) -> str:
    return f"lower({table.cells[column].sql}::varchar) in ('0', '1', 'true', 'false')"


def _may_be(table: Reader, column: str, bit: bool) -> str:
    if bit:
        seen = f"where 0 says that it was not shown, only={{{column}: 1}}; " if SHOWN_OR_NOT.search(column) else ""
        return f"0 or 1: {seen}a metric by metrics=[{column}]"
    if count := next((c for c in ("clicks", "impressions", "sessions") if c in column.casefold()), ""):
        each = "every row is one impression; " if count == "impressions" else ""
        return f"{each}did you mean pre_{count}?"
    places = [table.written(f"{POSITION_IN}{v}") for v in table.variants] if column.startswith(POSITION_IN) else []
    return closest(column, (*SYNONYMS, *places)).strip().replace("Did", "did")
