"""When every row was: its moment or the number of its day, however the times of a table are written."""

from dataclasses import replace
from typing import Any

import duckdb

from recab_helpers.engine import name
from recab_helpers.impressions import values
from recab_helpers.impressions.contract import Column
from recab_helpers.impressions.reader import Cell, Reader

MAX_DAYS = 3_660  # of a log; ten years are no test
FAR_DAYS = 366  # from the middle half of the log, that a row may at least lie


def read_time(table: Reader, column: Column) -> None:
    """Read the times by the form of most of them; a cell of another form is bad. Days far from all others are.

    Raises nothing: a date that can be read two ways is a fault.
    """
    cell, reading = table.cells[column.name], table.reading
    times = values.Times(
        column=cell.sql, kind=cell.kind, is_day=column.name == "day", zone=reading.time_zone,
        unit=reading.time_unit, order=reading.date_order,
    )  # fmt: skip
    if cell.kind == "VARCHAR" and _are_plain(table, cell.sql):
        table.cells[column.name] = cell = Cell(f"{cell.sql}::timestamp", "TIMESTAMP")
        times = replace(times, column=cell.sql, kind=cell.kind)
    typed = cell.kind.startswith("TIMESTAMP") or cell.kind == "DATE"
    counted = "form, count(*) as n"
    found = [("moment", 1)] if typed else table.relation.project(f"{times.form} as form").aggregate(counted).fetchall()
    forms = {form: n for form, n in found if form}
    if not forms:
        table.read(column, f"try_cast({cell.sql}::varchar as timestamp)", "true")
        return
    form = max(forms, key=lambda f: (forms[f], f))
    if form == "small":
        shown = table.relation.project(cell.sql).limit(1).fetchall()[0][0]
        table.faults.append(
            f"{table.source}: column {table.written(column.name)} holds {shown!r}, which is too small for a moment "
            "since 1970 to be told from other numbers. Say what it counts: time_unit=s, or columns={day: "
            f"{table.written(column.name)}}}."
        )
        return
    if form == "slashed" and not times.order:
        first, second = times.parts()
        counted = f"count(*) filter ({first} > 12), count(*) filter ({second} > 12)"
        days_first, months_first = table.relation.aggregate(counted).fetchall()[0]
        if bool(days_first) == bool(months_first):
            shown = table.relation.project(cell.sql).limit(1).fetchall()[0][0]
            how = "in both orders" if days_first else "in either order"
            table.faults.append(
                f"{table.source}: column {table.written(column.name)} has dates such as {shown!r}, which can be read "
                f"{how} of day and month. Say which: date_order=day_first or date_order=month_first."
            )
            return
        times = replace(times, order="day_first" if days_first else "month_first")
    value = times.value(form)
    if typed and cell.kind in values.MOMENTS and _are_near(table, cell):
        table.times, table.form, table.time = times, form, "timestamp"
        table.read_plain(column, f"{cell.sql}::timestamp")
        _name_time(table, column)
        return
    days = f"({value})" if form == "day" else f"date_diff('day', date '1970-01-01', ({value})::date)"
    near = _near(table, days)
    table.times, table.form = times, form
    lost = values.shortened(cell.sql, cell.kind)
    table.read(column, value, lost if near is None else f"{lost} or {days} < {near[0]} or {days} > {near[1]}")
    table.time = "day" if form == "day" else "timestamp"
    _name_time(table, column)


def days_of_ends(table: Reader, column: Column) -> tuple[Any, Any] | None:
    """The days of the least and the largest time of a column that has a type; None where these two tell none."""
    cell = table.cells[column.name]
    if cell.kind == "VARCHAR":
        return None
    ends = table.relation.aggregate(f"min({cell.sql}) as a, max({cell.sql}) as b")
    two = Reader(
        ends.project(f"unnest([a, b]) as {name(column.name)}"), table.source, replace(table.reading, columns={})
    )
    read_time(two, column)
    if two.faults or not two.time:
        return None
    day = two.typed[two.time] if two.time == "day" else f"({two.typed[two.time]})::date"
    found = sorted(row[0] for row in two.relation.project(day).fetchall() if row[0] is not None)
    return (found[0], found[1]) if len(found) == 2 else None


def _are_plain(table: Reader, cell: str) -> bool:
    """Whether every cell is a moment without a zone as ISO 8601 writes it: told in one pass, which is fast."""
    looks = f"regexp_full_match({cell}, '\\d{{4}}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d:\\d\\d(\\.\\d{{1,6}})?')"
    every = f"bool_and(coalesce({looks} and try_cast({cell} as timestamp) is not null, false))"
    return bool(table.relation.aggregate(every).fetchall()[0][0])


def _name_time(table: Reader, column: Column) -> None:
    if table.time != column.name:
        table.typed[table.time] = table.typed.pop(column.name)
        table.hide(column.name)


def _are_near(table: Reader, cell: Cell) -> bool:
    """Whether all moments are finite and lie so close together that none is far from the others."""
    ends = table.relation.aggregate(f"min({cell.sql}) as a, max({cell.sql}) as b")
    close = f"coalesce(isfinite(a) and isfinite(b) and date_diff('day', a, b) <= {FAR_DAYS}, false)"
    return bool(ends.project(close).fetchall()[0][0])


def _near(table: Reader, days: str) -> tuple[int, int] | None:
    """The first and last day that are not far from the middle half of the log; None where there is no day."""
    counted = table.relation.aggregate(f"{days} as d, count(*) as n", days).filter("d is not null")
    halves = counted.project("d, n, sum(n) over (order by d) as upto, sum(n) over () as total")
    quarters = halves.aggregate("min(d) filter (upto >= .25 * total), min(d) filter (upto >= .75 * total)")
    low, high = quarters.fetchall()[0]
    if low is None:
        return None
    room = max(FAR_DAYS, 10 * (high - low))
    first, last = _range(counted, low - room, high + room)
    if last - first > MAX_DAYS:
        table.faults.append(
            f"{table.source}: its days run over {last - first:,}, more than the {MAX_DAYS:,} of ten years. "
            "Say what its times count with time_unit, or correct them."
        )
    return low - room, high + room


def _range(counted: duckdb.DuckDBPyRelation, low: int, high: int) -> tuple[int, int]:
    found = counted.filter(f"d between {low} and {high}").aggregate("min(d), max(d)").fetchall()[0]
    return int(found[0]), int(found[1])
