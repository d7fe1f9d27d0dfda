"""MovieLens: any release from a local folder; `ml-latest-small` and `ml-100k` are downloaded once from GroupLens.

Harper and Konstan, The MovieLens Datasets, ACM TiiS 2015. The licence allows research use, not redistribution.
"""

from pathlib import Path

import pandas as pd
import pooch

from recab_helpers.data.dataset import Dataset, make_dataset
from recab_helpers.data.files import contents_of
from recab_helpers.dialects import SAMPLE_BYTES, encoding_of
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


def latest_small(folder: Path | None, params: TrainParams) -> Dataset:
    """`ml-latest-small`, or the folder of any release with movies.csv and ratings.csv (any latest, 20M, 25M)."""
    return movielens_dataset("ml-latest-small", folder, params.relevant_rating)


def ml_100k(folder: Path | None, params: TrainParams) -> Dataset:
    """`ml-100k`."""
    return movielens_dataset("ml-100k", folder, params.relevant_rating)


def ml_1m(folder: Path, params: TrainParams) -> Dataset:
    """The folder of a release with movies.dat and ratings.dat (1M, 10M)."""
    return movielens_dataset("ml-1m", folder, params.relevant_rating)


def movielens_dataset(name: str, folder: Path | None = None, relevant_rating: float | None = None) -> Dataset:
    """Read a release from `folder`, or `ml-latest-small` or `ml-100k` from the download cache when there is none.

    Raises:
        DataError: the folder lacks the files, or the download failed.
    """
    folder = folder or _download(name)
    ratings, movies = READERS.get(name, _read_latest)(folder)
    return make_dataset(folder.name or name, ratings, movies, relevant_rating=relevant_rating)


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
    text = movies["title"] + " " + _genres(movies["genres"])
    if (path / "tags.csv").is_file():
        tags = _read(path / "tags.csv").groupby("movieId")["tag"].agg(lambda t: " ".join(map(str, t.dropna())))
        text += " " + movies["item_id"].map(tags).fillna("")
    return ratings, movies.assign(text=text)


def _read_dat(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fields end in "::"; the ratings hold no other colon, so a single one divides them fast."""
    names = ["user_id", "_1", "item_id", "_2", "rating", "_3", "timestamp"]
    ratings = _read(path / "ratings.dat", sep=":", names=names, usecols=names[::2])
    movies = _read(path / "movies.dat", sep="::", names=["item_id", "title", "genres"], engine="python")
    return ratings, movies.assign(text=movies["title"] + " " + _genres(movies["genres"]))


def _genres(column: pd.Series) -> pd.Series:
    return column.replace("(no genres listed)", "").str.replace("|", " ")


def _read_100k(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    ratings = _read(path / "u.data", sep="\t", names=["user_id", "item_id", "rating", "timestamp"])
    columns = ["item_id", "title", "released", "video", "url", *ML_100K_GENRES]
    movies = _read(path / "u.item", sep="|", names=columns)
    genres = movies[ML_100K_GENRES] @ pd.Series({g: f"{g} " for g in ML_100K_GENRES})
    return ratings, movies.assign(text=movies["title"] + " " + genres)


READERS = {"ml-100k": _read_100k, "ml-1m": _read_dat}


def _read(file: Path, **options) -> pd.DataFrame:
    if not file.is_file():
        raise DataError(
            f"There is no {file.name} in {file.parent}, which holds {contents_of(file.parent)}. Give the folder of the "
            "whole unpacked MovieLens archive, dataset=ml-latest-small to download it, or your own file: "
            f"dataset={file.parent}/FILE."
        )
    with file.open("rb") as stream:
        encoding = encoding_of(stream.read(SAMPLE_BYTES))
    try:
        return pd.read_csv(file, encoding=encoding, **options)
    except (ValueError, UnicodeError, EOFError) as error:  # pandas' errors of parsing are the first
        said = str(error).rstrip(".")
        raise DataError(f"{file} cannot be read: {said}. Correct the line, or unpack the archive again.") from error
