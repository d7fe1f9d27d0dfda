"""A log that stays in its own engine, Spark or a warehouse: mapped, checked and counted there, by narwhals.

Cells keep the types that they have there: what DuckDB tells from text (times, numbers, lists) is cast before.
"""

from collections.abc import Sequence
from typing import Any

import narwhals as nw

from recab_helpers.errors import DataError, closest
from recab_helpers.impressions.contract import (
    IMPRESSIONS,
    KINDS,
    MAY_LACK,
    NUMERIC,
    TIMES,
    TITLE,
    Column,
    in_slates,
    together,
)
from recab_helpers.impressions.counting import count
from recab_helpers.impressions.reading import Read, Reading
from recab_helpers.impressions.times import FAR_DAYS
from recab_helpers.impressions.values import FILLED, LARGEST_RANK, NO, NOTHING, POSITIVE, YES
from recab_helpers.impressions.variants import MAX_VARIANTS
from recab_helpers.impressions.words import SYNONYMS, propose
from recab_helpers.references import CONTROL, POSITION_IN, in_order

OF_TEXT = ("time_unit", "date_order", "table")  # of a reading: what tells cells of text, or a database


def read_there(frame: nw.LazyFrame, source: str, how: Reading, numbers: Sequence[str], *, pilot: bool) -> Read:
    """The log as `how` says, checked and counted where it lies.

    Raises:
        DataError: the log breaks its contract; what its cells break is said at once.
    """
    log = _There(frame, source, how)
    log.rename()
    log.keep_only()
    log.read(numbers)
    log.read_variants(pilot=pilot)
    log.check(numbers)
    return log.counted(numbers)


class _There:
    """A frame on its way, and what was found of it."""

    def __init__(self, frame: nw.LazyFrame, source: str, how: Reading):
        self.frame, self.source, self.how = frame, source, how
        self.notes: list[str] = []
        self.dropped: dict[str, tuple[int, int]] = {}
        self.before: nw.LazyFrame | None = None
        self.variants: tuple[str, ...] = ()
        asked = {n: getattr(how, n) for n in OF_TEXT} | {"unit": "impression" if how.by_impression else ""}
        asked["design"] = "" if how.design == "users" else how.design
        if unread := next((n for n, value in asked.items() if value), None):
            raise DataError(
                f"{unread} is {asked[unread]!r}, which is not read of a log that stays in its own engine. Do "
                "what it says there, and leave it out, or let DuckDB read the log."
            )

    @property
    def names(self) -> list[str]:
        return self.frame.collect_schema().names()

    def rename(self) -> None:
        """Take the columns by our names, and refuse a log that lacks one."""
        theirs = dict(self.how.columns)
        for ours, one in theirs.items():
            if one not in self.names:
                raise DataError(
                    f"columns says that {ours} is {one}, which {self.source} lacks; it has {', '.join(self.names)}."
                    f"{closest(one, self.names)}"
                )
        rest = [n for n in self.names if n not in theirs and n not in theirs.values()]
        self.frame = self.frame.select(*rest, **{ours: nw.col(one) for ours, one in theirs.items()})
        schema = self.frame.collect_schema()
        if "timestamp" not in schema and "day" in schema and not schema["day"].is_numeric():
            self.frame = self.frame.rename({"day": "timestamp"})
        lacking = [c.name for c in IMPRESSIONS if c.name not in MAY_LACK and c.name not in schema]
        if lacking or not {"timestamp", "day"} & set(self.names):
            lacking = lacking or ["timestamp"]
            guesses = propose(self.names, lacking)
            which = ", ".join(f"{o}: {t}" for o, t in guesses.items()) or f"{lacking[0]}: NAME"
            raise DataError(
                f"{self.source} lacks the column {', '.join(lacking)}; it has {', '.join(self.names)}. Rename or add "
                f"the column, or say which one it is: columns={{{which}}}."
            )

    def keep_only(self) -> None:
        """Only the rows that are asked for, and of one experiment."""
        for column, value in self.how.only.items():
            if column not in self.names:
                raise DataError(f"only names {column}, which {self.source} lacks; it has {', '.join(self.names)}.")
            self.frame = self.frame.filter(nw.col(column).cast(nw.String) == value)
            if not _rows(self.frame.select(column).head(1)):
                raise DataError(f"{self.source} has no row in which {column} is {value!r}.")
        if "experiment" in self.names and "experiment" not in self.how.only:
            levels = [r["experiment"] for r in _rows(self.frame.select("experiment").unique().head(8))]
            if len(levels) > 1:
                raise DataError(
                    f"{self.source} holds several experiments, {', '.join(map(repr, levels))}. Name one: "
                    "only={experiment: NAME}."
                )

    def read(self, numbers: Sequence[str]) -> None:
        """Every column of the contract as what it must be; the rows from before the start apart.

        Raises:
            DataError: a column has another type, or the start lies outside the log.
        """
        schema, typed, faults = self.frame.collect_schema(), {}, []
        for c in self.columns(numbers):
            kind, value = schema[c.name], nw.col(c.name)
            if c.kind == "time":
                if kind not in (nw.Date, nw.Datetime):
                    faults.append(f"column {c.name} is {kind}; cast it to a timestamp there")
                elif kind == nw.Datetime and (said := self._other_zone(kind)):
                    faults.append(said)
            elif c.kind == "flag" and POSITIVE in self.how.click and not (kind.is_numeric() or kind == nw.Boolean):
                faults.append(f"column {c.name} is {kind}, and click=[{POSITIVE}] asks for a number; cast it there")
            elif c.kind == "flag":
                typed[c.name] = _clicked(kind, self.how.click)
            elif c.kind == "id":
                if kind.is_float():
                    faults.append(f"column {c.name} is {kind}, in which long ids lose digits; cast it to whole or text")
                text = nw.when(value.cast(nw.String) != "").then(value.cast(nw.String))
                typed[c.name] = value if kind.is_integer() and c.name != "variant" else text
            elif c.kind in NUMERIC and (kind.is_numeric() or kind == nw.Boolean):
                plain = value.cast(nw.Int64) if kind == nw.Boolean else value
                typed[c.name] = plain.cast(nw.Float64)
            elif c.kind in NUMERIC:
                faults.append(f"column {c.name} is {kind}; it must be {KINDS[c.kind]}: cast it there")
        if faults:
            raise DataError(together([f"{self.source}: {f}." for f in faults], self.source))
        if "title" in schema:
            typed[TITLE.name] = nw.col(TITLE.name).cast(nw.String)
        self.frame = self.frame.with_columns(**typed)
        if self.how.starts:
            self._part(self.how.starts)

    def columns(self, numbers: Sequence[str]) -> list[Column]:
        """Those of the contract that are there, and what metrics read."""
        time = next(c for c in TIMES if c.name in self.names)
        more = [Column(name=n, kind="number", meaning="read by a metric") for n in numbers]
        return [c for c in (*IMPRESSIONS, time, *more) if c.name in self.names]

    def _other_zone(self, kind: Any) -> str:
        """What is wrong with the zone of moments, where days are to be told in another."""
        native: Any = self.frame.to_native()
        if kind.time_zone is None:
            return ""
        zone = kind.time_zone
        if self.frame.implementation.is_pyspark():
            zone = native.sparkSession.conf.get("spark.sql.session.timeZone")
        if zone == self.how.time_zone and self.frame.implementation.is_pyspark():
            return ""
        return (
            f"column timestamp tells its days in {zone}; set spark.sql.session.timeZone to {self.how.time_zone}, or "
            "cast it there to a timestamp without a zone"
        )

    def _part(self, starts: str) -> None:
        by_day = "day" in self.names and "timestamp" not in self.names
        if by_day != starts.lstrip("-").isdigit():
            raise DataError(f"starts is {starts!r}; {self.source} tells {'days by number' if by_day else 'dates'}.")
        begins = nw.lit(float(starts)) if by_day else nw.lit(starts).str.to_date(format="%Y-%m-%d")
        time = nw.col("day") if by_day else nw.col("timestamp").cast(nw.Date)
        self.before, self.frame = self.frame.filter(time < begins), self.frame.filter(time >= begins)
        for rows, where in ((self.before, "no row is before it"), (self.frame, "every row is before it")):
            if not _rows(rows.select("user_id").head(1)):
                raise DataError(f"starts is {starts}, but {where} in {self.source}. Correct it, or leave it out.")

    def read_variants(self, *, pilot: bool) -> None:
        """The names of the variants, with the control called CONTROL.

        Raises:
            DataError: there are too many, two are spelled nearly alike, or one needed is missing.
        """
        found = _rows(self.frame.select("variant").unique().head(MAX_VARIANTS + 2))
        names = sorted(r["variant"] for r in found if r["variant"] is not None)
        wanted, odd = self.how.control or CONTROL, {" ".join(n.split()).casefold() for n in names}
        if len(names) > MAX_VARIANTS:
            raise DataError(f"{self.source}: variant holds more than {MAX_VARIANTS} values, such as {names[0]}.")
        if len(odd) < len(names) or any(n != n.strip() for n in names):
            raise DataError(
                f"{self.source}: variant holds {', '.join(map(repr, names))}, of which some differ by case or blanks "
                "only, or have blanks around them. Write each in one way."
            )
        if self.how.control and wanted not in names:
            raise DataError(f"control is {wanted!r}, but variant holds {', '.join(names)}.{closest(wanted, names)}")
        if wanted != CONTROL:
            if CONTROL in names:
                raise DataError(f"control is {wanted!r}, but variant also holds {CONTROL}. Rename one of the two.")
            v = nw.col("variant")
            self.frame = self.frame.with_columns(variant=nw.when(v == wanted).then(nw.lit(CONTROL)).otherwise(v))
            if f"{POSITION_IN}{wanted}" in self.names:
                self.frame = self.frame.rename({f"{POSITION_IN}{wanted}": f"{POSITION_IN}{CONTROL}"})
            self.notes.append(f"control is what {self.source} calls {wanted}")
        self.variants = in_order(CONTROL if n == wanted else n for n in names)
        if not pilot and names and (CONTROL not in self.variants or len(names) < 2):
            raise DataError(
                f"{self.source}: variant holds {', '.join(names)}; it needs {CONTROL} and at least one treatment. Name "
                "the one that users had before, control=NAME, or give the log of all variants."
            )

    def check(self, numbers: Sequence[str]) -> None:
        """Every cell in one pass; bad rows are dropped where that is asked for.

        Raises:
            DataError: there are no rows, a cell breaks its column, or days are far apart.
        """
        places = in_slates(self.variants, self.names)
        self.frame = self.frame.with_columns(nw.col(c.name).cast(nw.Float64) for c in places) if places else self.frame
        columns = [*self.columns(numbers), *places]
        bad = {c.name: c.bad() for c in columns}
        if "position" in bad:
            bad["position"] = bad["position"] | (nw.col("position") > LARGEST_RANK)
        counted = {f"bad {i}": b.cast(nw.Int64).sum() for i, b in enumerate(bad.values())}
        counted["clicks"] = nw.col("clicked").sum()
        if "position" in bad and not places:
            counted |= {f"at {k}": (nw.col("position") == k).cast(nw.Int64).sum() for k in (0, 1)}
        (found,) = _rows(self.frame.select(n=nw.len(), **counted))
        n, faults = int(found["n"]), []
        if not n:
            raise DataError(f"{self.source} has no rows. Give at least one.")
        for i, c in enumerate(columns):
            broken = int(found[f"bad {i}"] or 0)
            if c.name == "position" and broken and broken == found.get("at 0") and 0 < found["at 1"] <= broken:
                self.notes.append(f"{self.source} counts positions from 0: they are read as from 1")
                self.frame, bad[c.name] = self.frame.with_columns(position=nw.col("position") + 1), nw.lit(False)
                continue
            if broken and not (self.how.drop_bad_rows and broken < n / 2):
                (row,) = _rows(self.frame.filter(bad[c.name]).select(c.name).head(1))
                called = self.how.columns.get(c.name, c.name)
                what = "is empty" if row[c.name] is None else f"holds {row[c.name]!r}"
                faults.append(
                    f"{self.source}: column {called} {what} in {broken:,} rows; it must be {KINDS[c.kind]}. Correct or "
                    "drop these rows (bad_rows=drop)."
                )
        if self.how.click and not found["clicks"]:
            faults.append(f"{self.source}: click is {', '.join(self.how.click)}, which no row holds. Correct it.")
        if faults:
            raise DataError(together(faults, self.source))
        if self.how.drop_bad_rows:
            self._drop(list(bad.values()), n)
        self._check_days()

    def _drop(self, bad: Sequence[nw.Expr], n: int) -> None:
        any_bad = bad[0]
        for one in bad[1:]:
            any_bad = any_bad | one
        users = nw.col("user_id").n_unique().alias("users")
        gone = _rows(self.frame.filter(any_bad).group_by("variant").agg(nw.len().alias("n"), users))
        self.dropped = {r["variant"] or "unknown": (int(r["n"]), int(r["users"])) for r in gone}
        self.frame = self.frame.filter(~any_bad)
        self.notes.append(f"{sum(int(r['n']) for r in gone):,} of {n:,} rows were dropped (bad_rows=drop)")

    def _check_days(self) -> None:
        time = "timestamp" if "timestamp" in self.names else "day"
        value = nw.col(time).cast(nw.Date) if time == "timestamp" else nw.col(time)
        (ends,) = _rows(self.frame.select(a=value.min(), b=value.max()))
        days = ends["b"] - ends["a"]
        if (days if time == "day" else days.days) > FAR_DAYS:
            raise DataError(
                f"{self.source}: its days run from {ends['a']} to {ends['b']}, more than the {FAR_DAYS} of a log that "
                "stays in its own engine. Leave out rows whose time is wrong, or read a part."
            )

    def counted(self, numbers: Sequence[str]) -> Read:
        """The log counted by items and slates, whose ids must tell slates apart.

        Raises:
            DataError: rows stand there twice.
        """
        counted = count(self.frame, numbers, self.variants)
        if "slate_id" in self.names and not (counted.last and not counted.repeats):
            key = ["user_id", "slate_id", "position" if "position" in self.names else "item_id"]
            again = self.frame.group_by("variant", *key).agg(nw.len().alias("rows")).filter(nw.col("rows") > 1)
            if twice := _rows(again.sort(*key).head(1)):
                raise DataError(
                    f"{self.source}: {twice[0]['rows']:,} rows have the same {', '.join(key)}, "
                    f"{ {k: twice[0][k] for k in key} }. Keep one of each, or give every request a slate_id of its own."
                )
        known = [*SYNONYMS, "experiment", "propensity", "team", *numbers, *(f"{POSITION_IN}{v}" for v in self.variants)]
        if unread := [n for n in self.names if n not in known and n not in self.how.only]:
            self.notes.append(f"{self.source}: not read: {', '.join(unread[:8])}")
        for what, lacks in (("slates", "slate_id"), ("positions", "position")):
            if lacks not in self.names:
                self.notes.append(f"{self.source} tells no {what}: what needs them is left out")
        return Read(
            rows=self.frame,
            source=self.source,
            columns={n: self.how.columns.get(n, n) for n in self.names},
            notes=tuple(self.notes),
            before=self.before,
            counted=counted,
            dropped=self.dropped,
        )


def _clicked(kind: Any, clicks: Sequence[str]) -> nw.Expr:
    """1.0 for a click, 0.0 for none, and null where nobody can tell, as `values.flag` says."""
    value = nw.col("clicked")
    number = value.cast(nw.Int64) if kind == nw.Boolean else value
    word = value.cast(nw.String).str.strip_chars().str.to_lowercase()
    if FILLED in clicks:
        return (~word.fill_null("").is_in(NOTHING)).cast(nw.Int64).cast(nw.Float64)
    if not clicks:
        if kind.is_numeric() or kind == nw.Boolean:
            return number.cast(nw.Float64)
        return nw.when(word.is_in(YES)).then(nw.lit(1.0)).when(word.is_in(NO)).then(nw.lit(0.0))
    named = word.is_in([c.strip().lower() for c in clicks])
    if POSITIVE not in clicks:
        return nw.when(word != "").then(named.cast(nw.Int64).cast(nw.Float64))
    positive = (number.cast(nw.Float64) > 0).cast(nw.Int64).cast(nw.Float64)
    return nw.when(named).then(nw.lit(1.0)).otherwise(positive)


def _rows(frame: nw.LazyFrame) -> list[dict[str, Any]]:
    """The rows of a small table."""
    return list(frame.collect("pyarrow").rows(named=True))
