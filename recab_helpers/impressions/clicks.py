"""Clicks in a table of their own, joined to the impressions that they are of."""

from collections.abc import Mapping
from dataclasses import replace

from recab_helpers.impressions import values
from recab_helpers.impressions.kept import here
from recab_helpers.impressions.reader import Cell, Reader
from recab_helpers.impressions.reading import Reading
from recab_helpers.impressions.sources import Table, opened
from recab_helpers.impressions.words import propose

CLICK_KEYS = ("slate_id", "user_id", "item_id", "position")  # what an impression and its click share


def join_clicks(log: Reader, clicks: Table, columns: Mapping[str, str]) -> None:
    """Mark the impressions that stand in a table of clicks as clicked; `columns` are those of both.

    Where the table says of its rows which are clicks, the others are left out.
    """
    frame, source = opened(clicks)
    names = frame.collect_schema().names()
    theirs = {ours: one for ours, one in columns.items() if one in names}
    other = Reader(here(frame).to_native(), source, Reading(columns=theirs))
    log.cells["clicked"] = Cell("false", "BOOLEAN")
    if not _keep_clicks(log, other):
        return
    keys = [k for k in CLICK_KEYS if log.has(k) and other.has(k)]
    if "slate_id" not in keys or not {"item_id", "position"} & set(keys):
        log.faults.append(
            f"{source} and {log.source} share no slate_id with item_id or position, by which a click finds its "
            f"impression; {source} has {', '.join(other.cells)}. Say which they are: columns={{slate_id: NAME}}."
        )
        return
    cells = [(log.cells[k], other.cells[k]) for k in keys]
    named = ", ".join(f"{values.identity(c.sql, c.kind)} as recab_key{i}" for i, (_, c) in enumerate(cells))
    found = other.relation.project(named).distinct().project("*, true as recab_click")
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
    log.reading = replace(log.reading, click=())


def _keep_clicks(log: Reader, other: Reader) -> bool:
    """Keep of the table only what is a click; whether nothing was wrong with it."""
    if not other.relation.limit(1).fetchall():
        log.faults.append(f"{other.source} has no rows. Give the clicks, at least one.")
        return False
    if not other.has("clicked"):
        events = propose(list(other.cells), ["clicked"]).get("clicked")
        levels = other.relation.project(f"{other.cells[events].sql}::varchar as w").distinct() if events else None
        several = levels.order("w").limit(5).fetchall() if levels else []
        if len(several) > 1:
            log.faults.append(
                f"{other.source} holds rows whose {events} is {', '.join(str(w) for (w,) in several)}. Say which are "
                f"clicks: columns={{clicked: {events}}} click=[{several[0][0]}]."
            )
        return len(several) <= 1
    cell = other.cells["clicked"]
    flag = values.flag(cell.sql, cell.kind, log.reading.click)
    if odd := other.relation.filter(f"({flag}) is null").project(cell.sql).limit(1).fetchall():
        log.faults.append(
            f"{other.source}: column {other.written('clicked')} holds {odd[0][0]!r}; it must be 0 or 1, or one of the "
            "values that are a click: click=[VALUE]."
        )
        return False
    other.change(lambda r: r.filter(f"({flag}) = 1"))
    return True
