"""MovieLens `ml-latest-small` and `ml-100k`, from a local folder or downloaded once from GroupLens.

Harper and Konstan, The MovieLens Datasets, ACM TiiS 2015. The licence allows research use, not redistribution.
"""

from pathlib import Path

import pandas as pd
import pooch

from recab_helpers.data.dataset import Dataset, make_dataset
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams

SHA256 = {
    "ml-latest-small": "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    "ml-100k": "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
}
URL = "https://files.grouplens.org/datasets/movielens/{name}.zip"
ML_100K_GENRES = (
    "unknown|Action|Adventure|Animation|Children|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|"
    "Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
).split("|")


def latest_small(folder: Path | None, _: TrainParams) -> Dataset:
    """`ml-latest-small`."""
    return movielens_dataset("ml-latest-small", folder)


def ml_100k(folder: Path | None, _: TrainParams) -> Dataset:
    """`ml-100k`."""
    return movielens_dataset("ml-100k", folder)


def movielens_dataset(name: str, folder: Path | None = None) -> Dataset:
    """Read `ml-latest-small` or `ml-100k` from `folder`, or from the download cache when there is none.

    Raises:
        DataError: the folder lacks the files, or the download failed.
    """
    read = _read_100k if name == "ml-100k" else _read_latest
    return make_dataset(name, *read(folder or _download(name)))


def _download(name: str) -> Path:
    cache = pooch.os_cache("recab")
    try:
        files = pooch.retrieve(
            URL.format(name=name),
            known_hash=f"sha256:{SHA256[name]}",
            path=cache,
            fname=f"{name}.zip",
            processor=pooch.Unzip(),
            progressbar=True,
        )
    except Exception as error:
        raise DataError(
            f"{name} is not in the cache {cache} and the download failed ({type(error).__name__}: {error}). "
            f"Connect to the network, or unpack the archive yourself and name its folder: dataset=path/to/{name}."
        ) from error
    return min((Path(f).parent for f in files), key=lambda p: len(p.parts))


def _read_latest(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    ratings = _read(path / "ratings.csv").rename(columns={"userId": "user_id", "movieId": "item_id"})
    movies = _read(path / "movies.csv").rename(columns={"movieId": "item_id"})
    genres = movies["genres"].replace("(no genres listed)", "").str.replace("|", " ")
    tags = _read(path / "tags.csv").groupby("movieId")["tag"].agg(lambda t: " ".join(map(str, t)))
    text = movies["title"] + " " + genres + " " + movies["item_id"].map(tags).fillna("")
    return ratings, movies.assign(text=text)


def _read_100k(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    ratings = _read(path / "u.data", sep="\t", names=["user_id", "item_id", "rating", "timestamp"])
    columns = ["item_id", "title", "released", "video", "url", *ML_100K_GENRES]
    movies = _read(path / "u.item", sep="|", names=columns, encoding="latin-1")
    genres = movies[ML_100K_GENRES] @ pd.Series({g: f"{g} " for g in ML_100K_GENRES})
    return ratings, movies.assign(text=movies["title"] + " " + genres)


def _read(file: Path, **options) -> pd.DataFrame:
    if not file.is_file():
        raise DataError(
            f"There is no {file.name} in {file.parent}. Give the folder of the whole unpacked MovieLens archive, "
            "or dataset=ml-latest-small to download it."
        )
    return pd.read_csv(file, **options)
