"""A log of one row a slate says what the same log of one row an item says."""

import pandas as pd

from recab_helpers.impressions import read_log
from tests.made import COUNTS_OF_LOG, LOG, counts_of, refusal


def _joined(values: list) -> str:
    return "|".join(map(str, values))


def test_a_row_a_slate_with_lists_is_unfolded(tmp_path):
    by = LOG.groupby(["user_id", "slate_id", "variant", "day"])
    lists = by.agg(item_id=("item_id", list), clicked=("clicked", list)).reset_index()
    mind = by.apply(lambda g: " ".join(f"{i}-{c}" for i, c in zip(g["item_id"], g["clicked"], strict=True)))
    named = by.apply(lambda g: g.loc[g["clicked"] == 1, "item_id"].tolist()).rename("clicked")
    texts = lists.assign(
        clicked=lists["clicked"].map(str), item_id=lists["item_id"].map(lambda x: str(x).replace("'", '"'))
    )
    tables = {
        "lists": lists,
        "MIND": mind.rename("item_id").reset_index(),
        "clicked items": lists.drop(columns="clicked").merge(named.reset_index()),
        "JSON": texts,
        "joined": lists.assign(clicked=lists["clicked"].map(_joined), item_id=lists["item_id"].map(_joined)),
        "the clicked item": lists.drop(columns="clicked").merge(named.map(_joined).reset_index()),
        "as Python writes lists": lists.assign(clicked=lists["clicked"].map(str), item_id=lists["item_id"].map(str)),
    }
    for kind, table in tables.items():
        table.to_parquet(tmp_path / "log.parquet")
        assert counts_of(read_log(tmp_path / "log.parquet")) == COUNTS_OF_LOG, kind


def test_clicks_that_are_no_items_of_their_slate_are_refused():
    """Places in the slate were read as items that nobody was shown: no click at all."""
    by = LOG.groupby(["user_id", "slate_id", "variant", "day"])
    slates = by.agg(item_id=("item_id", list)).reset_index()
    places = by.apply(lambda g: [str(i) for i, c in enumerate(g["clicked"]) if c]).rename("clicked").reset_index()
    assert "which is no item of its slate (3 of 3 are none). Name the items" in refusal(slates.merge(places))


def test_lists_of_unequal_length_are_refused():
    slates = LOG.groupby(["user_id", "slate_id", "variant", "day"]).agg(list).reset_index()
    slates = pd.concat([slates] * 300, ignore_index=True).assign(slate_id=range(1200))
    joined = slates.assign(clicked=slates["clicked"].map(_joined), item_id=slates["item_id"].map(_joined))
    joined.loc[1100, "clicked"] = "0|1|0"
    assert "in 1 rows the lists of item_id and clicked are not equally long" in refusal(joined.drop(columns="position"))
