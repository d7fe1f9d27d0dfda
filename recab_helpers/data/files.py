"""Own tables: one file, or a folder with an interactions and a catalog table, with columns named as they are."""

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from recab_helpers.data.contract import CATALOG, INTERACTIONS
from recab_helpers.data.dataset import Dataset, make_dataset
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams

ENDINGS = (".parquet", *(f"{e}{z}" for e in (".csv", ".tsv", ".txt", ".dat") for z in ("", ".gz")))
PARTS = "part-*.parquet"  # as Spark writes a table
SEPARATORS = "\t;,|"
SAMPLE_BYTES = 65_536
NO_NA: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
SHOWN_FILES, SHOWN_COLUMNS = 5, 8


def own_tables(path: Path, params: TrainParams) -> Dataset:
    """The interactions in the file `path`, or in the table `interactions` of the folder, and their catalog.

    The catalog is `params.catalog_file`, or the table `catalog` of the folder; without one, items have only ids.
    `params.data_columns` says which columns of the files are those of the contracts.
    """
    whole = path.is_dir() and not _parts(path)
    interactions = table_of(path, "interactions") if whole else path
    if interactions is None:
        raise DataError(f"The folder {path} holds no interactions table. Put interactions.csv there.")
    catalog = Path(params.catalog_file) if params.catalog_file else table_of(path, "catalog") if whole else None
    return make_dataset(
        path.name.partition(".")[0] or path.name,
        _renamed(interactions, [c.name for c in INTERACTIONS.columns], params.data_columns),
        None if catalog is None else _renamed(catalog, [c.name for c in CATALOG.columns], params.data_columns),
        relevant_rating=params.relevant_rating,
    )


def table_of(folder: Path, name: str) -> Path | None:
    """The one file of the folder that is called `name` and has an ending that can be read; None without one.

    Raises:
        DataError: there are two.
    """
    found = [folder / f"{name}{ending}" for ending in ENDINGS if (folder / f"{name}{ending}").exists()]
    if len(found) > 1:
        names = " and ".join(f.name for f in found)
        raise DataError(f"The folder {folder} holds {names}, which may differ. Keep one of them there.")
    return found[0] if found else None


def read_table(path: str | Path, *, text: Sequence[str] = ("user_id", "item_id")) -> pd.DataFrame:
    """Read a file, or a folder of Parquet parts; columns in `text` as they are written, so that "007" stays.

    The separator of a text file is found in its first line; its encoding is UTF-8, UTF-16 with its mark, or Latin-1.
    Only an empty cell is an empty value: an item may be called NA.

    Raises:
        DataError: no such file, an unknown ending, or a file that cannot be read.
    """
    path = Path(path).expanduser()
    if not path.is_file() and not _parts(path):
        raise DataError(f"There is no file {path}. Give the path of a {', '.join(ENDINGS[:3])} file, or the like.")
    if path.is_dir() or path.name.endswith(".parquet"):
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error} Export it again.") from error
    if not path.name.endswith(ENDINGS):
        raise DataError(f"{path} is none of {', '.join(ENDINGS)}. Convert it to one of these.")
    try:
        encoding = encoding_of(path)
        head = _open(path, encoding).readline()
        if not head.strip():
            raise DataError(f"{path} is empty. Give a file with a header and at least one row.")
        return pd.read_csv(path, encoding=encoding, dtype=dict.fromkeys(text, str), **NO_NA, **_dialect(head))
    except (EOFError, UnicodeError, OSError, pd.errors.ParserError) as error:
        raise DataError(
            f"{path} cannot be read: {str(error).strip()}. It may be cut short; export it again."
        ) from error


def contents_of(folder: Path) -> str:
    """Names and columns of the tables in a folder, for a message."""
    found = [f for f in sorted(folder.iterdir()) if f.is_file() and f.name.endswith(ENDINGS)]
    return " and ".join(f"{f.name} ({_columns(f)})" for f in found[:SHOWN_FILES]) or "no table that can be read"


def _columns(path: Path) -> str:
    try:
        if path.name.endswith(".parquet"):
            names = pq.read_schema(path).names
        else:
            head = _open(path, encoding_of(path)).readline()
            names = next(csv.reader([head.strip()], delimiter=_dialect(head)["sep"]), [])
    except (OSError, ValueError, csv.Error):
        return "which cannot be read"
    return ", ".join(names[:SHOWN_COLUMNS]) + (", …" if len(names) > SHOWN_COLUMNS else "")


def _parts(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob(PARTS))


def _renamed(path: Path, names: list[str], columns: Mapping[str, str | list[str]]) -> pd.DataFrame:
    """The table with the columns `names`, where `columns` says which of its own they are.

    Of several for an id, the one that this table has is taken; several for anything else are joined as text.

    Raises:
        DataError: a column that `columns` names is not there.
    """
    wanted = {n: columns[n] for n in names if n in columns}
    given: dict[str, list[str]] = {n: [c] if isinstance(c, str) else list(c) for n, c in wanted.items()}
    ids = [n for n in names if n.endswith("_id")]
    table = read_table(path, text=[*ids, *(c for n in ids for c in given.get(n, []))])
    out = table[[c for c in table if c in names and c not in given]]
    for name, mine in given.items():
        if name in ids:
            mine = [c for c in (*mine, name) if c in table][:1] or mine
        if missing := [c for c in mine if c not in table]:
            raise DataError(
                f"data_columns says that {name} is {' and '.join(missing)}, which {path.name} lacks; it has "
                f"{', '.join(map(str, table.columns))}. Correct it."
            )
        texts = [table[c].fillna("").astype(str) for c in mine]
        out = out.assign(**{name: table[mine[0]] if len(mine) == 1 else texts[0].str.cat(texts[1:], sep=" ")})
    return out


def _open(path: Path, encoding: str):
    opened = gzip.open if path.name.endswith(".gz") else open
    return opened(path, "rt", encoding=encoding)


def encoding_of(path: Path) -> str:
    """UTF-16 or UTF-8 by their marks and by whether the first bytes are, else Latin-1, which reads anything."""
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rb") as stream:
        sample = stream.read(SAMPLE_BYTES)
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        sample[: sample.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _dialect(head: str) -> dict[str, Any]:
    """How a file whose first line is this is divided, and what its quotes mean."""
    sep = max(SEPARATORS, key=head.count)
    if '"' not in head and sep == "\t":
        return {"sep": sep, "quoting": csv.QUOTE_NONE}  # as databases and Last.FM write it
    return {"sep": sep} | ({"escapechar": "\\"} if sep == ";" else {})
