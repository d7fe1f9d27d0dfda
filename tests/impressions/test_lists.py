"""A log of one row a slate says what the same log of one row an item says."""

from recab_helpers.impressions import read_log
from tests.made import COUNTS_OF_LOG, LOG, counts_of


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
        "as Python writes lists": lists.assign(clicked=lists["clicked"].map(str), item_id=lists["item_id"].map(str)),
    }
    for kind, table in tables.items():
        table.to_parquet(tmp_path / "log.parquet")
        assert counts_of(read_log(tmp_path / "log.parquet")) == COUNTS_OF_LOG, kind
