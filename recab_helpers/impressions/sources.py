"""Where a table lies: a file, a folder, a database, a frame in memory or in an engine of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import narwhals as nw
import pandas as pd

from recab_helpers.engine import engine
from recab_helpers.errors import DataError
from recab_helpers.impressions import values
from recab_helpers.impressions.contract import IMPRESSIONS
from recab_helpers.impressions.kept import stays
from recab_helpers.impressions.other_columns import read_others
from recab_helpers.impressions.reader import Reader
from recab_helpers.impressions.reading import AS_IS, Reading
from recab_helpers.tables import kind_of, open_file, parts_of, reading

Table: TypeAlias = Any  # a file, a folder, a glob, a pandas frame, or what narwhals takes as a lazy frame


def opened(
    table: Table, of_database: str = "", *, rows: bool = True, times: Sequence[str] = ()
) -> tuple[nw.LazyFrame, str]:
    """The table as a lazy frame, and what an error calls it; the rows of a text file are parsed once, and kept.

    `times` are the columns of it that may be held as moments.
    """
    if not isinstance(table, (str, Path)):
        return _frame_of(table), "the table"
    relation, source = open_file(table, table=of_database, hold=rows, times=times)
    return nw.from_native(relation), source


def open_table(table: Table) -> nw.LazyFrame:
    """Any other table as a lazy frame, unchecked; ids are text, other cells of a text file numbers where they are.

    Raises:
        DataError: the file cannot be read.
    """
    frame, source = opened(table)
    native = frame.to_native()
    if not isinstance(native, duckdb.DuckDBPyRelation):
        return frame
    with reading(source):
        users = Reader(native, source, AS_IS)
        for column in IMPRESSIONS:
            if column.kind == "id" and users.has(column.name):
                users.typed[column.name] = values.identity(users.cells[column.name].sql, users.cells[column.name].kind)
        read_others(users, (), typed=not is_text(table))
        return nw.from_native(users.frame())


def column_names(table: Table, how: Reading = AS_IS) -> tuple[str, ...]:
    """Names of a table's columns as `how` maps them, without reading its rows.

    Raises:
        DataError: the file cannot be read.
    """
    names = opened(table, how.table, rows=False)[0].collect_schema().names()
    return (*names, *(ours for ours, theirs in how.columns.items() if theirs in names and ours not in names))


def is_text(table: Table) -> bool:
    """Whether the cells of the table have no types of their own."""
    return isinstance(table, (str, Path)) and kind_of(parts_of(table)[0]) != "parquet"


def _frame_of(table: Any) -> nw.LazyFrame:
    """A lazy frame of what is in memory, by DuckDB; that of Spark or of a warehouse as it is."""
    native = nw.to_native(table, pass_through=True)
    if isinstance(native, pd.DataFrame):
        return nw.from_native(engine().from_df(_plain(native)))
    try:
        frame = nw.from_native(native)
    except TypeError as error:
        kind = type(table).__name__
        raise DataError(f"A {kind} is no table. Give a file, or a frame that narwhals can read.") from error
    if isinstance(frame, nw.DataFrame):
        return nw.from_native(engine().from_arrow(frame.to_arrow()))
    if stays(frame) or isinstance(native, duckdb.DuckDBPyRelation):
        return frame
    return nw.from_native(engine().from_arrow(frame.collect("pyarrow").to_native()))


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The frame with categories and objects as text, which DuckDB reads as they are."""
    odd = [c for c, kind in table.dtypes.items() if isinstance(kind, pd.CategoricalDtype) or kind.kind == "O"]
    return table.assign(
        **{c: table[c].astype("str") if table[c].notna().all() else table[c].astype("string") for c in odd}
    )
