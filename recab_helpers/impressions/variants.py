"""Which variants a table holds, by their own names but for the control."""

from collections.abc import Iterable, Mapping

from recab_helpers.engine import literal
from recab_helpers.errors import ParameterError, closest
from recab_helpers.impressions import values
from recab_helpers.impressions.contract import Column
from recab_helpers.impressions.reader import Reader
from recab_helpers.references import CONTROL, POSITION_IN, in_order

MAX_VARIANTS = 50


def read_variants(table: Reader, column: Column, *, pilot: bool = False) -> None:
    """Read the variants, with the control called CONTROL; two spellings of one are a fault."""
    cell, reading = table.cells["variant"], table.reading
    value = values.identity(cell.sql, cell.kind)
    of_test = table.relation.filter(f"not {table.exempt}") if table.exempt else table.relation
    found = of_test.aggregate(f"{value} as v", value).filter("v is not null").order("v").limit(MAX_VARIANTS + 1)
    names = [row[0] for row in found.fetchall()]
    if len(names) > MAX_VARIANTS:
        table.faults.append(
            f"{table.source}: variant holds more than {MAX_VARIANTS} values, such as {', '.join(names[:3])}. Say "
            "which column it is: columns={variant: NAME}."
        )
        return
    alike: dict[str, list[str]] = {}
    for one in names:
        alike.setdefault(" ".join(one.split()).casefold(), []).append(one)
    if twice := [two for two in alike.values() if len(two) > 1]:
        said = " and ".join(repr(one) for two in twice for one in two)
        table.faults.append(
            f"{table.source}: variant holds {said}, which differ only by case or blanks. Write one of them."
        )
        return
    key = " ".join((reading.control or CONTROL).split()).casefold()
    control = alike.get(key, [""])[0]
    if reading.control and not control:
        table.faults.append(
            f"control is {reading.control!r}, but variant holds {', '.join(names)}.{closest(reading.control, names)}"
        )
        return
    if control != CONTROL and control:
        if CONTROL in names:
            table.faults.append(
                f"control is {reading.control!r}, but variant also holds {CONTROL}. Rename one of the two."
            )
            return
        value = f"case when {value} = {literal(control)} then '{CONTROL}' else {value} end"
        names = [CONTROL if n == control else n for n in names]
        if (there := table.cells.pop(f"{POSITION_IN}{control}", None)) is not None:
            ours, theirs = f"{POSITION_IN}{CONTROL}", table.written(f"{POSITION_IN}{control}")
            table.cells[ours], table.theirs[ours] = there, theirs
        if control.strip() != CONTROL:
            table.notes.append(f"control is what {table.source} calls {control.strip()}")
    if any(n != n.strip() for n in names):
        value, names = f"trim({value})", [n.strip() for n in names]
    table.variants = in_order(names)
    if names and not pilot and (not control or len(names) < 2):
        other = next((n for n in names if n != CONTROL), "NAME")
        teams = "" if "team" not in table.cells else " Of interleaved slates: design=interleaved."
        way = f"Name the one that users had before: control={other}." if not control and len(names) > 1 else ""
        table.faults.append(
            f"{table.source}: variant holds {', '.join(names)}; it needs {CONTROL} and at least one "
            f"treatment. {way or 'Give the log of all variants.'}{teams}"
        )
    if cell.kind != "VARCHAR" or not table.read_plain(column, value, "= ''"):
        table.read(column, value)


def refuse_unplanned(planned: Mapping[str, float], variants: Iterable[str]) -> None:
    """Refuse planned shares of users that leave out one of these variants; without any there is no plan.

    Raises:
        ParameterError: one is left out.
    """
    if planned and (missing := [v for v in variants if v not in planned]):
        raise ParameterError(
            f"allocation plans {', '.join(planned)}, but the log also holds {missing[0]}."
            f"{closest(missing[0], list(planned))} Give the share of every variant."
        )
