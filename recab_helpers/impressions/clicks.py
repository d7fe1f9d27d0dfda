"""Clicks in a table of their own, joined to the impressions that they are of."""

import narwhals as nw

from recab_helpers.impressions import values
from recab_helpers.impressions.kept import here
from recab_helpers.impressions.reader import Cell, Reader
from recab_helpers.impressions.reading import Reading
from recab_helpers.impressions.sources import Table, opened

CLICK_KEYS = ("slate_id", "user_id", "item_id", "position")  # what an impression and its click share


def join_clicks(log: Reader, clicks: Table) -> None:
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
