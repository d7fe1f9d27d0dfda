"""A table in any file that DuckDB reads, as one lazy relation: text files, Parquet, folders of parts, databases.

The cells of a text file stay text, as they were written: "007" keeps its zeros, and a user may be called NA.
"""

import codecs
import csv
import hashlib
import io
import os
import re
import sqlite3
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

import duckdb
import pyarrow as pa

from recab_helpers.errors import DataError
from recab_helpers.processes import PREFIX, clear_places_of_the_dead, this_process

TEXTS = (".csv", ".tsv", ".txt", ".dat")
JSONS = (".jsonl", ".ndjson", ".json")
DATABASES = (".duckdb", ".ddb", ".sqlite", ".sqlite3", ".db")
PACKED = ("", ".gz", ".zst")
ENDINGS = (".parquet", *(f"{e}{z}" for e in (*TEXTS, *JSONS) for z in PACKED), *DATABASES)
SEPARATORS = ("\t", ";", ",", "|", "\x01", "::")  # the fifth is Hive's
SAMPLE_BYTES = 262_144
FIRST = 100  # rows that tell whether the line above them holds names
SAMPLE_ROWS = 1_000  # of a text that tell which of its columns may be numbers
MOST_WORDS = 1_000  # of a column and a piece of its rows, that are held as a dictionary
CHUNK = 1 << 22  # characters, and rows of a database, that are copied at once
MEMORY = "2GB"  # of the engine; what does not fit spills to disk
FILE_NAME = "file_name"  # column of the part that a row comes from, of a folder or a glob
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
TWO_ENDS = ("state machine reached an invalid state", "unterminated quote")  # of text whose lines end in LF and in CRLF
NO_TABLE = {  # what a file is that begins so, and what to do
    b"PK\x03\x04": "a zip archive or an Excel workbook. Save it as CSV UTF-8, or as Parquet",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook. Save it as CSV UTF-8, or as Parquet",
    b"PAR1": "a Parquet file. End its name in .parquet",
    b"SQLi": "a database of SQLite. End its name in .sqlite",
}
NOTHING = "\\N"  # beside an empty cell, as databases write it
_NUMBERS = count()


@lru_cache(maxsize=1)
def engine() -> duckdb.DuckDBPyConnection:
    """The one embedded DuckDB of this process, in memory; it spills to disk what does not fit. Its days are UTC's."""
    made = duckdb.connect()
    made.execute("set TimeZone = 'UTC'")
    made.execute(f"set memory_limit = '{MEMORY}'")
    made.execute(f"set temp_directory = {literal(_place() / 'spilled')}")
    made.execute("set variable recab_engine = true")
    return made


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory:
    clear_places_of_the_dead(Path(tempfile.gettempdir()))
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{this_process()}.")


def _place() -> Path:
    return Path(_folder().name)


def spare_file(ending: str) -> Path:
    """The name of a new file, which is gone when the process ends."""
    return _place() / f"{next(_NUMBERS)}{ending}"


def kept(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The relation computed once, as a table of the engine that is dropped with the last relation made of it."""
    kept_as = f"recab_{next(_NUMBERS)}"
    relation.create(kept_as)
    table = engine().table(kept_as)
    weakref.finalize(table, _drop, kept_as).atexit = False
    return table


def _drop(kept_as: str) -> None:
    engine().cursor().execute(f"drop table if exists {kept_as}")


def literal(text: object) -> str:
    """The text as SQL writes it."""
    return "'" + str(text).replace("'", "''") + "'"


def name(column: str) -> str:
    """The name of a column as SQL writes it."""
    return '"' + column.replace('"', '""') + '"'


def is_glob(path: str | Path) -> bool:
    """Whether the path is a pattern of several files, and not itself a file or folder."""
    return any(c in str(path) for c in "*?[") and not Path(path).expanduser().exists()


def parts_of(path: str | Path) -> list[Path]:
    """The files of a table: the file itself, or all of a folder or a glob, hidden ones and those of Spark left out.

    Raises:
        DataError: there is none, it is none that can be read, or they are of several kinds.
    """
    path = Path(path).expanduser()
    if path.is_file():
        found = [path]
    elif path.is_dir() or is_glob(path):
        at = path if path.is_dir() else Path(path.anchor or ".")
        every = path.rglob("*") if path.is_dir() else at.glob(str(path.relative_to(path.anchor)))
        found = sorted(f for f in every if f.is_file() and not _hidden(f, path))
        if not found:
            raise DataError(f"{path} holds no file. Give a folder or a pattern of {', '.join(ENDINGS[:3])} files.")
    else:
        raise DataError(f"There is no file {path}. Give the path of a {', '.join(ENDINGS[:3])} file, or of a folder.")
    for part in found:
        if not part.name.endswith(ENDINGS):
            raise DataError(f"{part} is none of {', '.join(ENDINGS)}. Convert it to one of these.")
        if not part.stat().st_size:
            raise DataError(f"{part} is empty. Give a file with a header and at least one row.")
    if len(kinds := {kind_of(p) for p in found}) > 1:
        raise DataError(f"{path} holds files of several kinds, {' and '.join(sorted(kinds))}. Give those of one kind.")
    return found


def digest_of(*paths: str | Path) -> str:
    """The first 16 digits of a SHA-256 of the files of all these tables: their names, sizes and contents."""
    total = hashlib.sha256()
    for path in paths:
        parts = parts_of(path)
        root = Path(os.path.commonpath([p.parent for p in parts]))
        for part in parts:
            with part.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            total.update(f"{part.relative_to(root).as_posix()}\0{part.stat().st_size}\0{content}\n".encode())
        total.update(b"\n")
    return total.hexdigest()[:16]


def open_file(
    path: str | Path, *, table: str = "", hold: bool = False, times: Sequence[str] = ()
) -> tuple[duckdb.DuckDBPyRelation, str]:
    """A file, folder, glob, or a `table` of a database as a relation, and what an error calls it.

    Columns of text files and of SQLite are text. The rows of several files have the column FILE_NAME as well: the name
    of the file without its ending, with its folders where two files have one name. To `hold` it parses a text once:
    columns of whole numbers are numbers then, and those of `times` moments, where every cell is written as one is.

    Raises:
        DataError: it cannot be read, or a cell of what is held swallows rows.
    """
    parts = parts_of(path)
    source = Path(path).name
    kind = kind_of(parts[0])
    if table and kind != "database":
        raise DataError(f"table is {table!r}, but {source} is no database. Leave it out.")
    with reading(source):
        if kind == "database":
            return _of_database(parts, table), f"{source}, table {table}" if table else source
        try:
            relation = _relation(parts, kind, hold=hold, times=times)
        except duckdb.Error as error:
            if kind != "text" or not any(said in str(error) for said in TWO_ENDS):
                raise
            relation = _relation(parts, kind, hold=hold, times=times, one_end=True)
        if hold and kind == "text":
            refuse_swallowed_rows(relation, source)
        return relation, source


def _relation(
    parts: list[Path], kind: str, *, hold: bool, times: Sequence[str], one_end: bool = False
) -> duckdb.DuckDBPyRelation:
    files = parts
    if kind == "parquet":
        read = f"read_parquet({_list(parts)}{_several(parts)})"
    elif kind == "json":
        read = _json(parts)
    else:
        read, files = _text(parts, one_end=one_end)
    relation = engine().sql(f"select * from {read}")
    if FILE_NAME in relation.columns and len(parts) > 1:
        called = ", ".join(map(literal, _called(parts)))
        relation = relation.project(f"* replace (map({_list(files)}, [{called}])[{FILE_NAME}] as {FILE_NAME})")
    relation.limit(1).fetchall()
    return _held(relation, times) if hold and kind in ("text", "json") else relation


def _called(parts: Sequence[Path]) -> list[str]:
    """The names of files without their endings, with the folders that tell them apart where two have one name."""
    stems = [re.sub(r"(?<=.)(\.[a-z]+\d?)+$", "", p.name) for p in parts]
    if len(set(stems)) == len(stems):
        return stems
    root = Path(os.path.commonpath([p.parent for p in parts]))
    return [(p.parent.relative_to(root) / stem).as_posix() for p, stem in zip(parts, stems, strict=True)]


@contextmanager
def reading(source: str | Path) -> Iterator[None]:
    """What cannot be read is a DataError that names the source, and the line where there is one."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, EOFError, UnicodeError, OSError, csv.Error, sqlite3.Error) as error:
        raise DataError(f"{source} cannot be read: {_said(error)}") from error


def _held(relation: duckdb.DuckDBPyRelation, times: Sequence[str]) -> duckdb.DuckDBPyRelation:
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


def _said(error: Exception) -> str:
    """What a library said, as one sentence with the way out."""
    text = str(error).strip()
    if found := re.search(r"CSV Error on Line: (\d+)", text):
        line = f"line {int(found[1]):,}"
        if "unterminated quote" in text:
            return f"a quote that opens in {line} does not end as it should. Close it, or write quotes inside doubled."
        if counted := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
            return f"{line} has {counted[2]} columns, not {counted[1]}. It may be cut short; correct or drop the line."
        if "nicode" in text or "encoded" in text or "utf" in text.lower():
            return f"{line} is not UTF-8 text. Save the file as UTF-8, or correct the line."
        return f"{line} is not like the others. Correct or drop it."
    first = (text.splitlines() or [type(error).__name__])[0].removesuffix(".")
    first = re.sub(r"^(Invalid Input|IO|Binder|Conversion|Catalog|Parser) Error: ", "", first)
    if "Malformed JSON" in first:
        return f'a list is not written as JSON writes one, ["a", "b"] ({first}). Correct it.'
    if isinstance(error, EOFError) or "nd of GZIP" in text or "runcated" in text or "magic bytes" in text:
        return f"it is damaged or cut short ({first}). Export it again."
    return f"{first}. Export it again."


def kind_of(part: Path) -> str:
    """How the file is read: as text, json, parquet or database."""
    bare = re.sub(r"\.(gz|zst)$", "", part.name)
    if bare.endswith(".parquet"):
        return "parquet"
    if bare.endswith(JSONS):
        return "json"
    return "database" if bare.endswith(DATABASES) else "text"


def _hidden(file: Path, root: Path) -> bool:
    inside = file.relative_to(root).parts if root.is_dir() else (file.name,)
    return any(p.startswith((".", "_")) for p in inside)


def _list(parts: Sequence[Path]) -> str:
    return f"[{', '.join(literal(p) for p in parts)}]"


def _several(parts: Sequence[Path]) -> str:
    """Options for several files: columns by name, those of folders named `day=2026-05-01` too."""
    hive = "hive_partitioning=true, hive_types_autocast=false"
    return f", union_by_name=true, {hive}, filename={literal(FILE_NAME)}" if len(parts) > 1 else ""


# Text


def _text(parts: list[Path], *, one_end: bool) -> tuple[str, list[Path]]:
    """How DuckDB reads the parts, and the files that hold them; where lines are to have `one_end`, those of copies."""
    dialects = {part: _dialect(part, one_end=one_end) for part in parts}
    first = dialects[parts[0]]
    alike: dict[str, list[Path]] = {}  # files by how they are read
    for part, dialect in dialects.items():
        if sorted(dialect.names) != sorted(first.names):
            raise DataError(
                f"{part} begins with {', '.join(dialect.fields)[:200]}, unlike {parts[0].name}. Give every part the "
                "same header."
            )
        if dialect.names != first.names:
            raise DataError(f"{part} has its columns in another order than {parts[0].name}. Write them in one order.")
        alike.setdefault(dialect.options, []).append(dialect.file)
    columns = ", ".join(f"{literal(n)}: 'VARCHAR'" for n in first.names)
    many = f", filename={literal(FILE_NAME)}" if len(parts) > 1 else ""
    read = " union all from ".join(
        f"read_csv({_list(files)}, auto_detect=false, {options}, columns={{{columns}}}{many})"
        for options, files in alike.items()
    )
    return read, [d.file for d in dialects.values()]


@dataclass(frozen=True, kw_only=True)
class _Dialect:
    """How a text file is read: the file, or a copy of it in UTF-8, its first line and its columns."""

    file: Path
    options: str  # of read_csv
    fields: list[str]
    names: list[str]


def _dialect(part: Path, *, one_end: bool) -> _Dialect:
    """How a text file is written, by its first bytes: how it is packed and encoded, divided and quoted."""
    with part.open("rb") as stream:
        magic = stream.read(4)
    for start, what in NO_TABLE.items():
        if magic.startswith(start):
            raise DataError(f"{part} is {what}.")
    packed = next((how for start, how in MAGIC.items() if magic.startswith(start)), "none")
    with pa.input_stream(str(part), compression=None if packed == "none" else packed) as stream:
        sample = stream.read(SAMPLE_BYTES)
    encoding, file = encoding_of(sample), part
    text = sample.decode(encoding, errors="replace").removeprefix("\ufeff")
    one_end = one_end or len(set(re.findall(r"\r\n|\n|\r", text.removesuffix("\r")))) > 1
    if one_end or encoding != "utf-8":
        file, packed = _rewritten(part, packed, encoding, one_end=one_end), "none"
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    told = lines[0].lower().startswith("sep=") and len(lines[0]) == len("sep=;")  # as Excel may begin
    skip = next((i for i, line in enumerate(lines) if i >= told and line.strip() and line[:1] != "#"), len(lines))
    if skip == len(lines):
        raise DataError(f"{part} has no line with names. Give a file with a header and at least one row.")
    head = lines[skip]
    sep = lines[0][-1] if told else max(SEPARATORS, key=head.count)
    if skip and lines[skip - 1][:1] == "#" and sep in lines[skip - 1]:  # a header that begins so
        skip, head = skip - 1, lines[skip - 1]
    rest = lines[skip + 1 : -1]
    quote = _quote(head, rest, sep)
    fields, *some = _cells([head, *rest[:FIRST]], sep, quote)
    header = not _is_row(fields, some)
    names = [(header and f.strip()) or f"column {i}" for i, f in enumerate(fields, 1)]
    if twice := [n for i, n in enumerate(names) if n in names[:i]]:
        raise DataError(f"{part.name}: the column {twice[0]} stands there twice. Keep one of the two, or rename one.")
    escape = "\\" if quote and f"\\{quote}" in text else quote
    nothing = "['']" if escape == "\\" else f"['', {literal(NOTHING)}]"
    options = (
        f"header={str(header).lower()}, skip={skip}, sep={literal(sep)}, quote={literal(quote)}, "
        f"escape={literal(escape)}, compression={literal(packed)}, nullstr={nothing}"
    )
    return _Dialect(file=file, options=options, fields=fields, names=names)


def _cells(lines: list[str], sep: str, quote: str) -> list[list[str]]:
    if len(sep) > 1:
        return [line.split(sep) for line in lines]
    if not quote:
        return list(csv.reader(lines, delimiter=sep, quoting=csv.QUOTE_NONE))
    return list(csv.reader(lines, delimiter=sep, quotechar=quote))


def _is_row(fields: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line of a text is a row like the others: it has a number or a date, and no name.

    A cell is no name where it has a digit, is empty, or stands in its column again.
    """
    numbered = [[str(i + first) for i in range(len(fields))] for first in (0, 1)]
    if list(fields) in numbered:  # as a frame without names is written
        return False
    again = [{row[i] for row in rows if i < len(row)} for i in range(len(fields))]
    values = any(re.fullmatch(r"[-+]?\d+([.,:/\- ]\d+)*([ T]?[AP]M)?", f.strip()) for f in fields)
    return values and all(not f.strip() or re.search(r"\d", f) or f in of for f, of in zip(fields, again, strict=True))


def _quote(head: str, lines: list[str], sep: str) -> str:
    """The quoting character: none in tab-separated text where a cell has a lone one, as databases write it."""
    if "'" in head and all(len(f) > 1 and f[0] == f[-1] == "'" for f in head.split(sep)):
        return "'"
    lone = any(cell.count('"') % 2 for line in (head, *lines[:5000]) for cell in line.split(sep))
    return "" if sep in ("\t", "\x01") and lone else '"'


def encoding_of(sample: bytes) -> str:
    """UTF-16 or UTF-8 by their marks and by whether the bytes are, else Windows-1252, which reads nearly anything."""
    if sample.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for bytes_, encoding in ((sample[1::2], "utf-16-le"), (sample[::2], "utf-16-be")):
        if bytes_.count(0) > len(sample) / 4:
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _rewritten(part: Path, packed: str, encoding: str, *, one_end: bool) -> Path:
    """A copy in UTF-8, whose lines may have `one_end`; gone when the process ends."""
    copy = spare_file(".csv")
    decoded = codecs.getincrementaldecoder(encoding)()
    decoder = io.IncrementalNewlineDecoder(decoded, translate=True) if one_end else decoded
    with (
        pa.input_stream(str(part), compression=None if packed == "none" else packed) as stream,
        copy.open("w", encoding="utf-8", newline="") as out,
    ):
        while chunk := stream.read(CHUNK):
            out.write(decoder.decode(chunk))
        out.write(decoder.decode(b"", final=True))
    return copy


# JSON and databases


def _json(parts: list[Path]) -> str:
    options = "sample_size=-1, maximum_object_size=67108864" + (
        f", union_by_name=true, filename={literal(FILE_NAME)}" if len(parts) > 1 else ""
    )
    found = engine().sql(f"select * from read_json({_list(parts)}, {options})")
    kinds = dict(zip(found.columns, map(str, found.types), strict=True))
    kinds.pop(FILE_NAME if len(parts) > 1 else "", None)
    columns = ", ".join(f"{literal(n)}: {literal(_as_text(kind))}" for n, kind in kinds.items())
    return f"read_json({_list(parts)}, {options.replace('sample_size=-1, ', '')}, columns={{{columns}}})"


def _as_text(kind: str) -> str:
    return "VARCHAR[]" if re.fullmatch(r"\w+\[\]", kind) else kind if "(" in kind and "[" in kind else "VARCHAR"


def _of_database(parts: list[Path], table: str) -> duckdb.DuckDBPyRelation:
    if len(parts) > 1:
        raise DataError(f"{parts[0].parent} holds {len(parts)} databases. Give one.")
    with parts[0].open("rb") as stream:
        lite = stream.read(16).startswith(b"SQLite format 3")
    return _sqlite(parts[0], table) if lite else _duckdb(parts[0], table)


def _duckdb(path: Path, table: str) -> duckdb.DuckDBPyRelation:
    alias = f"recab_{next(_NUMBERS)}"
    engine().execute(f"attach {literal(path)} as {alias} (read_only)")
    found = engine().execute(
        f"select schema_name, table_name from duckdb_tables() where database_name = '{alias}' union all "
        f"select schema_name, view_name from duckdb_views() where database_name = '{alias}' and not internal"
    )
    known = {t if s == "main" else f"{s}.{t}": f"{alias}.{name(s)}.{name(t)}" for s, t in found.fetchall()}
    return engine().sql(f"select * from {known[_chosen(table, known, path)]}")


def _sqlite(path: Path, table: str) -> duckdb.DuckDBPyRelation:
    """A copy in the engine, every cell as text: SQLite has types by cell, not by column."""
    from_here = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    try:
        known = [r[0] for r in from_here.execute("select name from sqlite_master where type in ('table', 'view')")]
        chosen = name(_chosen(table, known, path))
        columns = [r[1] for r in from_here.execute(f"pragma table_info({chosen})")]
        schema = pa.schema([(c, pa.string()) for c in columns])
        rows = from_here.execute(f"select {', '.join(f'cast({name(c)} as text)' for c in columns)} from {chosen}")
        chunk = iter(lambda: rows.fetchmany(100_000), [])
        batches = pa.RecordBatchReader.from_batches(
            schema,
            (pa.record_batch([pa.array(c, pa.string()) for c in zip(*b, strict=True)], schema) for b in chunk),
        )
        return kept(engine().from_arrow(batches))
    finally:
        from_here.close()


def _chosen(table: str, known: Sequence[str] | dict[str, str], path: Path) -> str:
    if table in known:
        return table
    if not table and len(known) == 1:
        return next(iter(known))
    given = f"has no table {table}" if table else "is a database"
    raise DataError(f"{path.name} {given}; its tables are {', '.join(known) or 'none'}. Name one: table=NAME.")
