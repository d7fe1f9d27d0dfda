"""MovieLens is read from a folder, or refused with what to do."""

import pooch
import pytest

from recab_helpers.data import load_dataset, movielens_dataset
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams
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
