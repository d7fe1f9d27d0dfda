"""From a table in its owner's words to the columns of the contract: what is which, and what every cell says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import duckdb
import narwhals as nw

from recab_helpers.cells import all_numbers
from recab_helpers.engine import literal, name
from recab_helpers.errors import DataError, closest
from recab_helpers.impressions import values
from recab_helpers.impressions.contract import KINDS, Column, Kind, together
from recab_helpers.impressions.counting import Counted
from recab_helpers.impressions.words import AN_ID, SYNONYMS, propose
from recab_helpers.parameters import ReadParams
from recab_helpers.references import CONTROL, POSITION_IN, in_order
from recab_helpers.tables import FILE_NAME

MAX_DAYS = 3_660  # of a log; ten years are no test
FAR_DAYS = 366  # from the middle half of the log, that a row may at least lie
MAX_VARIANTS = 50
OR = {"timestamp": " (or day)"}  # what may stand instead
SAMPLE_ROWS = 5_000  # that tell what an unread column may be
SHOWN = 8  # unread columns that are named


AS_GIVEN = ("control", "time_unit", "time_zone", "date_order", "starts", "only", "table", "engine")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a log or a table of users is to be read where its words are not recab's.

    `columns` says which of its columns is which of the contract's; `control` is its name for the control; `click`
    lists the values that are a click (`positive`: a number above 0). Rows before `starts` tell of the period before
    the test. Only rows whose columns have the values of `only` are read. `time_zone` is the zone whose days are
    told, and of times that name none.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    control: str = ""
    click: tuple[str, ...] = ()
    time_unit: str = ""
    time_zone: str = "UTC"
    date_order: str = ""
    starts: str = ""
    only: Mapping[str, str] = field(default_factory=dict)
    drop_bad_rows: bool = False
    by_impression: bool = False
    table: str = ""  # of a database
    engine: str = "duckdb"  # that reduces the log; or spark
    design: str = "users"  # of READ_DESIGNS

    @classmethod
    def of(cls, params: ReadParams) -> "Reading":
        """How these parameters say that a log is read."""
        design = getattr(params, "design", "users")
        columns = dict(params.columns)
        if design == "interleaved":  # what tells the variants apart is who picked the item
            columns["variant"] = columns.pop("team", "team")
        return cls(
            columns=columns,
            design=design,
            click=tuple(params.click),
            drop_bad_rows=params.bad_rows == "drop",
            by_impression=params.unit == "impression",
            **{n: getattr(params, n) for n in AS_GIVEN},
        )


AS_IS = Reading()


Step = Callable[[duckdb.DuckDBPyRelation], duckdb.DuckDBPyRelation]


@dataclass(frozen=True)
class Cell:
    """A column as it lies: its name in SQL and its type."""

    sql: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Read:
    """A table whose columns are those of the contract, typed; `notes` say in sentences what was made of it.

    `before` holds the rows of a log from before the start of the test. `dropped` counts rows that were left out and
    their users, by variant.
    """

    rows: nw.LazyFrame
    source: str
    columns: dict[str, str]  # theirs by ours
    notes: tuple[str, ...] = ()
    before: nw.LazyFrame | None = None
    counted: Counted | None = None  # what its reading has counted already
    dropped: dict[str, tuple[int, int]] = field(default_factory=dict)


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
        for ours, theirs in self.reading.columns.items():
            if theirs not in there:
                self.faults.append(
                    f"columns says that {ours} is {theirs}, which {self.source} lacks; it has {', '.join(there)}."
                    f"{closest(theirs, there)}"
                )
                continue
            self.theirs[ours] = theirs
        mapped = {ours: self.cells[theirs] for ours, theirs in self.theirs.items()}
        used = set(self.theirs.values())
        self.cells = {n: c for n, c in self.cells.items() if n not in used} | mapped

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

    def _read_plain(self, column: Column, value: str, *bounds: str) -> bool:
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
        v = values.number(cell.sql, cell.kind)
        if values.is_whole(cell.kind):
            if column.kind == "id" and self.whole_ids and self._read_plain(column, cell.sql):
                return
            if column.kind == "rank" and self._read_plain(column, v, "< 1", f"> {values.LARGEST_RANK}"):
                return
            if column.kind == "flag" and not self.reading.click and self._read_plain(column, v, "< 0", "> 1"):
                return
        if column.kind == "id":
            lost = values.rounded(cell.sql, cell.kind)
            self.read(column, values.identity(cell.sql, cell.kind), "" if lost == "false" else lost)
        elif column.kind == "text":
            self.typed[column.name] = f"{cell.sql}::varchar"
        elif column.kind == "flag":
            self.read(column, values.flag(cell.sql, cell.kind, self.reading.click))
        elif column.kind == "rank":
            self.read(column, v, f"not isfinite({v}) or {v} < 1 or {v} != round({v}) or {v} > {values.LARGEST_RANK}")
        elif column.kind == "place":
            there = f"{self.typed['variant']} = {literal(column.name.removeprefix(POSITION_IN))}"
            elsewhere = f"({there} and {v} != {self.typed['position']})"
            if self.reading.design in ("interleaved", "off_policy"):  # what is shown is no variant's own slate
                elsewhere = "false"
            self.read(column, v, f"not isfinite({v}) or {v} < 0 or {v} != round({v}) or {elsewhere}")
        elif column.kind == "count":
            self.read(column, v, f"not isfinite({v}) or {v} < 0")
        elif column.kind == "chance":
            self.read(column, v, f"not isfinite({v}) or {v} <= 0 or {v} > 1")
        else:
            self.read(column, v, f"not isfinite({v})")

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

    def read_time(self, column: Column) -> None:
        """Read the times by the form of most of them; a cell of another form is bad. Days far from all others are.

        Raises nothing: a date that can be read two ways is a fault.
        """
        cell, reading = self.cells[column.name], self.reading
        times = values.Times(
            column=cell.sql, kind=cell.kind, is_day=column.name == "day", zone=reading.time_zone,
            unit=reading.time_unit, order=reading.date_order,
        )  # fmt: skip
        if cell.kind == "VARCHAR" and self._are_plain(cell.sql):
            self.cells[column.name] = cell = Cell(f"{cell.sql}::timestamp", "TIMESTAMP")
            times = replace(times, column=cell.sql, kind=cell.kind)
        typed = cell.kind.startswith("TIMESTAMP") or cell.kind == "DATE"
        counted = "form, count(*) as n"
        found = (
            [("moment", 1)] if typed else self.relation.project(f"{times.form} as form").aggregate(counted).fetchall()
        )
        forms = {form: n for form, n in found if form}
        if not forms:
            self.read(column, f"try_cast({cell.sql}::varchar as timestamp)", "true")
            return
        form = max(forms, key=lambda f: (forms[f], f))
        if form == "small":
            shown = self.relation.project(cell.sql).limit(1).fetchall()[0][0]
            self.faults.append(
                f"{self.source}: column {self.written(column.name)} holds {shown!r}, which is too small for a moment "
                "since 1970 to be told from other numbers. Say what it counts: time_unit=s, or columns={day: "
                f"{self.written(column.name)}}}."
            )
            return
        if form == "slashed" and not times.order:
            first, second = times.parts()
            counted = f"count(*) filter ({first} > 12), count(*) filter ({second} > 12)"
            days_first, months_first = self.relation.aggregate(counted).fetchall()[0]
            if bool(days_first) == bool(months_first):
                shown = self.relation.project(cell.sql).limit(1).fetchall()[0][0]
                how = "in both orders" if days_first else "in either order"
                self.faults.append(
                    f"{self.source}: column {self.written(column.name)} has dates such as {shown!r}, which can be read "
                    f"{how} of day and month. Say which: date_order=day_first or date_order=month_first."
                )
                return
            times = replace(times, order="day_first" if days_first else "month_first")
        value = times.value(form)
        if typed and cell.kind in values.MOMENTS and self._are_near(cell):
            self.times, self.form, self.time = times, form, "timestamp"
            self._read_plain(column, f"{cell.sql}::timestamp")
            self._name_time(column)
            return
        days = f"({value})" if form == "day" else f"date_diff('day', date '1970-01-01', ({value})::date)"
        near = self._near(days)
        self.times, self.form = times, form
        lost = values.shortened(cell.sql, cell.kind)
        self.read(column, value, lost if near is None else f"{lost} or {days} < {near[0]} or {days} > {near[1]}")
        self.time = "day" if form == "day" else "timestamp"
        self._name_time(column)

    def _are_plain(self, cell: str) -> bool:
        """Whether every cell is a moment without a zone as ISO 8601 writes it: told in one pass, which is fast."""
        looks = f"regexp_full_match({cell}, '\\d{{4}}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d:\\d\\d(\\.\\d{{1,6}})?')"
        every = f"bool_and(coalesce({looks} and try_cast({cell} as timestamp) is not null, false))"
        return bool(self.relation.aggregate(every).fetchall()[0][0])

    def _name_time(self, column: Column) -> None:
        if self.time != column.name:
            self.typed[self.time] = self.typed.pop(column.name)
            self.hide(column.name)

    def _are_near(self, cell: Cell) -> bool:
        """Whether all moments are finite and lie so close together that none is far from the others."""
        ends = self.relation.aggregate(f"min({cell.sql}) as a, max({cell.sql}) as b")
        close = f"coalesce(isfinite(a) and isfinite(b) and date_diff('day', a, b) <= {FAR_DAYS}, false)"
        return bool(ends.project(close).fetchall()[0][0])

    def _near(self, days: str) -> tuple[int, int] | None:
        """The first and last day that are not far from the middle half of the log; None where there is no day."""
        counted = self.relation.aggregate(f"{days} as d, count(*) as n", days).filter("d is not null")
        halves = counted.project("d, n, sum(n) over (order by d) as upto, sum(n) over () as total")
        low, high = halves.aggregate(
            "min(d) filter (upto >= .25 * total), min(d) filter (upto >= .75 * total)"
        ).fetchall()[0]
        if low is None:
            return None
        room = max(FAR_DAYS, 10 * (high - low))
        first, last = self._range(counted, low - room, high + room)
        if last - first > MAX_DAYS:
            self.faults.append(
                f"{self.source}: its days run over {last - first:,}, more than the {MAX_DAYS:,} of ten years. "
                "Say what its times count with time_unit, or correct them."
            )
        return low - room, high + room

    def _range(self, counted: duckdb.DuckDBPyRelation, low: int, high: int) -> tuple[int, int]:
        found = counted.filter(f"d between {low} and {high}").aggregate("min(d), max(d)").fetchall()[0]
        return int(found[0]), int(found[1])

    def read_variants(self, column: Column, *, pilot: bool = False) -> None:
        """Read the variants, with the control called CONTROL; two spellings of one are a fault."""
        cell, reading = self.cells["variant"], self.reading
        value = values.identity(cell.sql, cell.kind)
        of_test = self.relation.filter(f"not {self.exempt}") if self.exempt else self.relation
        found = of_test.aggregate(f"{value} as v", value).filter("v is not null").order("v").limit(MAX_VARIANTS + 1)
        names = [row[0] for row in found.fetchall()]
        if len(names) > MAX_VARIANTS:
            self.faults.append(
                f"{self.source}: variant holds more than {MAX_VARIANTS} values, such as {', '.join(names[:3])}. Say "
                "which column it is: columns={variant: NAME}."
            )
            return
        alike: dict[str, list[str]] = {}
        for one in names:
            alike.setdefault(" ".join(one.split()).casefold(), []).append(one)
        if twice := [two for two in alike.values() if len(two) > 1]:
            said = " and ".join(repr(one) for two in twice for one in two)
            self.faults.append(
                f"{self.source}: variant holds {said}, which differ only by case or blanks. Write one of them."
            )
            return
        key = " ".join((reading.control or CONTROL).split()).casefold()
        control = alike.get(key, [""])[0]
        if reading.control and not control:
            self.faults.append(
                f"control is {reading.control!r}, but variant holds {', '.join(names)}."
                f"{closest(reading.control, names)}"
            )
            return
        if control != CONTROL and control:
            if CONTROL in names:
                self.faults.append(
                    f"control is {reading.control!r}, but variant also holds {CONTROL}. Rename one of the two."
                )
                return
            value = f"case when {value} = {literal(control)} then '{CONTROL}' else {value} end"
            names = [CONTROL if n == control else n for n in names]
            if (there := self.cells.pop(f"{POSITION_IN}{control}", None)) is not None:
                ours, theirs = f"{POSITION_IN}{CONTROL}", self.written(f"{POSITION_IN}{control}")
                self.cells[ours], self.theirs[ours] = there, theirs
            if control.strip() != CONTROL:
                self.notes.append(f"control is what {self.source} calls {control.strip()}")
        if any(n != n.strip() for n in names):
            value, names = f"trim({value})", [n.strip() for n in names]
        self.variants = in_order(names)
        if names and not pilot and (not control or len(names) < 2):
            other = next((n for n in names if n != CONTROL), "NAME")
            teams = "" if "team" not in self.cells else " Of interleaved slates: design=interleaved."
            way = f"Name the one that users had before: control={other}." if not control and len(names) > 1 else ""
            self.faults.append(
                f"{self.source}: variant holds {', '.join(names)}; it needs {CONTROL} and at least one "
                f"treatment. {way or 'Give the log of all variants.'}{teams}"
            )
        if cell.kind != "VARCHAR" or not self._read_plain(column, value, "= ''"):
            self.read(column, value)

    @property
    def any_bad(self) -> str:
        """SQL of where a row breaks any of its columns."""
        return " or ".join(f"({b})" for b in self.bad.values())

    def hide(self, column: str) -> None:
        """Leave the column out of the frame."""
        self.hidden.add(column)

    def read_others(self, numbers: Sequence[str], *, typed: bool) -> None:
        """Read the columns that no contract names: numbers or text by their type, or by all their cells in a text file.

        Metrics ask for `numbers`.
        """
        rest = [c for c in self.cells if c not in self.typed and c not in self.hidden]
        texts = [self.cells[c].sql for c in rest if self.cells[c].kind == "VARCHAR"]
        sure = set() if typed else all_numbers(self.relation, texts)
        for c in rest:
            cell = self.cells[c]
            if c in numbers:
                self._read_asked(c, cell)
            elif cell.sql in sure or values.is_number(cell.kind):
                self.typed[c] = values.number(cell.sql, cell.kind)
            elif cell.kind in ("VARCHAR", "BOOLEAN") or cell.kind.startswith("ENUM"):
                self.typed[c] = f"nullif({cell.sql}::varchar, '')"

    def _read_asked(self, column: str, cell: Cell) -> None:
        """Read what a metric asks for: a number, or true and false as 1 and 0."""
        asked = Column(name=column, kind="number", meaning="read by a metric", required=False)
        v = values.flag(cell.sql, cell.kind, ())
        words = cell.kind == "BOOLEAN" or (
            cell.kind == "VARCHAR"
            and self.relation.aggregate(f"bool_and({v} is not null or {cell.sql} is null)").fetchall()[0][0]
        )
        if words:
            self.read(asked, v)
        else:
            self.read_kind(asked)

    def note_unread(self) -> None:
        """Say which columns nobody reads, the name that each may have been meant to have, and what it may serve as."""
        known = [*SYNONYMS, "experiment", "propensity", "team"]
        unread = [c for c in self.cells if c not in self.typed and c not in (*known, FILE_NAME, *self.reading.only)]
        unread = [c for c in unread if self.written(c) == c]
        if not unread:
            return
        some = self.relation.limit(SAMPLE_ROWS)
        bits = some.aggregate(", ".join(f"bool_and({self._is_bit(c)})" for c in unread)).fetchall()[0]
        said = [f"{c} ({w})" if (w := self._may_be(c, bool(b))) else c for c, b in zip(unread, bits, strict=True)]
        more = f" and {len(said) - SHOWN:,} more" if len(said) > SHOWN else ""
        self.notes.append(f"{self.source}: not read: {', '.join(said[:SHOWN])}{more}")

    def _is_bit(self, column: str) -> str:
        return f"lower({self.cells[column].sql}::varchar) in ('0', '1', 'true', 'false')"

    def _may_be(self, column: str, bit: bool) -> str:
        if bit:
            return f"0 or 1: a metric by metrics=[{column}]"
        if count := next((c for c in ("clicks", "impressions", "sessions") if c in column.casefold()), ""):
            return f"did you mean pre_{count}?"
        places = [self.written(f"{POSITION_IN}{v}") for v in self.variants] if column.startswith(POSITION_IN) else []
        return closest(column, (*SYNONYMS, *places)).strip().replace("Did", "did")

    def check(self) -> None:
        """Every cell, in one pass where a file's statistics do not tell.

        The first that breaks its column is a fault, with its row, value and the way out.

        Where bad rows are to be dropped they are, unless all are.
        """
        plain = {c: self.relation.filter(self.bad[c]).aggregate("count(*)") for c in self.bad if c in self.plain}
        found = {c: one.fetchall()[0][0] for c, one in plain.items()}
        others = [c for c in self.bad if c not in plain]
        counted = [f"count(*) filter ({self.bad[c]})" for c in others]
        n, *bad = self.relation.aggregate(", ".join(["count(*)", *counted])).fetchall()[0]
        found |= dict(zip(others, bad, strict=True))
        self.n = n
        if not n:
            self.faults.append(f"{self.source} has no rows. Give at least one.")
        for column in self.bad:
            broken = found[column]
            if broken and not (self.reading.drop_bad_rows and broken < n / 2):
                self.faults.append(self._fault(column, int(broken)))

    def _fault(self, column: str, n: int) -> str:
        cell = self.cells[column]
        lying = rows = self.whole.project("*, row_number() over () as recab_row")
        for step in self.steps:
            rows = step(rows)
        bad = rows.filter(self.bad[column]).project(f"{cell.sql}, recab_row")
        value, row = bad.order("recab_row").limit(1).fetchall()[0]
        where, many = f"in row {row}", f" ({n:,} such rows)" if n > 1 else ""
        if FILE_NAME in lying.columns:
            file = lying.filter(f"recab_row = {row}").project(FILE_NAME).fetchall()[0][0]
            above = lying.filter(f"recab_row <= {row} and {FILE_NAME} = {literal(file)}").aggregate("count(*)")
            where = f"in row {above.fetchall()[0][0]} of {file}"
        called = self.written(column)
        if value is None or (isinstance(value, str) and not value.strip()):
            return f"{self.source}: column {called} is empty {where}{many}. Fill or drop these rows{self.way}."
        if isinstance(value, (bytes, memoryview)):
            value = bytes(value)
        must, way = f"it must be {KINDS[self.kinds[column]]}", f"Correct or drop these rows{self.way}."
        if self.kinds[column] in ("time", "day"):
            must = self._odd_time(column, must)
        elif self.kinds[column] == "id":
            must, way = "an id of so many digits was rounded there", "Export it as text or as a whole number."
        elif self.kinds[column] == "flag":
            way = f"Say what is a click, click=[positive] for a number above 0, or click=[VALUE]. {way}"
        shown = str(value) if not isinstance(value, (str, bytes, int, float)) else repr(value)
        return f"{self.source}: column {called} holds {shown} {where}{many}; {must}. {way}"

    def _odd_time(self, column: str, must: str) -> str:
        if not self.form:
            return must
        form = self.relation.filter(self.bad[column]).project(self.times.form).limit(1).fetchall()[0][0]
        if form is None:
            return must
        short = values.shortened(self.times.column, self.times.kind)
        if self.relation.filter(f"{self.bad[column]} and {short}").limit(1).fetchall():
            return "it was rounded there, as a spreadsheet shows a long number: export it as text or as a date"
        if form != self.form:
            return f"it is {values.WORDS[form]}, where the others are {values.WORDS[self.form]}"
        return "it is far from all others"

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
