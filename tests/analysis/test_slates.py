"""What variants show: coverage, concentration and popularity in closed form."""

import pandas as pd
import pytest

from recab_helpers.analysis.slates import SHOWN_COLUMNS, shown_table


def items(**by_variant: str) -> pd.DataFrame:
    """Impressions by item and variant, from the items that each variant showed."""
    shown = {v.replace("_vs_", " vs "): pd.Series(list(i)).value_counts() for v, i in by_variant.items()}
    return pd.DataFrame(shown).fillna(0).astype(int).rename_axis("item_id")


def test_coverage_concentration_and_popularity_of_what_is_shown():
    popularity = pd.Series({"x": 8, "y": 2, "z": 0, "never": 0, "nor": 0})
    found = shown_table(items(control="xxy", treatment="z"), popularity)
    assert found.index.tolist() == ["control", "treatment", "past interactions"]
    assert found["items_shown"].tolist() == [2, 1, 2]
    assert found["coverage"].tolist() == pytest.approx([2 / 5, 1 / 5, 2 / 5])
    assert found["mean_popularity"].tolist() == pytest.approx([(8 + 8 + 2) / 3, 0, (8 * 8 + 2 * 2) / 10])
    assert found["head"].tolist() == pytest.approx([2 / 3, 0, 0.8])  # the head is x, a fifth of the catalog
    assert (found["most_shown"] == 1).all()  # fewer than ten items


def test_without_a_catalog_coverage_is_of_the_log_and_popularity_is_left_out():
    found = shown_table(items(control="x", treatment="y"))
    assert found["coverage"].tolist() == [0.5, 0.5]
    assert list(found) == ["items_shown", "coverage", "most_shown"]


def test_an_item_that_the_catalog_lacks_is_shown_and_was_never_met():
    found = shown_table(items(control="xq", treatment="x"), pd.Series({"x": 4, "y": 1}))
    assert found.loc["control", "items_shown"] == 2
    assert found.loc["control", "mean_popularity"] == pytest.approx(2)


def test_the_ten_most_shown_hold_their_share_of_all_impressions():
    shown = "a" * 5 + "bcdefghijklmnop"  # 20 impressions; ten items hold 5 + 9
    assert shown_table(items(control=shown, treatment="a"))["most_shown"].tolist() == pytest.approx([14 / 20, 1])


def test_variants_stand_in_order_under_their_whole_names():
    found = shown_table(items(new_vs_old="x", b="y", control="z"))
    assert found.index.tolist() == ["control", "b", "new vs old"]


def test_the_table_holds_the_columns_that_are_described():
    found = shown_table(items(control="x", treatment="y"), pd.Series({"x": 1, "y": 1}))
    assert list(found) == list(SHOWN_COLUMNS)
    assert found.index.name == "variant"
