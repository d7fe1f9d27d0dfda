"""A log of one row an event, in which a click has a row beside that of the item shown, as one of one row an item."""

from dataclasses import replace

import duckdb

from recab_helpers.engine import literal
from recab_helpers.impressions import values
from recab_helpers.impressions.reader import Cell, Reader

NEARLY_ALL = 0.95  # of the clicks that have a row of the same item beside them
SOON = "30 minutes"  # after an item was shown it is clicked, where no slate tells


def fold_events(log: Reader) -> None:
    """Where clicks are told by words and nearly each has another row of its item: mark that row, and leave its own out.

    The rows belong together by user, slate, item, position and day. Without slates nobody can tell an impression and
    its click from two impressions, which is a fault.
    """
    words = [w for w in log.reading.click if w not in (values.POSITIVE, values.FILLED)]
    if not words or not {"user_id", "item_id", "clicked"} <= log.cells.keys() or log.time not in log.typed:
        return
    cell = log.cells["clicked"]
    flag, called = values.flag(cell.sql, cell.kind, log.reading.click), log.written("clicked")
    there = [log.cells[c].sql for c in ("user_id", "slate_id", "item_id", "position") if log.has(c)]
    keys = [*there, _day(log)]
    named = ", ".join(f"{k} as recab_key{i}" for i, k in enumerate(keys))
    if log.has("slate_id"):
        groups = log.relation.project(f"{named}, {flag} as recab_flag")
        groups = groups.aggregate("max(recab_flag) = 1 as clicked, min(recab_flag) = 0 as shown", _names(keys))
    else:
        groups = _with_one_before(log, there, flag)
    clicks, beside = groups.aggregate("count(*) filter (clicked), count(*) filter (clicked and shown)").fetchall()[0]
    empty = log.relation.filter(f"({flag}) is null").limit(1).fetchall()  # is refused as such
    if not clicks or beside < NEARLY_ALL * clicks or empty:
        return
    if not log.has("slate_id"):
        log.faults.append(
            f"{log.source}: {beside:,} of {clicks:,} rows of clicks come soon after a row of the same user and item "
            "that is none. Where every event has a row of its own, add slate_id, by which a click finds its "
            f"impression; where every row is an item shown, write {called} as 0 and 1."
        )
        return
    level = f"{cell.sql}::varchar"
    others = log.relation.filter(f"({flag}) = 0").project(f"{level} as w").distinct().order("w").limit(5).fetchall()
    if len(others) > 1:
        log.faults.append(
            f"{log.source}: clicks have rows of their own, and {called} also holds "
            f"{', '.join(str(o) for (o,) in others)}, of which only one can say that an item was shown. Leave the rows "
            "of the others out."
        )
        return
    clicked = log.relation.filter(f"({flag}) = 1").project(named).distinct().project("*, true as recab_click")
    clicked = clicked.set_alias("recab_clicks")
    same = " and ".join(f"{k} is not distinct from recab_key{i}" for i, k in enumerate(keys))
    out = f"* exclude ({_names(keys)})"
    log.change(lambda r: r.filter(f"({flag}) = 0").join(clicked, same, how="left").project(out))
    log.cells["clicked"] = Cell("coalesce(recab_click, false)", "BOOLEAN")
    log.reading = replace(log.reading, click=())
    said = ", ".join(map(literal, words))
    log.notes.append(f"rows of {log.source} whose {called} is {said} are clicks on items that have a row of their own")


def _day(log: Reader) -> str:
    return log.typed[log.time] if log.time == "day" else f"({log.typed[log.time]})::date"


def _with_one_before(log: Reader, keys: list[str], flag: str) -> duckdb.DuckDBPyRelation:
    """For every row, whether it is a click, and whether one alike that is none comes before it by less than SOON."""
    named = ", ".join(f"{k} as recab_key{i}" for i, k in enumerate(keys))
    rows = log.relation.project(f"{named}, {flag} as recab_flag, {log.typed[log.time]} as recab_time")
    last = "max(case when recab_flag = 0 then recab_time end)"
    over = f"(partition by {_names(keys)} order by recab_time, recab_flag)"
    rows = rows.project(f"recab_flag = 1 as clicked, recab_time, {last} over {over} as recab_last")
    near = "recab_time = recab_last" if log.time == "day" else f"recab_time - recab_last < interval {SOON}"
    return rows.project(f"clicked, coalesce({near}, false) as shown")


def _names(keys: list[str]) -> str:
    return ", ".join(f"recab_key{i}" for i in range(len(keys)))


def click_rows(log: Reader, keys: str) -> tuple[int, int]:
    """Of a typed log, groups of rows alike in these columns that have a click, and those that have one without too."""
    groups = log.frame().aggregate("max(clicked) = 1 as c, min(clicked) = 0 as s", keys)
    return groups.aggregate("count(*) filter (c), count(*) filter (c and s)").fetchall()[0]
