"""Lazy frames that their engine computes once and keeps, and the way of small ones from another engine to this one."""

import weakref
from collections.abc import Iterator
from typing import Any

import duckdb
import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from recab_helpers.engine import engine, kept, spare_file

CHUNK = 1_000_000  # rows that leave another engine at once


def keep(frame: nw.LazyFrame) -> nw.LazyFrame:
    """The frame computed once and kept by its own engine, for as long as what is returned, or made of it, lives.

    A warehouse and the DuckDB of somebody else are not written to: they compute it again.
    """
    native: Any = frame.to_native()
    if frame.implementation.is_pyspark():
        persisted = nw.from_native(native.persist())
        weakref.finalize(persisted, native.unpersist).atexit = False
        return persisted
    if not is_here(frame):
        return frame
    return nw.from_native(kept(native))


def is_here(frame: nw.LazyFrame) -> bool:
    """Whether the frame is of the engine of this process."""
    native = frame.to_native()
    if not isinstance(native, duckdb.DuckDBPyRelation):
        return False
    marked = native.query("recab_frame", "select getvariable('recab_engine')")
    return bool(marked and marked.fetchall() == [(True,)])


def stays(frame: nw.LazyFrame) -> bool:
    """Whether the frame is of Spark or of a warehouse, which reduces a log itself."""
    return frame.implementation.is_pyspark() or frame.implementation.is_ibis()


def here(frame: nw.LazyFrame) -> nw.LazyFrame:
    """The frame in the engine of this process.

    One of another engine is computed there, and comes chunk by chunk into a Parquet file that is gone when the process
    ends: of its rows no more than CHUNK or so are in memory.
    """
    if is_here(frame):
        return frame
    native: Any = frame.to_native()
    file = spare_file(".parquet")
    if isinstance(native, duckdb.DuckDBPyRelation):
        native.write_parquet(str(file))
    elif frame.implementation.is_ibis():
        native.to_parquet(file)
    else:
        chunks = _chunks(frame)
        first = next(chunks)
        with pq.ParquetWriter(file, first.schema) as out:
            out.write_table(first)
            for chunk in chunks:
                out.write_table(chunk.cast(first.schema))
    return nw.from_native(engine().read_parquet(str(file)))


def _chunks(frame: nw.LazyFrame) -> Iterator[pa.Table]:
    """The rows of the frame in tables of about CHUNK; at least one table."""
    native: Any = frame.to_native()
    if frame.implementation.is_pyspark():
        kept = native.persist()
        try:
            pieces = max(-(-kept.count() // CHUNK), 1)
            hashed = ", ".join(f"`{c.replace('`', '``')}`" for c in kept.columns)
            for i in range(pieces):
                yield kept.where(f"pmod(xxhash64({hashed}), {pieces}) = {i}").toArrow()
        finally:
            kept.unpersist()
    else:
        yield frame.collect("pyarrow").to_native()
