"""A log of one row a slate, with lists of its items and clicks, as one of one row an item shown."""

from recab_helpers.engine import literal
from recab_helpers.impressions import values
from recab_helpers.impressions.reader import Cell, Reader


def unfold(log: Reader) -> None:
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
