"""Where a log or a table of users lies, and how it is read: a lazy frame whose columns have their types."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pandas as pd

from recab_helpers.errors import DataError
from recab_helpers.impressions.contract import (
    IMPRESSIONS,
    NUMERIC,
    TITLE,
    Column,
    check,
    check_log,
    of_users,
    refuse,
    require_columns,
    time_column,
)

ENDINGS = (".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
_NUMBERS = count()
Table = str | Path | pd.DataFrame | Any  # a file, a pandas frame, or what narwhals takes as a lazy frame


@lru_cache(maxsize=1)
def engine() -> duckdb.DuckDBPyConnection:
    """The one embedded DuckDB of this process, in memory; it spills to disk what does not fit."""
    return duckdb.connect()


def open_log(table: Table, *, numbers: Sequence[str] = (), pilot: bool = False) -> nw.LazyFrame:
    """An impression log, checked against its contract; `numbers` names further columns that are numbers.

    A file is read by DuckDB; a lazy frame (DuckDB, Spark, Polars) stays where it is. A pilot may have one variant.

    Raises:
        DataError: the file cannot be read, or the log breaks its contract.
    """
    frame, source = _opened(table)
    names = frame.collect_schema().names()
    require_columns(names, IMPRESSIONS, source=source)
    more = tuple(Column(name=n, kind="number", meaning="read by a metric") for n in numbers)
    log = _typed(frame, (*IMPRESSIONS, time_column(names, source=source), TITLE, *more), source=source)
    check_log(log, source=source, pilot=pilot)
    if more:
        check(log, more, source=source)
    return log


def open_users(table: Table) -> nw.LazyFrame:
    """What is known of users, one row each: counts from before the test (`pre_`), segments as text, numbers.

    Raises:
        DataError: the file cannot be read, user_id is missing or repeated, or a count is no number of 0 or more.
    """
    frame, source = _opened(table, infer=True)
    names = frame.collect_schema().names()
    require_columns(names, of_users(names), source=source)
    users = _typed(frame, of_users(names), source=source)
    check(users, of_users(names), source=source)
    twice = users.group_by("user_id").agg(nw.len().alias("rows")).filter(nw.col("rows") > 1)
    if again := twice.sort("user_id").head(1).collect("pyarrow").rows(named=True):
        raise DataError(f"{source}: {again[0]['rows']:,} rows have the user_id {again[0]['user_id']!r}. Keep one.")
    return users


def open_table(table: Table) -> nw.LazyFrame:
    """Any other table as a lazy frame, unchecked.

    Raises:
        DataError: the file cannot be read.
    """
    return _opened(table, infer=True)[0]


def keep(frame: nw.LazyFrame) -> nw.LazyFrame:
    """The frame computed once, where its engine keeps such things."""
    native = frame.to_native()
    if not isinstance(native, duckdb.DuckDBPyRelation):
        return frame.collect().lazy()
    name = f"recab_{next(_NUMBERS)}"
    native.create(name)
    return nw.from_native(engine().table(name))


def _opened(table: Table, *, infer: bool = False) -> tuple[nw.LazyFrame, str]:
    """The table as a lazy frame, and what an error calls it; `infer` finds the types of a text file's columns."""
    if isinstance(table, pd.DataFrame):
        return nw.from_native(engine().from_df(_plain(table))), "the table"
    if not isinstance(table, (str, Path)):
        return nw.from_native(table).lazy(), "the table"
    path = Path(table).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a {', '.join(ENDINGS)} file.")
    if not path.name.endswith(ENDINGS):
        raise DataError(f"{path} is none of {', '.join(ENDINGS)}. Convert it to one of these.")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty. Give a file with a header and at least one row.")
    try:
        if path.suffix == ".parquet":
            relation = engine().read_parquet(str(path))
        else:
            options = {"sep": "\t" if ".tsv" in path.name else ",", "header": True}
            types = {"all_varchar": True}
            if infer:
                types = {"dtype": {"user_id": "VARCHAR"}, "sample_size": -1}
            relation = engine().read_csv(str(path), **options, **types)
            relation.limit(1).fetchall()
    except duckdb.Error as error:
        raise DataError(f"{path} cannot be read: {_first_line(error)} Export it again.") from error
    return nw.from_native(relation), path.name


def _typed(frame: nw.LazyFrame, columns: Sequence[Column], *, source: str) -> nw.LazyFrame:
    """Text columns that hold numbers or times as such; ids as text, in one spelling."""
    schema = frame.collect_schema()
    there = [c for c in columns if c.name in schema.names()]
    native = frame.to_native()
    if isinstance(native, duckdb.DuckDBPyRelation):
        written = [c for c in there if c.kind in (*NUMERIC, "time") and schema[c.name] == nw.String]
        if written:
            native = native.project("*, " + ", ".join(_read(c) for c in written))
            frame = nw.from_native(native)
            for c in written:
                bad = ~nw.col(c.name).is_null() & nw.col(f"recab {c.name}").is_null()
                if n := int(frame.select(bad.cast(nw.Int64).sum().alias("n")).collect("pyarrow")["n"][0] or 0):
                    refuse(frame, c, bad, n, source=source)
            frame = frame.with_columns(**{c.name: nw.col(f"recab {c.name}") for c in written})
            frame = frame.drop(*(f"recab {c.name}" for c in written))
    whole = {
        c.name: nw.col(c.name).cast(nw.Float64)
        for c in there
        if c.kind in NUMERIC and frame.collect_schema()[c.name] != nw.Float64
    }
    ids = {c.name: nw.col(c.name).cast(nw.String) for c in there if c.kind == "id" and schema[c.name] != nw.String}
    return frame.with_columns(**whole, **ids) if whole or ids else frame


def _read(column: Column) -> str:
    """SQL that reads the text of a column as its kind, null where it cannot be."""
    name, read = f'"{column.name}"', f'"recab {column.name}"'
    if column.kind == "time":
        seconds = f"try_cast(trim({name}) as double)"
        return f"coalesce(try_cast({name} as timestamp), make_timestamp(({seconds} * 1000000)::bigint)) as {read}"
    return f"try_cast(trim({name}) as double) as {read}"


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The frame with categories and objects as text, which DuckDB reads as they are."""
    odd = table.select_dtypes(["category", "object"]).columns
    return table.assign(
        **{c: table[c].astype("str") if table[c].notna().all() else table[c].astype("string") for c in odd}
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].removesuffix(".") + "."
