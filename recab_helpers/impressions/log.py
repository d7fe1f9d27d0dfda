"""An impression log as its contract has it, or what is wrong with it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals as nw

from recab_helpers.engine import literal
from recab_helpers.errors import DataError
from recab_helpers.impressions.clicks import join_clicks
from recab_helpers.impressions.contract import IMPRESSIONS, MAY_LACK, PROPENSITY, TIMES, TITLE, Column, in_slates
from recab_helpers.impressions.events import fold_events
from recab_helpers.impressions.faults import check_cells
from recab_helpers.impressions.kept import here, stays
from recab_helpers.impressions.lists import unfold
from recab_helpers.impressions.other_columns import note_unread
from recab_helpers.impressions.own_engine import read_there
from recab_helpers.impressions.reader import Cell, Reader
from recab_helpers.impressions.reading import AS_IS, Read, Reading
from recab_helpers.impressions.slate_ids import make_slates_whole
from recab_helpers.impressions.sources import Table, opened
from recab_helpers.impressions.spark import on_spark
from recab_helpers.impressions.times import read_time
from recab_helpers.impressions.variants import read_variants
from recab_helpers.references import CONTROL, POSITION_IN
from recab_helpers.tables import reading


def open_log(table: Table, *, numbers: Sequence[str] = (), pilot: bool = False, how: Reading = AS_IS) -> nw.LazyFrame:
    """The rows of `read_log`.

    >>> import pandas as pd
    >>> columns = {"user_id": ["a", "b"], "variant": ["control", "treatment"], "clicked": [1, 0], "day": [0, 0]}
    >>> shown = {"slate_id": [1, 2], "position": [1, 1], "item_id": ["x", "x"]}
    >>> pd.DataFrame(columns | shown).to_csv("log.csv", index=False)
    >>> open_log("log.csv").select("user_id", "variant", "clicked").collect("pandas").to_native()
      user_id    variant  clicked
    0       a    control      1.0
    1       b  treatment      0.0
    """
    return read_log(table, numbers=numbers, pilot=pilot, how=how).rows


def read_log(
    table: Table, *, numbers: Sequence[str] = (), pilot: bool = False, how: Reading = AS_IS, clicks: Table = None
) -> Read:
    """An impression log, read as `how` says and checked against its contract.

    `numbers` names further columns that are numbers; a pilot may have one variant. `clicks` is a table of the clicks,
    one row each, where the log holds impressions only. A file is read by DuckDB, or by Spark where `how` says so, and
    what is in memory by DuckDB; a lazy frame of Spark, and an Ibis table of a warehouse, stay where they are.

    Raises:
        DataError: the file cannot be read, or the log breaks its contract; everything that is wrong is said at once.
    """
    frame, source = _of_engine(table, how)
    if stays(frame):
        if clicks is not None:
            raise DataError(f"{source} stays in its own engine. Join the clicks there, as a column clicked of 0 and 1.")
        return read_there(frame, source, how, numbers, pilot=pilot)
    native: Any = frame.to_native()
    called = how.columns
    if clicks is not None:
        native = here(frame).to_native()
    pilot = pilot or how.design == "off_policy"
    if clicks is not None and how.columns.get("clicked") not in native.columns:  # it is one of the clicks
        how = replace(how, columns={ours: theirs for ours, theirs in how.columns.items() if ours != "clicked"})
    with reading(source):
        log = Reader(native, source, how, way=" (bad_rows=drop)", whole_ids=True)
        unfold(log)
        log.keep_only()
        if clicks is not None:
            join_clicks(log, clicks, called)
        _read_columns(log, numbers, pilot=pilot)
        check_cells(log)
        if not log.faults:
            make_slates_whole(log, numbers)
        log.refuse()
        return _read(log)


def _of_engine(table: Table, how: Reading) -> tuple[nw.LazyFrame, str]:
    """The table as a lazy frame of the engine that is to reduce it, and what an error calls it."""
    if how.engine == "spark" and isinstance(table, (str, Path)):
        return on_spark(str(table), how), Path(table).name
    return opened(table, how.table, times=[how.columns.get(c.name, c.name) for c in TIMES])


def _read_columns(log: Reader, numbers: Sequence[str], *, pilot: bool) -> None:
    """Read every column of the contract that is there, and say which of the others are not."""
    if log.reading.by_impression:
        log.change(lambda r: r.project("*, row_number() over () as recab_unit"))
        log.cells["user_id"] = Cell("recab_unit", "BIGINT")
    columns = {c.name: c for c in IMPRESSIONS}
    time = next((c for c in TIMES if log.has(c.name)), None)
    off_policy = log.reading.design == "off_policy"
    required = [n for n in columns if off_policy or n not in MAY_LACK]
    log.require(required + ([] if time else ["timestamp"]) + ([PROPENSITY.name] if off_policy else []))
    if time:
        read_time(log, time)
        _tell_the_start(log)
        fold_events(log)
    for column in (*columns.values(), TITLE, *([PROPENSITY] if off_policy else [])):
        if log.has(column.name) and column.name != "variant":
            log.read_kind(column)
    if log.has("variant"):
        read_variants(log, columns["variant"], pilot=pilot)
    if {"position", "variant"} <= log.typed.keys():
        for column in in_slates(log.variants, tuple(log.cells)):
            log.read_kind(column)
    for n in numbers:
        if log.has(n):
            log.read_kind(Column(name=n, kind="number", meaning="read by a metric"))


def _tell_the_start(log: Reader) -> None:
    """Tell the rows from before the start of the test: their variant is not read."""
    starts, time = log.reading.starts, log.time
    if not starts or not time:
        return
    if (time == "day") != starts.lstrip("-").isdigit():
        how = "counts its days; give the number of one" if time == "day" else "has dates; give one, such as 2026-05-01"
        log.faults.append(f"starts is {starts!r}, but {log.source} {how}.")
        return
    log.exempt = f"coalesce({log.typed[time]} < {_moment(starts)}, false)"
    before, n = log.relation.aggregate(f"count(*) filter ({log.exempt}), count(*)").fetchall()[0]
    if before in (0, n):
        where = "every row is before it" if before else "no row is before it"
        log.faults.append(f"starts is {starts}, but {where} in {log.source}. Correct it, or leave it out.")


def _moment(starts: str) -> str:
    return starts if starts.lstrip("-").isdigit() else f"timestamp {literal(starts)}"


def _read(log: Reader) -> Read:
    frame, before = log.frame(), None
    dropped: dict[str, tuple[int, int]] = {}
    if log.reading.drop_bad_rows:
        user, variant = log.typed["user_id"], f"coalesce({log.typed['variant']}, 'unknown')"
        counted = log.relation.filter(log.any_bad).project(f"{variant} as v, {user} as u")
        dropped = {v: (n, users) for v, n, users in counted.aggregate("v, count(*), count(distinct u)").fetchall()}
        n = sum(rows for rows, _ in dropped.values())
        log.notes.append(f"{n:,} of {log.n:,} rows were dropped (bad_rows=drop)")
    if log.exempt:
        begun = f'"{log.time}" < {_moment(log.reading.starts)}'
        frame, before = frame.filter(f"not ({begun})"), nw.from_native(frame.filter(begun))
    note_unread(log)
    for what, lacks in (("slates", "slate_id"), ("positions", "position")):
        if lacks not in log.typed:
            log.notes.append(f"{log.source} tells no {what}: what needs them is left out")
    placed = [v for v in log.variants if f"{POSITION_IN}{v}" in log.typed]
    if placed and (CONTROL not in placed or len(placed) < len(log.variants)):
        without = next(v for v in log.variants if v not in placed)
        log.notes.append(
            f"{log.source} has no {log.written(POSITION_IN + without)}, so that both slates are not compared for it"
        )
    return Read(
        rows=nw.from_native(frame),
        source=log.source,
        columns={ours: log.written(ours) for ours in log.typed},
        notes=tuple(log.notes),
        before=before,
        counted=log.counted,
        dropped=dropped,
    )
