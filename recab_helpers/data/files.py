"""Own tables: one file, or a folder with an interactions and a catalog table, with columns named as they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from recab_helpers.cells import all_numbers, as_number, with_thousands
from recab_helpers.data.contract import CATALOG, INTERACTIONS, Contract, require_columns
from recab_helpers.data.dataset import Dataset, make_dataset
from recab_helpers.engine import name
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams
from recab_helpers.tables import ENDINGS, kind_of, open_file, parts_of, reading

SHOWN_FILES, SHOWN_COLUMNS = 5, 8


def own_tables(path: Path, params: TrainParams) -> Dataset:
    """The interactions of a file or a folder of parts, or of the table `interactions` of a folder, and their catalog.

    The catalog is `params.catalog_file`, or the table `catalog` of the folder; without one, items have only ids.
    `params.data_columns` says which columns of the files are those of the contracts. Where it names a title or a text
    and there is no catalog, these are columns of the interactions, of which the first row of an item tells.
    """
    interactions = (table_of(path, "interactions") if path.is_dir() else None) or path
    catalog = Path(params.catalog_file) if params.catalog_file else None
    if catalog is None and interactions != path:
        catalog = table_of(path, "catalog")
    told = catalog is None and bool({"title", "text"} & set(params.data_columns))
    of_items = interactions if told else catalog
    items = None if of_items is None else _renamed(of_items, CATALOG, params.data_columns)
    return make_dataset(
        path.name.partition(".")[0] or path.name,
        _renamed(interactions, INTERACTIONS, params.data_columns),
        items.drop_duplicates("item_id") if told and items is not None else items,
        relevant_rating=params.relevant_rating,
        not_rated=params.not_rated,
    )


def table_of(folder: Path, called: str) -> Path | None:
    """The one table of the folder that is called so, a file of an ending that is read or a folder of parts, if any.

    Raises:
        DataError: there are two.
    """
    names = {called, *(f"{called}{ending}" for ending in ENDINGS)}
    found = sorted(f for f in folder.glob(f"{called}*") if f.name in names and (f.is_dir() or f.name != called))
    if len(found) > 1:
        both = " and ".join(f.name for f in found)
        raise DataError(f"The folder {folder} holds {both}, which may differ. Keep one of them there.")
    return found[0] if found else None


def read_table(
    path: str | Path,
    *,
    text: Sequence[str] = ("user_id", "item_id"),
    numbers: Sequence[str] = (),
    times: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a table as `open_file` does; columns in `text` as they are written, so that "007" stays.

    Of a text file the other columns are whole numbers where every cell is one, those in `numbers` numbers, those in
    `times` moments; else text. Only an empty cell is an empty value: an item may be called NA. A list is the text of
    its parts.

    Raises:
        DataError: no such file, an unknown ending, a database, or a file that cannot be read.
    """
    if kind_of(parts_of(path)[0]) == "database":
        raise DataError(f"{path} is a database. Export its table of interactions, and its catalog, as CSV or Parquet.")
    relation, source = open_file(path, hold=True, times=times)
    with reading(source):
        kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
        asked = {name(c): c for c in numbers if kinds.get(c) == "VARCHAR"}
        for cell, odd in with_thousands(relation, list(asked)).items():
            raise DataError(f"{source}: column {asked[cell]} holds {odd}")
        read = {asked[cell]: f"{as_number(cell)} as {cell}" for cell in all_numbers(relation, list(asked))}
        read |= {c: f"{name(c)}::varchar as {name(c)}" for c in text if kinds.get(c, "").endswith("INT")}
        read |= {c: f"array_to_string({name(c)}, ' ') as {name(c)}" for c, kind in kinds.items() if kind == "VARCHAR[]"}
        return relation.project(", ".join(read.get(c, name(c)) for c in kinds)).to_arrow_table().to_pandas()


def contents_of(folder: Path) -> str:
    """Names and columns of the tables in a folder, for a message."""
    found = [f for f in sorted(folder.iterdir()) if f.is_file() and f.name.endswith(ENDINGS)]
    return " and ".join(f"{f.name} ({_columns(f)})" for f in found[:SHOWN_FILES]) or "no table that can be read"


def _columns(path: Path) -> str:
    try:
        names = open_file(path)[0].columns
    except DataError:
        return "which cannot be read"
    return ", ".join(names[:SHOWN_COLUMNS]) + (", …" if len(names) > SHOWN_COLUMNS else "")


def _renamed(path: Path, contract: Contract, columns: Mapping[str, str | list[str]]) -> pd.DataFrame:
    """The table with the columns of the contract, where `columns` says which of its own they are.

    Of several for an id, the one that this table has is taken; several for anything else are joined as text.

    Raises:
        DataError: a column that `columns` names, or that the contract requires, is not there.
    """
    names = [c.name for c in contract.columns]
    wanted = {n: columns[n] for n in names if n in columns}
    given: dict[str, list[str]] = {n: [c] if isinstance(c, str) else list(c) for n, c in wanted.items()}
    kinds: dict[str, list[str]] = {"id": [], "text": [], "number": [], "time": []}
    for c in contract.columns:
        kinds[c.kind] += [c.name, *given.get(c.name, [])]
    table = read_table(path, text=[*kinds["id"], *kinds["text"]], numbers=kinds["number"], times=kinds["time"])
    out = table[[c for c in table if c in names and c not in given]]
    for ours, mine in given.items():
        if ours.endswith("_id"):
            mine = [c for c in (*mine, ours) if c in table][:1] or mine
        if missing := [c for c in mine if c not in table]:
            raise DataError(
                f"data_columns says that {ours} is {' and '.join(missing)}, which {path.name} lacks; it has "
                f"{', '.join(map(str, table.columns))}. Correct it."
            )
        texts = [table[c].fillna("").astype(str) for c in mine]
        out = out.assign(**{ours: table[mine[0]] if len(mine) == 1 else texts[0].str.cat(texts[1:], sep=" ")})
    required = [c.name for c in contract.columns if c.required and c.name not in out]
    require_columns(table, required, source=path.name)
    return out
