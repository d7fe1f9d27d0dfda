"""Where a log or a table of users lies, and how it is read: a lazy frame whose columns have their types."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import narwhals as nw
import pandas as pd

from recab_helpers.errors import DataError
from recab_helpers.impressions.contract import (
    IMPRESSIONS,
    KINDS,
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
IDS = tuple(c.name for c in IMPRESSIONS if c.kind == "id")
LAST_SECOND = 7_258_118_400  # the year 2200: larger numbers are no seconds
LARGEST_WHOLE = 2.0**53  # above it a float does not tell whole numbers apart
_NUMBERS = count()
Table: TypeAlias = Any  # a file, a pandas frame, or what narwhals takes as a lazy frame


@lru_cache(maxsize=1)
def engine() -> duckdb.DuckDBPyConnection:
    """The one embedded DuckDB of this process, in memory; it spills to disk what does not fit. Its days are UTC's."""
    made = duckdb.connect()
    made.execute("set TimeZone = 'UTC'")
    made.execute("set variable recab_engine = true")
    return made


def open_log(table: Table, *, numbers: Sequence[str] = (), pilot: bool = False) -> nw.LazyFrame:
    """An impression log, checked against its contract; `numbers` names further columns that are numbers.

    A file is read by DuckDB; a lazy frame (DuckDB, Spark, Polars) stays where it is. A pilot may have one variant.

    Raises:
        DataError: the file cannot be read, or the log breaks its contract.

    >>> columns = {"user_id": ["a", "b"], "variant": ["control", "treatment"], "clicked": [1, 0], "day": [0, 0]}
    >>> shown = {"slate_id": [1, 2], "position": [1, 1], "item_id": ["x", "x"]}
    >>> pd.DataFrame(columns | shown).to_csv("log.csv", index=False)
    >>> open_log("log.csv").select("user_id", "variant", "clicked").collect("pandas").to_native()
      user_id    variant  clicked
    0       a    control      1.0
    1       b  treatment      0.0
    """
    frame, source = _opened(table)
    names = frame.collect_schema().names()
    require_columns(names, IMPRESSIONS, source=source)
    more = tuple(Column(name=n, kind="number", meaning="read by a metric") for n in numbers)
    with _read(source):
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
    with _read(source):
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


def column_names(table: Table) -> tuple[str, ...]:
    """Names of a table's columns, without reading its rows.

    Raises:
        DataError: the file cannot be read.
    """
    return tuple(_opened(table)[0].collect_schema().names())


def keep(frame: nw.LazyFrame) -> nw.LazyFrame:
    """The frame computed once and kept by the engine of this process, for as long as what is returned lives."""
    name = f"recab_{next(_NUMBERS)}"
    here(frame).to_native().create(name)
    kept = nw.from_native(engine().table(name))
    weakref.finalize(kept, _drop, name).atexit = False
    return kept


def here(frame: nw.LazyFrame) -> nw.LazyFrame:
    """The frame in the engine of this process; one of another engine is computed there."""
    native = frame.to_native()
    if isinstance(native, duckdb.DuckDBPyRelation):
        marked = native.query("recab_frame", "select getvariable('recab_engine')")
        if marked and marked.fetchall() == [(True,)]:
            return frame
    return nw.from_native(engine().from_arrow(frame.collect("pyarrow").to_native()))


def _drop(name: str) -> None:
    engine().cursor().execute(f"drop table if exists {name}")


@contextmanager
def _read(source: str | Path) -> Iterator[None]:
    """What DuckDB cannot read is a DataError."""
    try:
        yield
    except duckdb.Error as error:
        raise DataError(f"{source} cannot be read: {_first_line(error)} Export it again.") from error


def _opened(table: Table, *, infer: bool = False) -> tuple[nw.LazyFrame, str]:
    """The table as a lazy frame, and what an error calls it; `infer` finds the types of a text file's columns."""
    if not isinstance(table, (str, Path)):
        return _frame_of(table), "the table"
    path = Path(table).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a {', '.join(ENDINGS)} file.")
    if not path.name.endswith(ENDINGS):
        raise DataError(f"{path} is none of {', '.join(ENDINGS)}. Convert it to one of these.")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty. Give a file with a header and at least one row.")
    with _read(path):
        if path.suffix == ".parquet":
            relation = engine().read_parquet(str(path))
        else:
            options: dict[str, Any] = {"sep": "\t" if ".tsv" in path.name else ",", "header": True}
            relation = engine().read_csv(str(path), **options, all_varchar=True)
            if infer:
                ids = {n: "VARCHAR" for n in IDS if n in relation.columns}
                relation = engine().read_csv(str(path), **options, dtype=ids or None, sample_size=-1)
            relation.limit(1).fetchall()
    return nw.from_native(relation), path.name


def _frame_of(table: Any) -> nw.LazyFrame:
    """A lazy frame of what is in memory, by DuckDB, or of another engine's lazy frame as it is."""
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
    return frame


def _typed(frame: nw.LazyFrame, columns: Sequence[Column], *, source: str) -> nw.LazyFrame:
    """Text columns that hold numbers or times as such; ids as text, in one spelling."""
    schema = frame.collect_schema()
    there = [c for c in columns if c.name in schema.names()]
    native = frame.to_native()
    written = [c for c in there if c.kind in (*NUMERIC, "time") and schema[c.name] == nw.String]
    if isinstance(native, duckdb.DuckDBPyRelation):
        written += [c for c in there if c.kind == "time" and schema[c.name].is_numeric()]
        if written:
            native = native.project("*, " + ", ".join(_value_of(c, schema[c.name]) for c in written))
            frame = nw.from_native(native)
            for c in written:
                bad = ~nw.col(c.name).is_null() & nw.col(f"recab {c.name}").is_null()
                if n := int(frame.select(bad.cast(nw.Int64).sum().alias("n")).collect("pyarrow")["n"][0] or 0):
                    refuse(frame, c, bad, n, source=source)
            frame = frame.with_columns(**{c.name: nw.col(f"recab {c.name}") for c in written})
            frame = frame.drop(*(f"recab {c.name}" for c in written))
    elif written:
        kind = KINDS[written[0].kind]
        raise DataError(f"{source}: column {written[0].name} is text; it must be {kind}. Cast it, or give a file.")
    whole = {
        c.name: nw.col(c.name).cast(nw.Float64)
        for c in there
        if c.kind in NUMERIC and frame.collect_schema()[c.name] != nw.Float64
    }
    ids = {c.name: _spelled(c.name, schema) for c in there if c.kind == "id" and schema[c.name] != nw.String}
    return frame.with_columns(**whole, **ids) if whole or ids else frame


def _spelled(name: str, schema: nw.Schema) -> nw.Expr:
    """An id as text; a whole number has no point, however it was stored."""
    value = nw.col(name)
    if not schema[name].is_float():
        return value.cast(nw.String)
    whole = (value.abs() < LARGEST_WHOLE) & (value == value.round(0))
    return nw.when(whole).then(value.cast(nw.Int64).cast(nw.String)).otherwise(value.cast(nw.String))


def _value_of(column: Column, kind: nw.dtypes.DType) -> str:
    """SQL that reads a column of text or of seconds as its kind, null where it cannot be; times are those of UTC."""
    name, read = f'"{column.name}"', f'"recab {column.name}"'
    number = f"{name}::double" if kind.is_numeric() else f"try_cast(trim({name}) as double)"
    if column.kind != "time":
        return f"{number} as {read}"
    seconds = f"case when {number} between 0 and {LAST_SECOND} then make_timestamp(({number} * 1000000)::bigint) end"
    if kind.is_numeric():
        return f"{seconds} as {read}"
    date = f"try_cast(trim({name}) as timestamptz)"
    return f"coalesce(case when isfinite({date}) then {date} at time zone 'UTC' end, {seconds}) as {read}"


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """The frame with categories and objects as text, which DuckDB reads as they are."""
    odd = [c for c, kind in table.dtypes.items() if isinstance(kind, pd.CategoricalDtype) or kind.kind == "O"]
    return table.assign(
        **{c: table[c].astype("str") if table[c].notna().all() else table[c].astype("string") for c in odd}
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].removesuffix(".") + "."
