"""How a text file is written: packed, encoded, divided and quoted, with names above its rows or without."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from recab_helpers.engine import literal, literals, spare_file
from recab_helpers.errors import DataError

SEPARATORS = ("\t", ";", ",", "|", "\x01", "::")  # the fifth is Hive's
SAMPLE_BYTES = 262_144
FIRST = 100  # rows that tell whether the line above them holds names
CHUNK = 1 << 22  # characters, and rows of a database, that are copied at once
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
NO_TABLE = {  # what a file is that begins so, and what to do
    b"PK\x03\x04": "a zip archive or an Excel workbook. Save it as CSV UTF-8, or as Parquet",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook. Save it as CSV UTF-8, or as Parquet",
    b"PAR1": "a Parquet file. End its name in .parquet",
    b"SQLi": "a database of SQLite. End its name in .sqlite",
}
NOTHING = "\\N"  # beside an empty cell, as databases write it


def read_text(parts: list[Path], *, one_end: bool, more: str) -> tuple[str, list[Path]]:
    """How DuckDB reads the parts, and the files that hold them; where lines are to have `one_end`, those of copies.

    `more` are further options of its reader.
    """
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
    read = " union all from ".join(
        f"read_csv({literals(files)}, auto_detect=false, {options}, columns={{{columns}}}{more})"
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
    plain = [n.casefold() for n in names]
    if twice := [n for i, n in enumerate(names) if plain[i] in plain[:i]]:
        case = "" if names.count(twice[0]) > 1 else ", in capital and small letters"
        raise DataError(
            f"{part.name}: the column {twice[0]} stands there twice{case}. Keep one of the two, or rename one."
        )
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
    """UTF-16 or UTF-8 by their marks and by whether the bytes are, else Windows-1252, which reads nearly anything.

    Text that is UTF-8 but for a few bytes is none of Windows-1252: its reader names the line.
    """
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
        read = sample.decode(errors="replace")
        beyond, odd = len(re.findall(r"[^\x00-\x7f]", read)), read.count("\ufffd")
        return "cp1252" if 2 * odd >= beyond else "utf-8"
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
