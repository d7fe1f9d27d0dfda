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
    elif clicked is not None and (sep := _flags_apart(log, clicked)):
        items, marked = (f"string_split({c.sql}, {literal(sep)})" for c in (item, clicked))
    else:
        return
    if clicked is not None and not marked:
        lists = clicked.sql
        if not clicked.kind.endswith("[]"):
            lists = f"nullif(trim({clicked.sql}::varchar), '')"
            lists = (
                _of_text(log, lists)
                if _has(log, lists, "^\\[")
                else f"case when {lists} is not null then [{lists}] end"
            )
        lists = f"list_transform(coalesce({lists}, []), lambda x: x::varchar)"
        flags = ", ".join(map(literal, (*values.YES, *values.NO)))
        each = f"len({lists}) = len({items}) and len(list_filter({lists}, lambda x: lower(x) not in ({flags}))) = 0"
        found = log.relation.aggregate(f"count(*) filter (not ({each}))").fetchall()[0][0]
        marked = lists if not found else f"list_transform({items}, lambda x: list_contains({lists}, x)::varchar)"
        if found and not _are_of_slates(log, lists, items):
            return
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


def _are_of_slates(log: Reader, lists: str, items: str) -> bool:
    """Whether the clicked items are those of their slates; a fault where most are not, and a note where some are."""
    rest = f"len(list_filter({lists}, lambda x: not list_contains({items}, x)))"
    odd, n = log.relation.aggregate(f"sum({rest}), sum(len({lists}))").fetchall()[0]
    if not odd:
        return True
    called = log.written("clicked")
    if odd < n / 2:
        log.notes.append(f"{odd:,} values of {called} are of no item of their slate, and are left out")
        return True
    value = log.relation.filter(f"{rest} > 0").project(f"{lists}::varchar").limit(1).fetchall()[0][0]
    log.faults.append(
        f"{log.source}: column {called} holds {value}, which is no item of its slate ({odd:,} of {n:,} are none). Name "
        "the items that were clicked, or give 0 and 1 for each item shown."
    )
    log.cells["clicked"] = Cell("false", "BOOLEAN")  # nothing more is wrong with it
    return False


def _flags_apart(log: Reader, clicked: Cell) -> str:
    """What stands between the 0 and 1 that text has for each item of a slate; empty where it holds no such lists."""
    if clicked.kind != "VARCHAR":
        return ""
    for sep in ("|", ",", ";", " "):
        if not _all_are(log, clicked.sql, f"[01]([{sep}][01])*", among=f"[{sep}]"):
            continue
        items, marks = (f"len(string_split({log.cells[c].sql}, {literal(sep)}))" for c in ("item_id", "clicked"))
        odd = f"count(*) filter (({items} = {marks}) is not true)"
        first = log.relation.limit(1000).aggregate(odd).fetchall()[0][0]
        if first:  # numbers with decimals, perhaps
            continue
        if n := log.relation.aggregate(odd).fetchall()[0][0]:
            log.faults.append(
                f"{log.source}: in {n:,} rows the lists of {log.written('item_id')} and {log.written('clicked')} are "
                "not equally long. Give 0 or 1 for each item shown."
            )
        return sep
    return ""


def _of_text(log: Reader, cell: str) -> str:
    """SQL of the lists that text holds, as JSON writes them, or as Python does where no item has a quote."""
    if _all_are(log, cell, r"[^'\"]*('[^'\"]*'[^'\"]*)+|\s*\[\s*\]\s*"):
        cell = f"replace({cell}, '''', '\"')"
    return f"from_json({cell}, '[\"VARCHAR\"]')"


def _all_are(log: Reader, cell: str, pattern: str, among: str = r"[ \[]") -> bool:
    """Whether the first thousand cells look so, and one has several words or brackets."""
    some = log.relation.project(f"{cell} as c").limit(1000)
    told = f"bool_and(regexp_full_match(c, {literal(pattern)})), bool_or(regexp_matches(c, {literal(among)}))"
    return all(some.aggregate(told).fetchall()[0])


def _has(log: Reader, cell: str, pattern: str) -> bool:
    """Whether one of the first thousand cells has this."""
    some = log.relation.project(f"{cell} as c").limit(1000)
    return bool(some.aggregate(f"bool_or(regexp_matches(c, {literal(pattern)}))").fetchall()[0][0])
