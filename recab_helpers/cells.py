"""What the cells of a text say: whole numbers, moments and numbers where every one is written as such."""

from collections.abc import Sequence

import duckdb

from recab_helpers.engine import engine, literal, name, spare_file
from recab_helpers.errors import DataError

SAMPLE_ROWS = 1_000  # of a text that tell which of its columns may be numbers
WHOLE, PARTED = "[-+]?\\d{1,3}", "[-+]?[1-9]\\d{0,2}[.]\\d{3}"  # 999 and 1.234
MOST_WORDS = 1_000  # of a column and a piece of its rows, that are held as a dictionary


def held(relation: duckdb.DuckDBPyRelation, times: Sequence[str]) -> duckdb.DuckDBPyRelation:
    """The relation computed once, in a Parquet file that is gone when the process ends: text is parsed but once.

    A column whose first cells are written as a whole number is, "7" and not "007" or "+7", is held as numbers, which
    says the same in a tenth of the time; one of `times` as moments where they are in ISO 8601 without a zone. A cell
    further down that is written otherwise ends the pass, and its column is held as text in the next.
    """
    copy = spare_file(".parquet")
    texts = [c for c, kind in zip(relation.columns, relation.types, strict=True) if str(kind) == "VARCHAR"]
    may_be = [(c, "bigint") for c in texts] + [(c, "timestamp") for c in texts if c in times]
    told = [f"count({name(c)}) > 0 and bool_and({_is_written(c, kind)} or {name(c)} is null)" for c, kind in may_be]
    some = _cast(relation.limit(SAMPLE_ROWS), may_be).aggregate(", ".join(told)).fetchall()[0] if told else ()
    typed = dict(column for column, yes in zip(may_be, some, strict=True) if yes)
    while True:
        odd = {c: f"recab_odd{i}_" for i, c in enumerate(typed)}
        read = {c: f"case when {_is_written(c, kind)} then {_value(c, kind)}" for c, kind in typed.items()}
        read = {c: f"{v} when {name(c)} is not null then error('{odd[c]}') end as {name(c)}" for c, v in read.items()}
        columns = ", ".join(read.get(c, name(c)) for c in relation.columns)
        asked = _cast(relation, list(typed.items())).project(columns).sql_query()
        try:
            engine().execute(f"copy ({asked}) to {literal(copy)} (format parquet, dictionary_size_limit {MOST_WORDS})")
            return engine().read_parquet(str(copy))
        except duckdb.Error as error:
            left = {c: kind for c, kind in typed.items() if odd[c] not in str(error)}
            if len(left) == len(typed):
                raise
            typed = left


def _value(column: str, kind: str) -> str:
    return name(f"recab_{kind} {column}")


def _cast(relation: duckdb.DuckDBPyRelation, typed: Sequence[tuple[str, str]]) -> duckdb.DuckDBPyRelation:
    """The relation with the `_value` of each of these columns in its type, null where it has none."""
    return relation.project(", ".join(["*", *(f"try_cast({name(c)} as {k}) as {_value(c, k)}" for c, k in typed)]))


def _is_written(column: str, kind: str) -> str:
    """SQL of whether a cell is written as its value is, so that nothing is lost with the text."""
    same = f"{_value(column, kind)}::varchar = {name(column)}"
    return (
        f"({same} or ({_value(column, kind)} is not null and {_is_plain(name(column))}))"
        if kind == "timestamp"
        else same
    )


def _is_plain(cell: str) -> str:
    """SQL of whether a cell is a moment without a zone as ISO 8601 writes it."""
    return f"regexp_full_match({cell}, '\\d{{4}}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d:\\d\\d(\\.\\d{{1,6}})?')"


def as_number(cell: str) -> str:
    """SQL of the number that a text writes; a comma is before its decimals where it cannot part thousands (1,234)."""
    point = f"regexp_replace(trim({cell}), '^([-+]?\\d+),(\\d{{1,2}}|\\d{{4,}})$', '\\1.\\2')"
    return f"try_cast({point} as double)"


def all_numbers(relation: duckdb.DuckDBPyRelation, cells: Sequence[str]) -> set[str]:
    """Of these cells of text, in SQL, those that are finite numbers in every row, and no codes that begin with 0."""
    tests = []
    for cell in cells:
        fine = f"isfinite({as_number(cell)}) and not regexp_matches(trim({cell}), '^0\\d')"
        tests.append(f"bool_and({cell} is null or coalesce({fine}, false)) and count({cell}) > 0")
    found = relation.aggregate(", ".join(tests)).fetchall()[0] if tests else ()
    return {c for c, yes in zip(cells, found, strict=True) if yes}


def with_thousands(relation: duckdb.DuckDBPyRelation, cells: Sequence[str]) -> dict[str, str]:
    """Of these cells of text, in SQL, those whose rows are 999 or 1.234 and nothing else, and what is wrong with each.

    The point may part thousands there, as German writes them, or stand before three decimals. Decimals would end
    otherwise now and then, 1.5, and a value below one would be met.
    """
    sample = _parted(relation.limit(SAMPLE_ROWS), cells)
    may_be = [c for c, (only, _, _) in zip(cells, sample, strict=True) if only]
    found = zip(may_be, _parted(relation, may_be), strict=True)
    return {
        c: f"{value!r} beside whole numbers, which may be {value.replace('.', '')} or have three decimals. Write it "
        "without a point, or all with decimals."
        for c, (only, whole, value) in found
        if only and whole and value
    }


def _parted(rows: duckdb.DuckDBPyRelation, cells: Sequence[str]) -> list[tuple[bool, bool, str]]:
    """Of each cell: whether it is WHOLE or PARTED in all rows, whether it is WHOLE in one, and a PARTED value."""
    whole, parted = (lambda c, of=of: f"regexp_full_match(trim({c}), '{of}')" for of in (WHOLE, PARTED))
    asked = [
        f"bool_and({c} is null or {whole(c)} or {parted(c)}), bool_or({whole(c)}), min({c}) filter ({parted(c)})"
        for c in cells
    ]
    told = rows.aggregate(", ".join(asked)).fetchall()[0] if asked else ()
    return list(zip(told[::3], told[1::3], told[2::3], strict=True))


def refuse_swallowed_rows(relation: duckdb.DuckDBPyRelation, source: str) -> None:
    """Refuse a text file in which one cell holds whole rows: a quote was opened and closed much later."""
    texts = [name(c) for c, kind in zip(relation.columns, relation.types, strict=True) if str(kind) == "VARCHAR"]
    few = len(relation.columns) - 1
    if not texts or not few:
        return
    lines = relation.filter(" or ".join(f"contains({c}, chr(10))" for c in texts))  # few, if any
    divided = [f"length(regexp_replace({c}, '[^,;|\t]', '', 'g'))" for c in texts]
    held = [f"contains({c}, chr(10)) and {d} >= {few}" for c, d in zip(texts, divided, strict=True)]
    found = lines.aggregate(", ".join(f"count(*) filter ({h})" for h in held)).fetchall()[0]
    for column, condition, n in zip(texts, held, found, strict=True):
        if n:
            value = relation.filter(condition).project(column).limit(1).fetchall()[0][0]
            raise DataError(
                f"{source}: a cell of the column {column} holds whole rows, from {value[:40]!r} on: a quote that opens "
                "there ends in another row. Close it, or write quotes inside a quoted cell doubled."
            )
