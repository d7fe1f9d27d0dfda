"""What a foreign model returns is read rightly or refused in one sentence, never cut or taken in the order of rows."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from recab_helpers.errors import DataError
from recab_helpers.recommenders import checked_slates
from recab_helpers.recommenders.checked import as_table

USERS, ITEMS = np.array(["7", "u1"]), np.array(["i0", "i1", "i12", "i2", "i3"])
GOOD = pd.DataFrame(
    {"user_id": ["7"] * 3 + ["u1"] * 3, "position": [1, 2, 3] * 2, "item_id": ["i3", "i0", "i12", "i1", "i2", "i0"]}
)


def slates(table, k: int = 3) -> list[list[str]]:
    return ITEMS[checked_slates(table, USERS, ITEMS, k, source="models:/x/1")].tolist()


def test_the_position_is_the_rank_whatever_the_order_of_the_rows():
    for table in (GOOD, GOOD[::-1], GOOD.sample(frac=1, random_state=2), GOOD.astype({"position": str})):
        assert slates(table) == [["i3", "i0", "i12"], ["i1", "i2", "i0"]]


def test_more_than_k_items_are_cut_to_the_first_k():
    assert slates(GOOD[::-1], k=2) == [["i3", "i0"], ["i1", "i2"]]


def test_ids_are_text_however_they_were_stored():
    stored = GOOD.assign(user_id=[7] * 3 + ["u1"] * 3, item_id=[i.encode() for i in GOOD["item_id"]])
    assert slates(stored) == slates(GOOD)


def changed(row: int, **values) -> pd.DataFrame:
    table = GOOD.astype(object)
    table.loc[row, list(values)] = list(values.values())
    return table


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([["i0"], ["i1"]], "returned a list, no table"),
        (np.array([["i0"], ["i1"]]), "returned a numpy ndarray, no table"),
        (None, "returned nothing"),
        (changed(3, user_id=8), "returned the user '8', who was not asked for"),
        (GOOD[GOOD["position"] < 3], r"returned 2 items for the user 7; asked were 3 \(MLflow hands k over only where"),
        (GOOD.rename(columns={"item_id": "itemId"}), "returned user_id, position, itemId, without item_id"),
        (GOOD[:5], "returned 2 items for the user u1; asked were 3"),
        (GOOD[:3], "returned 0 items for the user u1; asked were 3"),
        (changed(0, user_id="u2"), "returned the user 'u2', who was not asked for"),
        (changed(2, position=4), "does not number the items of the user 7 from 1 to 3"),
        (changed(5, position=2), "does not number the items of the user u1 from 1 to 3"),
        (changed(0, position=None), "does not number the items of the user 7"),
        (changed(1, item_id="i123"), r"returned 1 item that the catalog lacks \('i123'; it has 'i0', 'i1'\)"),
        (changed(1, item_id=3), r"returned 1 item that the catalog lacks \('3'; it has 'i0', 'i1'\)"),
        (changed(4, item_id="i0"), "returned an item twice for the user u1"),
    ],
)
def test_what_breaks_the_contract_is_named(table, words):
    with pytest.raises(DataError, match=f"^models:/x/1 {words}.*A model returns user_id, position"):
        slates(table)


def test_rows_and_the_tables_of_other_libraries_are_tables():
    for answer in (GOOD.to_dict("records"), pa.Table.from_pandas(GOOD), pl.DataFrame(GOOD.to_dict("list"))):
        assert slates(as_table(answer)) == slates(GOOD)
    for other in ([["i0"]], [], {"user_id": ["7"]}, None, "i0", GOOD["item_id"]):
        assert as_table(other) is other
