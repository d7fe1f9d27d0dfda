"""SQL that reads a cell as what its column must be, however it was stored, and null where it cannot be.

Every function takes the column as SQL names it and its type in DuckDB.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from recab_helpers.cells import as_number
from recab_helpers.engine import literal

YES, NO = ("1", "1.0", "1,0", "true", "t", "yes", "y"), ("0", "0.0", "0,0", "false", "f", "no", "n")
POSITIVE = "positive"  # among the values of a click: any number above 0
FILLED = "filled"  # of a click: any cell that says something, such as when it was clicked
NOTHING = ("", "null", "none", "nan", "nat", "na", "n/a", "\\n", "-")  # words of a cell that says nothing
LARGEST_WHOLE = 2**53  # above it a float does not tell whole numbers apart
LARGEST_RANK = 1_000_000
LATEST = 7_258_118_400  # seconds until the year 2200
EARLIEST = 10**8  # seconds until 1973: a smaller number is no sure moment
LARGEST_DAY = 100_000  # of days that are counted, from 1970 or from anywhere
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a number of a moment, per second
WORDS = {
    "s": "seconds since 1970",
    "ms": "milliseconds since 1970",
    "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970",
    "day": "the number of a day",
    "yyyymmdd": "a date as yyyymmdd",
    "yyyymmddhhmmss": "a time as yyyymmddhhmmss",
    "iso": "a date as ISO 8601 writes it",
    "slashed": "a date with day, month and year",
    "moment": "a moment",
    "small": "a number too small for a moment since 1970",
}
ORDERS = {"day_first": "%d/%m/%Y", "month_first": "%m/%d/%Y"}
HOURS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
OFFSET = r"(z|utc|gmt|[+-]\d{2}(:?\d{2})?)$"
MOMENTS = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")  # without a zone
NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL")


def is_number(kind: str) -> bool:
    """Whether the type is one of numbers."""
    return any(n in kind for n in NUMBERS) and "[" not in kind


def is_whole(kind: str) -> bool:
    """Whether the type is one of whole numbers."""
    return "INT" in kind and is_number(kind)


def number(column: str, kind: str) -> str:
    """A number; text as it is written, without blanks around it."""
    if is_number(kind) or kind == "BOOLEAN":
        return f"{column}::double"
    return as_number(f"{column}::varchar")


def identity(column: str, kind: str) -> str:
    """An id in its one spelling: a whole number without a point, bytes as their text (or in hex), text as it is."""
    if kind == "VARCHAR":
        return f"nullif({column}, '')"
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"abs({column}) < {LARGEST_WHOLE} and {column} = round({column})"
        return f"case when {whole} then {column}::bigint::varchar when isfinite({column}) then {column}::varchar end"
    if kind.startswith("DECIMAL"):
        return f"regexp_replace({column}::varchar, '\\.0+$', '')"
    if kind == "BLOB":
        return f"coalesce(try(decode({column})), lower(hex({column})))"
    return f"{column}::varchar"


def rounded(column: str, kind: str) -> str:
    """Whether an id may have lost digits: a float beyond 2^53, or as a spreadsheet shortens a long number."""
    if kind in ("DOUBLE", "FLOAT"):
        return f"coalesce(abs({column}) >= {LARGEST_WHOLE if kind == 'DOUBLE' else 2**24}, false)"
    if kind == "VARCHAR":
        power = f"contains({column}, 'E+') or contains({column}, 'e+')"
        return f"coalesce(({power}) and regexp_full_match({column}, '\\d[.,]?\\d*[eE]\\+\\d+'), false)"
    return "false"


def shortened(column: str, kind: str) -> str:
    """Whether a moment was rounded to more than a second, as a spreadsheet shows a long number: 1.78E+09."""
    if kind != "VARCHAR":
        return "false"
    decimals = f"length(regexp_extract({column}, '[.,](\\d*)[eE]', 1))"
    power = f"try_cast(regexp_extract({column}, '[eE]\\+?(\\d+)', 1) as int)"
    return f"coalesce(regexp_matches({column}, '\\d[eE]\\+?\\d') and {decimals} < {power}, false)"


def flag(column: str, kind: str, clicks: Sequence[str]) -> str:
    """1.0 for a click and 0.0 for none; `clicks` names the values that are one where they are not 0 and 1 in words."""
    written = f"lower(trim({column}::varchar))"
    if FILLED in clicks:
        return f"(coalesce({written}, '') not in ({', '.join(map(literal, NOTHING))}))::double"
    if not clicks:
        if is_number(kind):
            return f"case when {column} in (0, 1) then {column}::double end"
        if kind == "BOOLEAN":
            return f"{column}::double"
        words = ", ".join(map(literal, YES)), ", ".join(map(literal, NO))
        return f"case when {written} in ({words[0]}) then 1.0 when {written} in ({words[1]}) then 0.0 end"
    value = number(column, kind)
    named = ", ".join(literal(c.strip().lower()) for c in clicks)
    found = f"{written} in ({named})"
    if POSITIVE not in clicks:
        return f"case when {written} != '' then ({found})::double end"
    return f"case when {found} then 1.0 when isfinite({value}) then ({value} > 0)::double end"


@dataclass(frozen=True, kw_only=True)
class Times:
    """How the times of one column are written: `form` by cell, one of WORDS, and `value` by the form of the column."""

    column: str
    kind: str
    is_day: bool  # may count days, and be no moment
    zone: str = "UTC"  # whose days they are, and of times that name no zone
    unit: str = ""  # of numbers; empty tells it by their size
    order: str = ""

    @property
    def form(self) -> str:
        """SQL of the form that a cell is written in; null where it has none."""
        if self.kind.startswith("TIMESTAMP") or self.kind == "DATE":
            return f"case when isfinite({self.column}) then 'moment' end"
        v = self._number
        text = f"trim({self.column}::varchar)"
        cases = []
        if self.unit:
            cases.append(f"when {v} * {1 / UNITS[self.unit]} between 0 and {LATEST} then '{self.unit}'")
        else:
            for unit, per in UNITS.items():
                cases.append(f"when {v} >= {EARLIEST * per}::double and {v} < {LATEST * per}::double then '{unit}'")
            valid = f"try_strptime(case when {v} = round({v}) and abs({v}) < 1e15 then {v}::bigint::varchar end, "
            cases.append(f"when {v} between 19000101 and 22001231 and {valid}'%Y%m%d') is not null then 'yyyymmdd'")
            cases.append(
                f"when {v} between 19000101000000 and 22001231235959 and {valid}'%Y%m%d%H%M%S') is not null "
                "then 'yyyymmddhhmmss'"
            )
        if self.is_day:
            cases.append(f"when abs({v}) < {LARGEST_DAY} and {v} = round({v}) then 'day'")
        elif not self.unit:
            cases.append(f"when {v} >= 0 and {v} < {EARLIEST} then 'small'")
        if is_number(self.kind):
            return f"case {' '.join(cases)} end"
        cases.append(f"when {self._iso} is not null then 'iso'")
        slashed = [f"{self._slashed(o)} is not null" for o in ORDERS]
        cases.append(f"when regexp_matches({text}, '^\\d{{1,2}}[/.-]') and ({' or '.join(slashed)}) then 'slashed'")
        return f"case {' '.join(cases)} end"

    @property
    def _number(self) -> str:
        return f"try_cast({self.column if is_number(self.kind) else f'trim({self.column}::varchar)'} as double)"

    def value(self, form: str) -> str:
        """SQL of the moment in the zone, or of the number of the day; null where a cell has another form."""
        if form == "moment":
            return f"case when isfinite({self.column}) then {self._read(form)} end"
        return f"case when {self.form} = '{form}' then {self._read(form)} end"

    def parts(self) -> tuple[str, str]:
        """SQL of the first and the second number of a date with slashes."""
        text = f"trim({self.column}::varchar)"
        return tuple(f"try_cast(split_part({_slashes(text)}, '/', {i}) as int)" for i in (1, 2))  # type: ignore[return-value]

    def _read(self, form: str) -> str:
        v, digits = self._number, f"{self._number}::bigint::varchar"
        if form == "moment":
            if self.kind == "TIMESTAMP WITH TIME ZONE":
                return f"timezone({literal(self.zone)}, {self.column})"
            return f"{self.column}::timestamp"
        if form == "day":
            return f"{v}::bigint"
        if form in UNITS:
            return self._here(f"make_timestamp((({v}) * {10**6 / UNITS[form]!r})::bigint)")
        if form == "yyyymmdd":
            return f"try_strptime({digits}, '%Y%m%d')"
        if form == "yyyymmddhhmmss":
            return f"try_strptime({digits}, '%Y%m%d%H%M%S')"
        return self._slashed(self.order) if form == "slashed" else self._iso

    def _here(self, of_utc: str) -> str:
        return of_utc if self.zone == "UTC" else f"timezone({literal(self.zone)}, timezone('UTC', {of_utc}))"

    @property
    def _iso(self) -> str:
        dated = "'^(\\d{4})[/.](\\d{1,2})[/.](\\d{1,2})', '\\1-\\2-\\3'"
        text = f"regexp_replace(trim({self.column}::varchar), {dated})"
        text = f"regexp_replace({text}, ',(\\d+)', '.\\1')"
        full = f"regexp_replace({text}, '(:\\d\\d(?:\\.\\d+)?)\\s*([+-]\\d{{2}})(\\d{{2}})$', '\\1\\2:\\3')"
        zoned = f"timezone({literal(self.zone)}, try_cast({full} as timestamptz))"
        far = f"contains({text}, ':') and regexp_matches(lower({text}), '{OFFSET}')"
        looks = f"regexp_matches({text}, '^\\d{{4}}-\\d{{1,2}}-\\d{{1,2}}')"
        return f"case when {looks} then case when {far} then {zoned} else try_cast({text} as timestamp) end end"

    def _slashed(self, order: str) -> str:
        formats = ", ".join(literal(ORDERS[order] + h) for h in HOURS)
        return f"try_strptime({_slashes(f'trim({self.column}::varchar)')}, [{formats}])"


def _slashes(text: str) -> str:
    """A date with slashes between day, month and year, whatever stood there."""
    return f"regexp_replace({text}, '^(\\d{{1,2}})[/.-](\\d{{1,2}})[/.-](\\d{{4}})', '\\1/\\2/\\3')"
