"""Where a log or a table of users lies, and how it is read: a lazy frame whose columns have their types."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import narwhals as nw
import pandas as pd

from recab_helpers.engine import engine, literal, name
from recab_helpers.errors import DataError, ParameterError, nearest
from recab_helpers.impressions import values
from recab_helpers.impressions.contract import (
    IMPRESSIONS,
    MAY_LACK,
    PROPENSITY,
    TIMES,
    TITLE,
    USER,
    Column,
    in_slates,
    of_users,
)
from recab_helpers.impressions.counting import COUNTS, count, days_to_return
from recab_helpers.impressions.elsewhere import on_spark, read_elsewhere
from recab_helpers.impressions.kept import here, stays
from recab_helpers.impressions.reading import AS_IS, Cell, Read, Reader, Reading
from recab_helpers.references import CONTROL, POSITION_IN
from recab_helpers.tables import FILE_NAME, kind_of, open_file, parts_of, reading

Table: TypeAlias = Any  # a file, a folder, a glob, a pandas frame, or what narwhals takes as a lazy frame
CLICK_KEYS = ("slate_id", "user_id", "item_id", "position")  # what an impression and its click share


def open_log(table: Table, *, numbers: Sequence[str] = (), pilot: bool = False, how: Reading = AS_IS) -> nw.LazyFrame:
    """The rows of `read_log`.

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
        return read_elsewhere(frame, source, how, numbers, pilot=pilot)
    native: Any = frame.to_native()
    if clicks is not None:
        native = here(frame).to_native()
    pilot = pilot or how.design == "off_policy"
    with reading(source):
        log = Reader(native, source, how, way=" (bad_rows=drop)", whole_ids=True)
        _unfold(log)
        log.keep_only()
        if clicks is not None:
            _join_clicks(log, clicks)
        _read_columns(log, numbers, pilot=pilot)
        log.check()
        if not log.faults:
            _make_slates_whole(log, numbers)
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
        log.read_time(time)
        _tell_the_start(log)
    for column in (*columns.values(), TITLE, *([PROPENSITY] if off_policy else [])):
        if log.has(column.name) and column.name != "variant":
            log.read_kind(column)
    if log.has("variant"):
        log.read_variants(columns["variant"], pilot=pilot)
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


def _unfold(log: Reader) -> None:
    """A log of one row a slate, with lists of its items and clicks, as one of one row an item shown."""
    if not log.has("item_id"):
        return
    item, clicked = log.cells["item_id"], log.cells.get("clicked")
    shown, marked = f"list_filter(string_split({item.sql}, ' '), lambda x: x != '')", ""
    if item.kind.endswith("[]"):
        items = f"list_transform({item.sql}, lambda x: x::varchar)"
    elif item.kind != "VARCHAR":
        return
    elif _all_are(log, item.sql, r"\s*\[.*\]\s*"):
        items = _of_text(log, item.sql)
    elif clicked is None and _all_are(log, item.sql, r"(\S+-[01])( +\S+-[01])*\s*"):  # as MIND writes it
        items, marked = f"list_transform({shown}, lambda x: x[:-3])", f"list_transform({shown}, lambda x: x[-1:])"
    else:
        return
    if clicked is not None and not marked:
        lists = clicked.sql if clicked.kind.endswith("[]") else _of_text(log, clicked.sql)
        lists = f"list_transform(coalesce({lists}, []), lambda x: x::varchar)"
        flags = ", ".join(map(literal, (*values.YES, *values.NO)))
        each = f"len({lists}) = len({items}) and len(list_filter({lists}, lambda x: lower(x) not in ({flags}))) = 0"
        found = log.relation.aggregate(f"count(*) filter (not ({each}))").fetchall()[0][0]
        marked = lists if not found else f"list_transform({items}, lambda x: list_contains({lists}, x)::varchar)"
    if not marked:
        return
    kept = "*" if log.has("slate_id") else "*, row_number() over () as recab_slate"
    apart = f"{kept}, {items} as recab_items, {marked} as recab_marks"
    each_item = (
        "* exclude (recab_items, recab_marks), unnest(recab_items) as recab_item, "
        "unnest(range(1, len(recab_items) + 1)) as recab_rank, unnest(recab_marks) as recab_mark"
    )
    log.change(lambda r: r.project(apart).filter("len(recab_items) > 0").project(each_item))
    log.cells |= {
        "item_id": Cell("recab_item", "VARCHAR"),
        "position": Cell("recab_rank", "BIGINT"),
        "clicked": Cell("recab_mark", "VARCHAR"),
    }
    if not log.has("slate_id"):
        log.cells["slate_id"] = Cell("recab_slate", "BIGINT")
    log.notes.append(f"every row of {log.source} is a slate, whose items stand in {log.written('item_id')}")


def _of_text(log: Reader, cell: str) -> str:
    """SQL of the lists that text holds, as JSON writes them, or as Python does where no item has a quote."""
    if _all_are(log, cell, r"[^'\"]*('[^'\"]*'[^'\"]*)+|\s*\[\s*\]\s*"):
        cell = f"replace({cell}, '''', '\"')"
    return f"from_json({cell}, '[\"VARCHAR\"]')"


def _all_are(log: Reader, cell: str, pattern: str) -> bool:
    """Whether the first thousand cells look so, and one has several words or brackets."""
    some = log.relation.project(f"{cell} as c").limit(1000)
    found = some.aggregate(f"bool_and(regexp_full_match(c, {literal(pattern)})), bool_or(regexp_matches(c, '[ \\[]'))")
    return all(found.fetchall()[0])


def _join_clicks(log: Reader, clicks: Table) -> None:
    """Mark the impressions that stand in a table of clicks as clicked."""
    frame, source = opened(clicks)
    other = Reader(here(frame).to_native(), source, Reading(columns=_of_both(log, frame)))
    keys = [k for k in CLICK_KEYS if log.has(k) and other.has(k)]
    if "slate_id" not in keys or not {"item_id", "position"} & set(keys):
        log.faults.append(
            f"{source} and {log.source} share no slate_id with item_id or position, by which a click finds its "
            f"impression; {source} has {', '.join(other.cells)}. Say which they are: columns={{slate_id: NAME}}."
        )
        return
    cells = [(log.cells[k], other.cells[k]) for k in keys]
    theirs = ", ".join(f"{values.identity(c.sql, c.kind)} as recab_key{i}" for i, (_, c) in enumerate(cells))
    found = other.relation.project(theirs).distinct().project("*, true as recab_click")
    same = " and ".join(f"{values.identity(c.sql, c.kind)} = recab_key{i}" for i, (c, _) in enumerate(cells))
    n = found.aggregate("count(*)").fetchall()[0][0]
    drop = ", ".join(f"recab_key{i}" for i in range(len(keys)))
    log.change(lambda r: r.join(found, same, how="left").project(f"* exclude ({drop})"))
    matched = log.relation.aggregate("count(recab_click)").fetchall()[0][0]
    if matched < n / 2:
        log.faults.append(
            f"of {n:,} clicks of {source} only {matched:,} are of an impression of {log.source}, by {', '.join(keys)}. "
            "Give tables of the same period, whose ids are written alike."
        )
    elif matched < n:
        log.notes.append(f"{n - matched:,} clicks of {source} are of no impression of {log.source}, and are left out")
    log.cells["clicked"] = Cell("coalesce(recab_click, false)", "BOOLEAN")


def _of_both(log: Reader, clicks: nw.LazyFrame) -> dict[str, str]:
    names = clicks.collect_schema().names()
    return {ours: theirs for ours, theirs in log.reading.columns.items() if theirs in names}


def _make_slates_whole(log: Reader, numbers: Sequence[str]) -> None:
    """Make slate ids that count per day or per moment those of one slate each; refuse rows that stand there twice.

    The log is counted on the way, so that a log whose slates are whole is not gone through for that alone.
    """
    if not log.exempt:
        log.counted = count(nw.from_native(log.frame()), numbers)
    if "slate_id" not in log.typed or (log.counted and log.counted.last and not log.counted.repeats):
        return
    kept, time = log.frame(), log.typed[log.time]
    rank = "position" if "position" in log.typed else "item_id"
    day = f'"{log.time}"' if log.time == "day" else '"timestamp"::date'
    for key, said in (("", ""), (day, "day"), (f'"{log.time}"', "moment")):
        by = f"user_id, variant, slate_id{', ' if key else ''}{key}"
        twice = kept.aggregate(f"count(*) as n, {_distinct(rank, log)} as d", by).filter("n > d")
        if twice.limit(1).fetchall():
            continue
        if key:
            log.counted = None
            log.typed["slate_id"] = (
                f"concat_ws(' ', {log.typed['slate_id']}, {key.replace(name(log.time), f'({time})')})"
            )
            log.notes.append(f"slate ids count per {said}, so that a slate is told by its id and its {said}")
        return
    keys = ["user_id", "slate_id", rank]
    again = kept.aggregate(f"{', '.join(keys)}, count(*) as n", ", ".join(keys)).filter("n > 1")
    *first, n = again.order(", ".join(keys)).limit(1).fetchall()[0]
    log.faults.append(
        f"{log.source}: {n:,} rows have the same user_id, slate_id and {rank}, {dict(zip(keys, first, strict=True))}. "
        "Keep one of each."
    )


def _distinct(rank: str, log: Reader) -> str:
    """SQL of how many distinct ranks a slate has; by bits where the ranks are small, which takes no memory."""
    if rank == "position":
        top = log.relation.aggregate(f"max({log.typed['position']})").fetchall()[0][0]
        if top is not None and top <= 62:
            return "bit_count(bit_or(1::bigint << position::int))"
    return f"count(distinct {rank})"


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
    log.note_unread()
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


def open_users(table: Table, *, numbers: Sequence[str] = (), how: Reading = AS_IS, alone: bool = False) -> nw.LazyFrame:
    """The rows of `read_users`."""
    return read_users(table, numbers=numbers, how=how, alone=alone).rows


def read_users(table: Table, *, numbers: Sequence[str] = (), how: Reading = AS_IS, alone: bool = False) -> Read:
    """What is known of users, one row each: counts from before the test (`pre_`), segments as text, numbers.

    `numbers` names the columns that metrics read: true and false are 1 and 0 there. Of a table that stands `alone`,
    without a log, the variant is read too; where no column of it can be the id of a user, every row is one, and a note
    says so.

    Raises:
        DataError: the file cannot be read, user_id is missing or repeated, or a cell breaks its column; everything that
            is wrong is said at once.
    """
    frame, source = opened(table, how.table if alone else "")
    users = Reader(here(frame).to_native(), source, how if alone else Reading(columns=_known_by(how, frame)))
    if isinstance(table, (str, Path)) and len(parts_of(table)) > 1:
        users.hide(FILE_NAME)  # is of the files, not of the users
    with reading(source):
        if alone:
            users.keep_only()
            if not users.has(USER.name) and not users.may_be_ids():
                users.change(lambda r: r.project("*, row_number() over () as recab_unit"))
                users.cells[USER.name] = Cell("recab_unit", "BIGINT")
                users.notes.append(f"{source} has no user_id, so that each of its rows is taken for a user")
        users.require([USER.name, *(["variant"] if alone else [])])
        for column in of_users(list(users.cells)):
            if users.has(column.name):
                users.read_kind(column)
        if alone and users.has("variant"):
            users.read_variants(IMPRESSIONS[3])
        elif users.has("variant"):
            users.hide("variant")
        users.read_others(numbers, typed=not _is_text(table))
        users.check()
        if not users.faults:
            kept = users.frame()
            twice = kept.aggregate("user_id, count(*) as n", "user_id").filter("n > 1").order("user_id").limit(1)
            for user, n in twice.fetchall():
                users.faults.append(f"{source}: {n:,} rows have the user_id {user!r}. Keep one.")
        users.refuse()
        columns = {ours: users.written(ours) for ours in users.typed}
        return Read(rows=nw.from_native(users.frame()), source=source, columns=columns, notes=tuple(users.notes))


def _known_by(how: Reading, users: nw.LazyFrame) -> dict[str, str]:
    """Of the names of the log, those that the table of its users has too."""
    names = users.collect_schema().names()
    return {ours: theirs for ours, theirs in how.columns.items() if theirs in names and ours not in names}


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
        users.read_others((), typed=not _is_text(table))
        return nw.from_native(users.frame())


def column_names(table: Table, how: Reading = AS_IS) -> tuple[str, ...]:
    """Names of a table's columns as `how` maps them, without reading its rows.

    Raises:
        DataError: the file cannot be read.
    """
    names = opened(table, how.table, rows=False)[0].collect_schema().names()
    return (*names, *(ours for ours, theirs in how.columns.items() if theirs in names and ours not in names))


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


def _is_text(table: Table) -> bool:
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
