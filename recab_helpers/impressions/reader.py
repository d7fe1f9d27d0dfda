"""A table on its way to the columns of the contract: which of its own is which, and what their cells say."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import duckdb

from recab_helpers.cells import with_thousands
from recab_helpers.engine import literal, name
from recab_helpers.errors import DataError, closest
from recab_helpers.impressions import values
from recab_helpers.impressions.contract import Column, Kind, together
from recab_helpers.impressions.counting import Counted
from recab_helpers.impressions.reading import Reading
from recab_helpers.impressions.words import AN_ID, SYNONYMS, propose
from recab_helpers.references import POSITION_IN

OR = {"timestamp": " (or day)"}  # what may stand instead
FIRST_ROWS = 100  # of a text that tell whether it holds fields


Step = Callable[[duckdb.DuckDBPyRelation], duckdb.DuckDBPyRelation]


@dataclass(frozen=True)
class Cell:
    """A column as it lies: its name in SQL and its type."""

    sql: str
    kind: str


class Reader:
    """A relation on its way: which of its columns is which, and every fault that was found so far."""

    def __init__(
        self,
        relation: duckdb.DuckDBPyRelation,
        source: str,
        reading: Reading,
        *,
        way: str = "",
        whole_ids: bool = False,
    ):
        self.whole_ids = whole_ids  # ids that are whole numbers stay so: they are counted in half the time
        self.relation, self.source, self.reading = relation, source, reading
        self.whole, self.steps = relation, list[Step]()  # as it lies, and what was done to it since
        self.way = way  # out of a bad row, by a parameter
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.typed: dict[str, str] = {}  # SQL of the value, by name
        self.bad: dict[str, str] = {}  # SQL of where it breaks its column
        self.plain: set[str] = set()  # columns whose `bad` compares the cell as it lies: a file's statistics may tell
        self.kinds: dict[str, Kind] = {}
        self.exempt = ""  # rows in which a variant need not stand
        self.form = ""  # of the times: one of values.WORDS
        self.times: values.Times | None = None
        self.variants: tuple[str, ...] = ()
        self.n = 0
        self.counted: Counted | None = None  # the rows of the test
        self.time = ""  # which column of the frame tells the days: timestamp, or day where days are counted
        self.hidden: set[str] = set()
        self._find()

    def _find(self) -> None:
        there = dict(zip(self.relation.columns, map(str, self.relation.types), strict=True))
        self.there = tuple(there)
        self.cells = {n: Cell(name(n), kind) for n, kind in there.items()}
        self.theirs = {}
        self.cells |= {t: f for t in self.reading.columns.values() if t not in there and (f := self._field(t, there))}
        for ours, theirs in self.reading.columns.items():
            if theirs not in self.cells:
                self.faults.append(
                    f"columns says that {ours} is {theirs}, which {self.source} lacks; it has {', '.join(there)}."
                    f"{closest(theirs, there)}"
                )
                continue
            self.theirs[ours] = theirs
        mapped = {ours: self.cells[theirs] for ours, theirs in self.theirs.items()}
        used = set(self.theirs.values())
        self.cells = {n: c for n, c in self.cells.items() if n not in used} | mapped

    def _field(self, theirs: str, there: Mapping[str, str]) -> Cell | None:
        """The field of a column that holds several, named with a point: user.id; None where there is none."""
        column, _, field = theirs.partition(".")
        if not field or column not in there:
            return None
        sql = f"{name(column)}.{name(field)}"
        if there[column] in ("VARCHAR", "JSON"):
            path = literal(f'$."{field}"')
            sql = f"json_extract_string(case when json_valid({name(column)}) then {name(column)} end, {path})"
            first = self.relation.limit(FIRST_ROWS).aggregate(f"count({sql})").fetchall()[0][0]
            return Cell(sql, "VARCHAR") if first else None
        if there[column].startswith("STRUCT("):
            with suppress(duckdb.Error):  # has no such field
                return Cell(sql, str(self.relation.project(f"{sql} as f").types[0]))
        return None

    def change(self, step: Step) -> None:
        """Change the relation by a step that keeps its other columns, so that rows can be numbered as they lie."""
        self.relation = step(self.relation)
        self.steps.append(step)

    def has(self, column: str) -> bool:
        """Whether the table has the column, by its own name or by mapping."""
        return column in self.cells

    def written(self, column: str) -> str:
        """What the table itself calls the column."""
        return self.theirs.get(column, column)

    def may_be_ids(self) -> list[str]:
        """Columns that may hold the ids of users, by their names."""
        named = [c for c in self.cells if AN_ID.search(c) and c not in (*SYNONYMS, "experiment")]
        return list(dict.fromkeys([*propose(list(self.cells), ["user_id"]).values(), *named]))

    def require(self, columns: Sequence[str]) -> None:
        """A fault for every column that is not there, with the one that it may be called."""
        missing = [c for c in columns if not self.has(c) and c not in self.reading.columns]
        if not missing:
            return
        guesses = propose(list(self.cells), missing)
        if "user_id" in missing and "user_id" not in guesses and (ids := self.may_be_ids()):
            guesses = {"user_id": ids[0]} | guesses
        which = ", ".join(f"{ours}: {theirs}" for ours, theirs in guesses.items()) or f"{missing[0]}: NAME"
        lacks, has = ", ".join(m + OR.get(m, "") for m in missing), ", ".join(self.there)
        self.faults.append(
            f"{self.source} lacks the column {lacks}; it has {has}. "
            f"Rename or add the column, or say which one it is: columns={{{which}}}."
        )

    def read(self, column: Column, value: str, bad: str = "") -> None:
        """Read the column as this SQL says; `bad` is where the value breaks it, beside where it is null."""
        cell = self.cells[column.name]
        empty = f"{cell.sql} is null" + (f" or trim({cell.sql}) = ''" if cell.kind == "VARCHAR" else "")
        broken = f"{value} is null" + (f" or ({bad})" if bad else "")
        if not column.required:
            broken = f"not ({empty}) and ({broken})"
        if self.exempt and (column.name == "variant" or column.kind == "place"):
            broken = f"({broken}) and not {self.exempt}"
        self.typed[column.name], self.bad[column.name] = value, f"coalesce({broken}, true)"
        self.kinds[column.name] = column.kind

    def read_plain(self, column: Column, value: str, *bounds: str) -> bool:
        """Read a column of whole numbers, words or moments whose cells break it where empty or out of these bounds."""
        if not column.required or (self.exempt and column.name == "variant"):
            return False
        cell = self.cells[column.name].sql
        self.read(column, value)
        self.bad[column.name] = " or ".join([f"{cell} is null", *(f"{cell} {b}" for b in bounds)])
        self.plain.add(column.name)
        return True

    def read_kind(self, column: Column) -> None:
        """Read a column whose kind alone says how."""
        cell = self.cells[column.name]
        v, first = values.number(cell.sql, cell.kind), 1
        if column.kind == "rank" and self._begins_at_zero(v):
            self.notes.append(f"{self.source} counts positions from 0: they are read as from 1")
            v, first = f"({v} + 1)", 0
        if values.is_whole(cell.kind):
            if column.kind == "id" and self.whole_ids and self.read_plain(column, cell.sql):
                return
            if column.kind == "rank" and self.read_plain(column, v, f"< {first}", f"> {values.LARGEST_RANK}"):
                return
            if column.kind == "flag" and not self.reading.click and self.read_plain(column, v, "< 0", "> 1"):
                return
        if column.kind == "id":
            if column.name == "user_id" and cell.kind == "VARCHAR":
                self._refuse_blanks(column, cell)
            lost = values.rounded(cell.sql, cell.kind)
            self.read(column, values.identity(cell.sql, cell.kind), "" if lost == "false" else lost)
        elif column.kind == "text":
            self.typed[column.name] = f"{cell.sql}::varchar"
        elif column.kind == "flag":
            self._check_words(column, cell)
            self.read(column, values.flag(cell.sql, cell.kind, self.reading.click))
        elif column.kind == "rank":
            self.read(column, v, f"not isfinite({v}) or {v} < 1 or {v} != round({v}) or {v} > {values.LARGEST_RANK}")
        elif column.kind == "place":
            there = f"{self.typed['variant']} = {literal(column.name.removeprefix(POSITION_IN))}"
            elsewhere = f"({there} and {v} != {self.typed['position']})"
            if self.reading.design in ("interleaved", "off_policy"):  # what is shown is no variant's own slate
                elsewhere = "false"
            self.read(column, v, f"not isfinite({v}) or {v} < 0 or {v} != round({v}) or {elsewhere}")
        elif column.kind in ("count", "number") and (odd := self._with_thousands(cell)):
            self.typed[column.name] = v
            self.faults.append(f"{self.source}: column {self.written(column.name)} holds {odd}")
        elif column.kind == "count":
            self.read(column, v, f"not isfinite({v}) or {v} < 0")
        elif column.kind == "chance":
            self.read(column, v, f"not isfinite({v}) or {v} <= 0 or {v} > 1")
        else:
            self.read(column, v, f"not isfinite({v})")

    def _begins_at_zero(self, v: str) -> bool:
        """Whether ranks count from 0: where they do, no fewer items stand at 0 than at 1.

        Where the slates of all variants are told, 0 says that an item is in none.
        """
        if any(c.startswith(POSITION_IN) for c in self.cells) or self.relation.aggregate(f"min({v})").fetchall() != [
            (0,)
        ]:
            return False
        zeros, ones = self.relation.aggregate(", ".join(f"count(*) filter ({v} = {k})" for k in (0, 1))).fetchall()[0]
        return 0 < ones <= zeros

    def _refuse_blanks(self, column: Column, cell: Cell) -> None:
        """A fault where ids differ by the blanks around them only: one user would be two."""
        if not self.relation.filter(f"{cell.sql} != trim({cell.sql})").limit(1).fetchall():
            return
        spelled = self.relation.aggregate(f"trim({cell.sql}) as id, min({cell.sql}) as a, max({cell.sql}) as b", "id")
        for one, other in spelled.filter("a != b").order("id").project("a, b").limit(1).fetchall():
            self.faults.append(
                f"{self.source}: column {self.written(column.name)} holds {one!r} and {other!r}, which differ only by "
                "the blanks around them. Write each in one way."
            )

    def _check_words(self, column: Column, cell: Cell) -> None:
        """A fault where no row holds any of the words that are a click: a misspelled one would be no click at all."""
        words = self.reading.click
        if not words or {values.POSITIVE, values.FILLED} & {*words}:
            return
        flag = values.flag(cell.sql, cell.kind, words)
        if not self.relation.filter(f"({flag}) = 1").limit(1).fetchall():
            level = f"{cell.sql}::varchar"
            some = self.relation.project(f"{level} as w").distinct().filter("w is not null").order("w").limit(8)
            there = [w for (w,) in some.fetchall()]
            self.faults.append(
                f"{self.source}: click is {', '.join(words)}, but column {self.written(column.name)} holds "
                f"{', '.join(there) or 'nothing'}.{closest(words[0], there)}"
            )

    def _with_thousands(self, cell: Cell) -> str:
        return with_thousands(self.relation, [cell.sql]).get(cell.sql, "") if cell.kind == "VARCHAR" else ""

    def keep_only(self) -> None:
        """Only the rows that are asked for, and of one experiment."""
        wanted = dict(self.reading.only)
        for column, value in wanted.items():
            if not self.has(column):
                self.faults.append(f"only names {column}, which {self.source} lacks; it has {', '.join(self.cells)}.")
                continue
            cell = self.cells[column]
            kept = f"{values.identity(cell.sql, cell.kind)} = {literal(value)}"
            if not self.relation.filter(kept).limit(1).fetchall():
                levels = self._levels(column)
                self.faults.append(f"{self.source} has no row in which {column} is {value!r}; it holds {levels}.")
                continue
            self.change(partial(_filtered, by=kept))
        if self.has("experiment") and "experiment" not in wanted:
            cell = self.cells["experiment"]
            if self.relation.project(cell.sql).distinct().limit(2).aggregate("count(*)").fetchall()[0][0] > 1:
                self.faults.append(
                    f"{self.source} holds several experiments, {self._levels('experiment')}. Name one: "
                    "only={experiment: NAME}."
                )

    def _levels(self, column: str) -> str:
        cell = self.cells[column]
        found = self.relation.aggregate(f"{values.identity(cell.sql, cell.kind)} as v, count(*) as n", cell.sql)
        return ", ".join(repr(r[0]) for r in found.order("n desc").limit(8).fetchall())

    @property
    def any_bad(self) -> str:
        """SQL of where a row breaks any of its columns."""
        return " or ".join(f"({b})" for b in self.bad.values())

    def hide(self, column: str) -> None:
        """Leave the column out of the frame."""
        self.hidden.add(column)

    def refuse(self) -> None:
        """Raise what is wrong, all of it in one answer.

        Raises:
            DataError: there is a fault.
        """
        if self.faults:
            raise DataError(together(self.faults, self.source))

    def frame(self) -> duckdb.DuckDBPyRelation:
        """The typed columns, and as they lie those that nobody has read."""
        rest = [c for c in self.cells if c not in self.typed and c not in self.hidden]
        chosen = [f"{v} as {name(c)}" for c, v in self.typed.items()]
        chosen += [f"{self.cells[c].sql} as {name(c)}" for c in rest]
        kept = self.relation
        if self.reading.drop_bad_rows and self.bad:
            kept = kept.filter(f"not ({self.any_bad})")
        return kept.project(", ".join(chosen))


def _filtered(relation: duckdb.DuckDBPyRelation, *, by: str) -> duckdb.DuckDBPyRelation:
    return relation.filter(by)
