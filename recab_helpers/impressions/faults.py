"""Cells that are not what their columns must be: how many, which is the first, and the way out."""

from recab_helpers.engine import literal
from recab_helpers.impressions import values
from recab_helpers.impressions.contract import KINDS
from recab_helpers.impressions.reader import Reader
from recab_helpers.tables import FILE_NAME


def check_cells(table: Reader) -> None:
    """Count the cells that break their columns, in one pass where a file's statistics do not tell.

    The first of each column is a fault, with its row, value and the way out; where bad rows are to be dropped, only of
    a column that breaks in half of the rows or more.
    """
    plain = {c: table.relation.filter(table.bad[c]).aggregate("count(*)") for c in table.bad if c in table.plain}
    found = {c: one.fetchall()[0][0] for c, one in plain.items()}
    others = [c for c in table.bad if c not in plain]
    counted = [f"count(*) filter ({table.bad[c]})" for c in others]
    n, *bad = table.relation.aggregate(", ".join(["count(*)", *counted])).fetchall()[0]
    found |= dict(zip(others, bad, strict=True))
    table.n = n
    if not n:
        table.faults.append(f"{table.source} has no rows. Give at least one.")
    for column in table.bad:
        broken = found[column]
        if broken and not (table.reading.drop_bad_rows and broken < n / 2):
            table.faults.append(_fault(table, column, int(broken)))


def _fault(table: Reader, column: str, n: int) -> str:
    cell = table.cells[column]
    lying = rows = table.whole.project("*, row_number() over () as recab_row")
    for step in table.steps:
        rows = step(rows)
    bad = rows.filter(table.bad[column]).project(f"{cell.sql}, recab_row")
    value, row = bad.order("recab_row").limit(1).fetchall()[0]
    where, many = f"in row {row}", f" ({n:,} such rows)" if n > 1 else ""
    if FILE_NAME in lying.columns:
        file = lying.filter(f"recab_row = {row}").project(FILE_NAME).fetchall()[0][0]
        above = lying.filter(f"recab_row <= {row} and {FILE_NAME} = {literal(file)}").aggregate("count(*)")
        where = f"in row {above.fetchall()[0][0]} of {file}"
    called = table.written(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        way = f"Fill or drop these rows{table.way}"
        if table.kinds[column] == "flag":
            way = f"Where empty says that there was no click, say click=[{values.FILLED}]. {way}"
        return f"{table.source}: column {called} is empty {where}{many}. {way}."
    if isinstance(value, (bytes, memoryview)):
        value = bytes(value)
    must, way = f"it must be {KINDS[table.kinds[column]]}", f"Correct or drop these rows{table.way}."
    if table.kinds[column] in ("time", "day"):
        must = _odd_time(table, column, must)
    elif table.kinds[column] == "id":
        must, way = "an id of so many digits was rounded there", "Export it as text or as a whole number."
    elif table.kinds[column] == "flag":
        way = f"Say what is a click, click=[positive] for a number above 0, or click=[VALUE]. {way}"
    shown = str(value) if not isinstance(value, (str, bytes, int, float)) else repr(value)
    return f"{table.source}: column {called} holds {shown} {where}{many}; {must}. {way}"


def _odd_time(table: Reader, column: str, must: str) -> str:
    times = table.times
    if times is None:
        return must
    form = table.relation.filter(table.bad[column]).project(times.form).limit(1).fetchall()[0][0]
    if form is None:
        return must
    short = values.shortened(times.column, times.kind)
    if table.relation.filter(f"{table.bad[column]} and {short}").limit(1).fetchall():
        return "it was rounded there, as a spreadsheet shows a long number: export it as text or as a date"
    if form != table.form:
        return f"it is {values.WORDS[form]}, where the others are {values.WORDS[table.form]}"
    return "it is far from all others"
