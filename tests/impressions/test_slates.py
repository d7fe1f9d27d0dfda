"""What two models show the same users, in closed form, and the users that a report looks at."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.impressions.slates import HISTORY_SHOWN, OVERLAP_COLUMNS, example_users, examples, overlap
from recab_helpers.impressions.sources import open_table
from tests.made import log_like, rows_of


def slates(**by_variant) -> pd.DataFrame:
    """A recommendations table from lists of items per user, `control={"a": ["x", "y"]}`."""
    rows = [
        (user, variant, position, item)
        for variant, users in by_variant.items()
        for user, items in users.items()
        for position, item in enumerate(items, 1)
    ]
    return pd.DataFrame(rows, columns=["user_id", "variant", "position", "item_id"])


def log(*rows) -> pd.DataFrame:
    """A log from (user, slate, variant, item, clicked) with the positions counted within slates."""
    table = pd.DataFrame(rows, columns=["user_id", "slate_id", "variant", "item_id", "clicked"])
    return table.assign(position=table.groupby("slate_id").cumcount() + 1, day=0)


def test_overlap_counts_items_whatever_their_position():
    control = {"a": ["x", "y"], "b": ["x", "y"], "c": ["x", "y"]}
    table = slates(control=control, treatment={"a": ["y", "x"], "b": ["y", "z"], "c": ["v", "w"]})
    [row] = overlap(open_table(table)).to_dict("records")
    assert (row["variant"], row["against"], row["slate_size"]) == ("treatment", "control", 2)
    assert row["in_common"] == pytest.approx(1)
    assert (row["none_in_common"], row["all_in_common"]) == pytest.approx((1 / 3, 1 / 3))


def test_random_slates_share_what_chance_gives(rng):
    n_users, n_items, k = 2000, 50, 10
    draw = {v: np.argsort(rng.random((n_users, n_items)))[:, :k] for v in ("control", "treatment")}
    table = slates(**{v: dict(enumerate(map(list, d))) for v, d in draw.items()})
    assert overlap(open_table(table))["in_common"].iloc[0] == pytest.approx(k * k / n_items, abs=0.1)


def test_every_treatment_is_held_against_control_under_its_whole_name():
    control = {"a": ["x", "y"]}
    table = overlap(open_table(slates(**{"new vs old": {"a": ["x", "z"]}, "control": control, "b": {"a": ["v", "w"]}})))
    assert table[["variant", "against", "in_common"]].to_numpy().tolist() == [
        ["b", "control", 0.0],
        ["new vs old", "control", 1.0],
    ]
    assert list(table) == list(OVERLAP_COLUMNS)
    assert all(OVERLAP_COLUMNS.values())


def test_example_users_are_those_nearest_the_median_of_users_who_clicked(rng):
    rows = rows_of(log_like(rng))
    users = rows.users.collect("pandas").to_native()
    chosen = example_users(rows, 2)
    assert chosen["variant"].tolist() == ["control", "control", "treatment", "treatment"]
    for name, clicks in chosen.groupby("variant")["clicks"]:
        clicked = users.loc[(users["variant"] == name) & (users["clicks"] > 0), "clicks"]
        nearest = (clicked - clicked.median()).abs().nsmallest(2).to_numpy()
        assert (clicks - clicked.median()).abs().to_numpy() == pytest.approx(nearest)


def test_without_clicks_any_user_is_an_example():
    rows = rows_of(log(("a", 1, "control", "x", 0), ("b", 2, "treatment", "z", 0)))
    assert example_users(rows)["user_id"].tolist() == ["a", "b"]


def test_a_user_in_two_variants_is_no_example():
    twice = ("a", 1, "control", "x", 1), ("a", 2, "treatment", "z", 1)
    rows = rows_of(log(*twice, ("b", 3, "control", "x", 1), ("c", 4, "treatment", "z", 1)))
    assert example_users(rows)["user_id"].tolist() == ["b", "c"]


def test_an_example_counts_clicks_where_the_user_was_and_nowhere_else():
    seen = [("a", s, "control", i, int(i == "x" and s == 1)) for s in (1, 2) for i in "xy"]
    impressions = log(*seen, ("b", 3, "treatment", "z", 1), ("b", 3, "treatment", "y", 0))
    known = {"a": ["x", "y"], "b": ["y", "z"]}, {"a": ["z", "x"], "b": ["z", "y"]}
    history = pd.DataFrame({"user_id": ["a", "a"], "item_id": ["v", "w"], "rating": [2.0, 5.0]})
    one, two = examples(
        rows_of(impressions),
        recommendations=open_table(slates(control=known[0], treatment=known[1])),
        history=open_table(history),
        titles=pd.Series({"x": "The X", "w": "The W"}),
    )
    assert (one.user_id, one.variant, one.sessions, one.clicks) == ("1", "control", 2, 1)
    assert one.history["title"].tolist() == ["The W", "v"]  # best first, the id where there is no title
    assert one.slates["control"][["title", "shown", "clicked"]].to_numpy().tolist() == [["The X", 2, 1], ["y", 2, 0]]
    assert one.slates["control"]["common"].tolist() == [True, False]
    assert "clicked" not in one.slates["treatment"]
    assert two.slates["treatment"]["clicked"].tolist() == [1, 0]
    assert two.n_history == 0


def test_an_example_shows_its_best_items_of_before_and_says_how_many_there_were():
    history = pd.DataFrame({"user_id": "a", "item_id": [f"i{n}" for n in range(20)], "rating": np.arange(20.0)})
    (example, _) = examples(
        rows_of(log(("a", 1, "control", "x", 1), ("b", 2, "treatment", "z", 0))), history=open_table(history)
    )
    assert example.history["rating"].tolist() == list(range(19, 19 - HISTORY_SHOWN, -1))
    assert example.n_history == 20


def test_a_real_log_shows_the_first_slate_that_each_example_saw_and_names_nobody():
    impressions = log(("a", 1, "control", "x", 0), ("a", 2, "control", "y", 1), ("b", 3, "treatment", "z", 0))
    one, two = examples(rows_of(impressions))
    assert {n: s["title"].tolist() for n, s in one.slates.items()} == {"control": ["x"]}
    assert two.slates["treatment"]["title"].tolist() == ["z"]
    assert [one.user_id, two.user_id] == ["1", "2"]


def test_the_first_slate_is_the_earliest_and_not_the_one_with_the_lowest_id():
    impressions = log(("a", 1, "control", "late", 0), ("a", 2, "control", "early", 1), ("b", 3, "treatment", "z", 0))
    one, _ = examples(rows_of(impressions.assign(day=[5, 1, 1])))
    assert one.slates["control"]["title"].tolist() == ["early"]
