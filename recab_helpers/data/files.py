"""Own tables: reading one file, and a folder with an interactions and a catalog table."""

from pathlib import Path

import pandas as pd

from recab_helpers.data.dataset import Dataset, make_dataset
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams


def own_tables(folder: Path, params: TrainParams) -> Dataset:
    """The tables `interactions` and `catalog` of the folder, each as .parquet, .csv, .csv.gz or .tsv."""
    return make_dataset(folder.name, _table_of(folder, "interactions"), _table_of(folder, "catalog"))


def _table_of(folder: Path, name: str) -> pd.DataFrame:
    files = sorted(folder.glob(f"{name}.*"))
    if not files:
        raise DataError(f"The folder {folder} holds no {name} table. Put {name}.csv or {name}.parquet there.")
    return read_table(files[0])


def read_table(path: str | Path) -> pd.DataFrame:
    """Read .parquet, .csv, .csv.gz or .tsv.

    Raises:
        DataError: no such file, an unknown ending, or an empty file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a .parquet, .csv, .csv.gz or .tsv file.")
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            return pd.read_parquet(path)
        if name.endswith((".csv", ".tsv")):
            separator = "\t" if name.endswith(".tsv") else ","
            return pd.read_csv(path, sep=separator, dtype={"user_id": str, "item_id": str})
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty. Give a file with a header and at least one row.") from None
    raise DataError(f"{path} is neither .parquet, .csv, .csv.gz nor .tsv. Convert it to one of these.")
