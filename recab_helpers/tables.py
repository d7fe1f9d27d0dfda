"""A table in any file that DuckDB reads, as one lazy relation: text files, Parquet, folders of parts, databases.

The cells of a text file stay text, as they were written: "007" keeps its zeros, and a user may be called NA.
"""

import csv
import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import duckdb
import pyarrow as pa

from recab_helpers.cells import held, refuse_swallowed_rows
from recab_helpers.dialects import read_text
from recab_helpers.engine import engine, kept, literal, literals, name
from recab_helpers.errors import DataError

TEXTS = (".csv", ".tsv", ".tab", ".txt", ".dat")
JSONS = (".jsonl", ".ndjson", ".json")
DATABASES = (".duckdb", ".ddb", ".sqlite", ".sqlite3", ".db")
PACKED = ("", ".gz", ".zst")
ENDINGS = (".parquet", *(f"{e}{z}" for e in (*TEXTS, *JSONS) for z in PACKED), *DATABASES)
PACKS = (".zip", ".7z", ".rar", ".tar", ".tar.gz", ".tgz", ".bz2", ".xz")
FILE_NAME = "file_name"  # column of the part that a row comes from, of a folder or a glob
_NUMBERS = count()
TWO_ENDS = ("state machine reached an invalid state", "unterminated quote")  # of text whose lines end in LF and in CRLF


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
        if part.name.lower().endswith(PACKS):
            raise DataError(f"{part} is packed as it is not read. Unpack it, or pack the file alone as .gz or .zst.")
        if not part.name.lower().endswith(ENDINGS):
            plain = ", ".join((".parquet", *TEXTS, *JSONS, *DATABASES))
            raise DataError(f"{part} is none of {plain}, nor a text as .gz or .zst. Convert it to one of these.")
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
        read = f"read_parquet({literals(parts)}{_several(parts)})"
    elif kind == "json":
        read = _json(parts)
    else:
        many = f", filename={literal(FILE_NAME)}" if len(parts) > 1 else ""
        read, files = read_text(parts, one_end=one_end, more=many)
    relation = engine().sql(f"select * from {read}")
    if FILE_NAME in relation.columns and len(parts) > 1:
        called = ", ".join(map(literal, _called(parts)))
        relation = relation.project(f"* replace (map({literals(files)}, [{called}])[{FILE_NAME}] as {FILE_NAME})")
    relation.limit(1).fetchall()
    return held(relation, times) if hold and kind in ("text", "json") else relation


def _called(parts: Sequence[Path]) -> list[str]:
    """The names of files without their endings, with the folders that tell them apart where two have one name."""
    stems = [re.sub(r"(?<=.)(\.[A-Za-z]+\d?)+$", "", p.name) for p in parts]
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
    bare = re.sub(r"\.(gz|zst)$", "", part.name.lower())
    if bare.endswith(".parquet"):
        return "parquet"
    if bare.endswith(JSONS):
        return "json"
    return "database" if bare.endswith(DATABASES) else "text"


def _hidden(file: Path, root: Path) -> bool:
    inside = file.relative_to(root).parts if root.is_dir() else (file.name,)
    return any(p.startswith((".", "_")) for p in inside)


def _several(parts: Sequence[Path]) -> str:
    """Options for several files: columns by name, those of folders named `day=2026-05-01` too."""
    hive = "hive_partitioning=true, hive_types_autocast=false"
    return f", union_by_name=true, {hive}, filename={literal(FILE_NAME)}" if len(parts) > 1 else ""


# JSON and databases


def _json(parts: list[Path]) -> str:
    options = "sample_size=-1, maximum_object_size=67108864" + (
        f", union_by_name=true, filename={literal(FILE_NAME)}" if len(parts) > 1 else ""
    )
    found = engine().sql(f"select * from read_json({literals(parts)}, {options})")
    kinds = dict(zip(found.columns, map(str, found.types), strict=True))
    kinds.pop(FILE_NAME if len(parts) > 1 else "", None)
    columns = ", ".join(f"{literal(n)}: {literal(_as_text(kind))}" for n, kind in kinds.items())
    return f"read_json({literals(parts)}, {options.replace('sample_size=-1, ', '')}, columns={{{columns}}})"


def _as_text(kind: str) -> str:
    return "VARCHAR[]" if re.fullmatch(r"\w+\[\]", kind) else kind if "(" in kind and "[" in kind else "VARCHAR"


def _of_database(parts: list[Path], table: str) -> duckdb.DuckDBPyRelation:
    if len(parts) > 1:
        raise DataError(f"{parts[0].parent} holds {len(parts)} databases. Give one.")
    with parts[0].open("rb") as stream:
        lite = stream.read(16).startswith(b"SQLite format 3")
    return _sqlite(parts[0], table) if lite else _duckdb(parts[0], table)


def _duckdb(path: Path, table: str) -> duckdb.DuckDBPyRelation:
    alias = f"recab_file_{next(_NUMBERS)}"
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
