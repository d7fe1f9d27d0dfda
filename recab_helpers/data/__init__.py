"""Data sets and their contracts: synthetic, MovieLens or own files, and the split for training."""

from pathlib import Path

import pandas as pd

from recab_helpers.data.movielens import movielens_dataset
from recab_helpers.data.split import split_interactions
from recab_helpers.data.synthetic import World, synthetic_dataset
from recab_helpers.data.dataset import (
    DataError,
    Dataset,
    Interactions,
    encode,
    ids_of,
    make_dataset,
    read_table,
)
from recab_helpers.parameters import TrainParams

__all__ = [
    "DataError",
    "Dataset",
    "Interactions",
    "World",
    "describe",
    "encode",
    "ids_of",
    "load_dataset",
    "make_dataset",
    "movielens_dataset",
    "read_table",
    "split_interactions",
    "synthetic_dataset",
]


def load_dataset(params: TrainParams) -> Dataset:
    """The data set that `params.dataset` names, checked against its contracts.

    It is `synthetic`, a MovieLens name to download once, or a folder that holds either the files of an unpacked
    MovieLens archive or own tables: interactions and catalog, each as .parquet, .csv, .csv.gz or .tsv.
    """
    if params.dataset == "synthetic":
        names = ("n_users", "n_items", "text_share", "mean_history", "seed")
        return synthetic_dataset(**{name: getattr(params, name) for name in names})
    folder = Path(params.dataset).expanduser()
    if not folder.is_dir():
        return movielens_dataset(params.dataset)
    if (folder / "ratings.csv").is_file():
        return movielens_dataset("ml-latest-small", folder)
    if (folder / "u.data").is_file():
        return movielens_dataset("ml-100k", folder)
    return make_dataset(folder.name, _own_table(folder, "interactions"), _own_table(folder, "catalog"))


def _own_table(folder: Path, name: str) -> pd.DataFrame:
    files = sorted(f for f in folder.glob(f"{name}.*"))
    if not files:
        raise DataError(
            f"The folder {folder} holds no {name} table (nor MovieLens files). Put {name}.csv or {name}.parquet there."
        )
    return read_table(files[0])


def describe(dataset: Dataset, train: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    """Users, items, interactions and mean rating of the whole data set and of both parts."""
    parts = {"all": dataset.interactions, "train": train, "held out": held_out}
    rows = {
        name: {
            "users": t["user_id"].nunique(),
            "items": t["item_id"].nunique(),
            "interactions": len(t),
            "mean_rating": t["rating"].mean(),
        }
        for name, t in parts.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(dataset.name)
