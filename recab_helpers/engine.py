"""The one embedded DuckDB of this process, what it keeps and where, and how SQL writes names and texts."""

import tempfile
import weakref
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path

import duckdb

from recab_helpers.processes import PREFIX, clear_places_of_the_dead, this_process

MEMORY = "2GB"  # of the engine; what does not fit spills to disk
_NUMBERS = count()


@lru_cache(maxsize=1)
def engine() -> duckdb.DuckDBPyConnection:
    """The one embedded DuckDB of this process, in memory; it spills to disk what does not fit. Its days are UTC's."""
    made = duckdb.connect()
    made.execute("set TimeZone = 'UTC'")
    made.execute(f"set memory_limit = '{MEMORY}'")
    made.execute(f"set temp_directory = {literal(_place() / 'spilled')}")
    made.execute("set variable recab_engine = true")
    return made


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory:
    clear_places_of_the_dead(Path(tempfile.gettempdir()))
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{this_process()}.")


def _place() -> Path:
    return Path(_folder().name)


def spare_file(ending: str) -> Path:
    """The name of a new file, which is gone when the process ends."""
    return _place() / f"{next(_NUMBERS)}{ending}"


def kept(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The relation computed once, as a table of the engine that is dropped with the last relation made of it."""
    kept_as = f"recab_{next(_NUMBERS)}"
    relation.create(kept_as)
    table = engine().table(kept_as)
    weakref.finalize(table, _drop, kept_as).atexit = False
    return table


def _drop(kept_as: str) -> None:
    engine().cursor().execute(f"drop table if exists {kept_as}")


def literal(text: object) -> str:
    """The text as SQL writes it."""
    return "'" + str(text).replace("'", "''") + "'"


def name(column: str) -> str:
    """The name of a column as SQL writes it."""
    return '"' + column.replace('"', '""') + '"'


def literals(parts: Sequence[Path]) -> str:
    """A list of paths as SQL writes it."""
    return f"[{', '.join(literal(p) for p in parts)}]"
