"""A bad cell is named by the row and file that it stands in."""

import pandas as pd

from tests.made import LOG, refusal


def test_the_row_of_a_bad_cell_is_that_of_its_file(tmp_path):
    (tmp_path / "log").mkdir()
    for i, part in enumerate(
        (LOG, LOG.assign(slate_id=LOG["slate_id"] + 10), LOG.assign(slate_id=LOG["slate_id"] + 20))
    ):
        clicked = part["clicked"].astype(str).where(~((part.index == 3) & (i == 1)), "maybe")
        part.assign(clicked=clicked).to_csv(tmp_path / "log" / f"part-{i}.csv", index=False)
    assert "log: column clicked holds 'maybe' in row 4 of part-1; it must be" in refusal(tmp_path / "log")


def test_rows_are_counted_as_they_lie_whatever_was_made_of_them(tmp_path):
    mixed = LOG.assign(experiment=["b"] * 2 + ["a"] * 4, clicked=["0", "1", "0", "1", "maybe", "0"])
    mixed = pd.concat([mixed, mixed.assign(experiment="a", clicked="1", slate_id=LOG["slate_id"] + 10)])
    assert "holds 'maybe' in row 5;" in refusal(mixed, only={"experiment": "a"})
    slates = LOG.groupby(["user_id", "slate_id", "variant", "day"]).agg(
        item_id=("item_id", list), clicked=("clicked", list)
    )
    slates.reset_index().assign(day=["0", "1", "soon", "2"]).to_parquet(tmp_path / "log.parquet")
    assert "column day holds 'soon' in row 3 " in refusal(tmp_path / "log.parquet")
