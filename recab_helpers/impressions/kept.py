"""Lazy frames that their engine computes once and keeps for as long as somebody holds them."""

import weakref
from itertools import count

import duckdb
import narwhals as nw

from recab_helpers.tables import engine

_NUMBERS = count()


def keep(frame: nw.LazyFrame) -> nw.LazyFrame:
    """The frame computed once and kept by the engine of this process, for as long as what is returned lives."""
    kept_as = f"recab_{next(_NUMBERS)}"
    here(frame).to_native().create(kept_as)
    kept = nw.from_native(engine().table(kept_as))
    weakref.finalize(kept, _drop, kept_as).atexit = False
    return kept


def is_here(frame: nw.LazyFrame) -> bool:
    """Whether the frame is of the engine of this process."""
    native = frame.to_native()
    if not isinstance(native, duckdb.DuckDBPyRelation):
        return False
    marked = native.query("recab_frame", "select getvariable('recab_engine')")
    return bool(marked and marked.fetchall() == [(True,)])


def here(frame: nw.LazyFrame) -> nw.LazyFrame:
    """The frame in the engine of this process; one of another engine is computed there."""
    if is_here(frame):
        return frame
    return nw.from_native(engine().from_arrow(frame.collect("pyarrow").to_native()))


def _drop(kept_as: str) -> None:
    engine().cursor().execute(f"drop table if exists {kept_as}")
