"""Every way a table can break its contract gives one error that names the value and the way out."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.data import encode, has_words, make_dataset
from recab_helpers.errors import DataError, ParameterError

INTERACTIONS = pd.DataFrame({"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"], "rating": [5, 3, 4]})
CATALOG = pd.DataFrame({"item_id": ["x", "y"], "title": ["X", "Y"], "text": ["space war", "love story"]})


def test_good_tables_pass_and_ids_become_strings():
    dataset = make_dataset("own", INTERACTIONS.assign(user_id=[7, 7, 10]), CATALOG)
    assert list(dataset.interactions["user_id"]) == ["10", "7", "7"]


@pytest.mark.parametrize(
    ("interactions", "catalog", "words"),
    [
        (INTERACTIONS.drop(columns="user_id"), CATALOG, "lacks the column user_id"),
        (INTERACTIONS.iloc[:0], CATALOG, "has no rows"),
        (INTERACTIONS.assign(rating=[5, "good", 4]), CATALOG, "'good' in row 2"),
        (INTERACTIONS.assign(rating=[5, float("nan"), 4]), CATALOG, "in row 2"),
        (INTERACTIONS.assign(rating=[5, float("inf"), 4]), CATALOG, "in row 2"),
        (
            INTERACTIONS.assign(item_id=["7", "8", "x"]),
            CATALOG,
            r"2 of 3 interactions .*'7', '8'\); the catalog has 'x', 'y'",
        ),
        (INTERACTIONS.assign(user_id=["a", None, "b"]), CATALOG, "first in row 2"),
        (pd.concat([INTERACTIONS, INTERACTIONS[:1]]), CATALOG, "drop_duplicates"),
        (INTERACTIONS, pd.concat([CATALOG, CATALOG[:1]]), "repeat an earlier item_id"),
    ],
)
def test_a_broken_contract_is_named(interactions, catalog, words):
    with pytest.raises(DataError, match=words):
        make_dataset("own", interactions, catalog)


def test_the_digest_follows_the_rows_but_not_their_order():
    one = make_dataset("own", INTERACTIONS, CATALOG).digest()
    assert make_dataset("own", INTERACTIONS[::-1], CATALOG[::-1]).digest() == one
    assert make_dataset("own", INTERACTIONS.assign(rating=[5, 3, 5]), CATALOG).digest() != one


def test_an_id_longer_than_the_known_ones_is_refused_not_cut():
    """As a numpy string of the width of the known ids, "xy" would become "x"."""
    longer = make_dataset("own", INTERACTIONS.assign(item_id=["x", "y", "xy"])).interactions
    with pytest.raises(DataError, match=r"1 rows have an unknown item_id \('xy'\); there are 2, from x to y"):
        encode(longer, user_ids=np.array(["a", "b"]), item_ids=np.array(["x", "y"]))


def test_bare_events_are_counted():
    """Without a rating, rows of one user and item are a count, with the time of the last."""
    events = pd.concat([INTERACTIONS.drop(columns="rating").assign(timestamp=[1, 2, 3])] * 3)
    events.iloc[-1, events.columns.get_loc("timestamp")] = 9
    dataset = make_dataset("plays", events, CATALOG)
    assert list(dataset.interactions["rating"]) == [3, 3, 3]
    assert list(dataset.interactions["timestamp"]) == [1, 2, 9]
    assert dataset.interactions["liked"].all()


def test_items_that_the_catalog_lacks_are_known_by_their_id_and_counted():
    dataset = make_dataset("own", INTERACTIONS.assign(item_id=["x", "y", "z"]), CATALOG)
    assert dataset.catalog.iloc[-1].to_dict() == {"item_id": "z", "title": "z", "text": ""}
    assert dataset.read_as["items without a row in the catalog"] == "1, known by their id only"


def test_without_a_catalog_items_are_their_ids():
    dataset = make_dataset("own", INTERACTIONS)
    assert dataset.catalog.to_dict("list") == {"item_id": ["x", "y"], "title": ["x", "y"], "text": ["", ""]}
    assert not has_words(dataset.catalog)
    assert has_words(make_dataset("own", INTERACTIONS, CATALOG).catalog)


def test_a_rating_that_stands_for_none_is_asked_for_and_left_out():
    """-1 in anime lists says "seen, not rated"; it was taken for the least of the ratings."""
    lists = pd.DataFrame({"user_id": list("aaabbb"), "item_id": list("xyzxyz"), "rating": [-1, 7, 8, 10, -1, 3]})
    with pytest.raises(DataError, match=r"2 of 6 ratings are -1, the others run from 3 to 10.*not_rated=-1.*=none\."):
        make_dataset("anime", lists)
    rated = make_dataset("anime", lists, not_rated="-1")
    pd.testing.assert_frame_equal(rated.interactions, make_dataset("anime", lists[lists["rating"] > 0]).interactions)
    assert rated.read_as["interactions without a rating"] == "2, of the rating -1, left out"
    assert make_dataset("anime", lists, not_rated="none").interactions["rating"].min() == -1
    books = lists.assign(rating=[0, 7, 8, 10, 0, 3])
    assert make_dataset("books", books).read_as["zeros"].startswith("33% of the ratings; where 0 says")
    assert "zeros" not in make_dataset("books", books, not_rated="none").read_as
    assert make_dataset("books", books, not_rated="0").interactions["rating"].min() == 3
    with pytest.raises(ParameterError, match=r"not_rated is 0, which is no rating of anime interactions; they run"):
        make_dataset("anime", lists, not_rated="0")
    with pytest.raises(ParameterError, match="has events and no ratings"):
        make_dataset("anime", lists.drop(columns="rating"), not_rated="-1")
