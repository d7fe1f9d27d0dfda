"""MovieLens is read from a folder, or refused with what to do."""

from functools import partial

import pooch
import pytest

from recab_helpers.data import load_dataset, movielens_dataset
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.parameters import TrainParams
from recab_helpers.pipeline.values import check_values
from tests.conftest import shared


def test_latest_small_has_the_published_counts():
    dataset = load_dataset(TrainParams(dataset=str(shared("data/ml-latest-small"))))
    assert len(dataset.interactions) == 100_004
    assert dataset.interactions["user_id"].nunique() == 671
    assert len(dataset.catalog) == 9_125
    toy_story = dataset.catalog.set_index("item_id").loc["1"]
    assert toy_story["title"] == "Toy Story (1995)"
    assert "Animation" in toy_story["text"]


def test_the_100k_layout_is_read(tmp_path):
    (tmp_path / "u.data").write_text("1\t2\t5\t881250949\n2\t1\t3\t881250950\n")
    genres = "0|1" + "|0" * 17
    (tmp_path / "u.item").write_text(
        f"1|Toy Story (1995)|01-Jan-1995||u|{genres}\n2|Cine\xe9|||u|{genres}\n", "latin-1"
    )
    dataset = load_dataset(TrainParams(dataset=str(tmp_path)))
    assert list(dataset.catalog["text"]) == ["Toy Story (1995) Action ", "Cineé Action "]


def test_no_network_says_what_to_do(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(DataError, match=r"download failed.*dataset=path/to/ml-100k"):
        movielens_dataset("ml-100k")
    with pytest.raises(DataError, match=r"There is no ratings.csv in .*, which holds no table"):
        movielens_dataset("ml-latest-small", tmp_path)


def test_other_releases_are_read_with_and_without_tags(tmp_path):
    """Made-up rows in the layouts of latest (any date, no tags) and of 1M."""
    csv, dat = tmp_path / "ml-latest", tmp_path / "ml-1m"
    csv.mkdir()
    dat.mkdir()
    (csv / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,4.5,1260759144\n2,2,5.0,1260759144\n")
    (csv / "movies.csv").write_text('movieId,title,genres\n2,"City, The: Part I (1995)",Action|Drama\n')
    (dat / "ratings.dat").write_text("1::2::5::978300760\n2::2::3::978300761\n")
    (dat / "movies.dat").write_text("2::City, The: Part I (1995)::Action|Drama\n3::Caf\xe9::Drama\n", "latin-1")
    (csv / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,2,,1\n1,2,funny,1\n")
    assert load_dataset(TrainParams(dataset=str(csv))).catalog["text"].iloc[0].endswith("Drama funny")
    (csv / "tags.csv").unlink()
    for folder in (csv, dat):
        dataset = load_dataset(TrainParams(dataset=str(folder)))
        assert dataset.name == folder.name
        assert list(dataset.interactions["item_id"]) == ["2", "2"]
        assert dataset.catalog["text"].iloc[0] == "City, The: Part I (1995) Action Drama"
    assert list(dataset.catalog["title"]) == ["City, The: Part I (1995)", "Caf\xe9"]


def test_columns_of_a_known_layout_are_not_named_nor_is_what_stands_for_no_rating(tmp_path):
    (tmp_path / "movies.csv").touch()
    for given in ({"data_columns": {"item_id": "movieId"}}, {"not_rated": "0"}):
        values = {"dataset": str(tmp_path), **given}
        for refuse in (lambda values: load_dataset(TrainParams(**values)), partial(check_values, "train")):
            with pytest.raises(ParameterError, match="whose columns, catalog and ratings are known"):
                refuse(values)


def test_a_line_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "ratings.dat").write_text("1::2::5::978300760\n")
    (tmp_path / "movies.dat").write_text("2::Heat::Drama\n3::Face::Off::Drama\n")
    with pytest.raises(DataError, match=r"movies\.dat cannot be read: .*line 2.*Correct the line"):
        load_dataset(TrainParams(dataset=str(tmp_path)))
