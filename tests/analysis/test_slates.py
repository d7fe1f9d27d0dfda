"""What variants show: overlap, coverage and popularity in closed form, and the example users."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers import analysis as ab


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
    """A checked log from (user, slate, variant, item, clicked) with the positions counted within slates."""
    table = pd.DataFrame(rows, columns=["user_id", "slate_id", "variant", "item_id", "clicked"])
    return ab.check_impressions(table.assign(position=table.groupby("slate_id").cumcount() + 1, day=0))


def test_overlap_counts_items_whatever_their_position():
    control = {"a": ["x", "y"], "b": ["x", "y"], "c": ["x", "y"]}
    found = ab.slate_overlap(slates(control=control, treatment={"a": ["y", "x"], "b": ["y", "z"], "c": ["v", "w"]}))
    row = found.loc["treatment vs control"]
    assert row["in_common"] == pytest.approx(1)
    assert row["none_in_common"] == row["all_in_common"] == pytest.approx(1 / 3)


def test_random_slates_share_what_chance_gives(rng):
    n_users, n_items, k = 2000, 50, 10
    draw = {v: np.argsort(rng.random((n_users, n_items)))[:, :k] for v in ("control", "treatment")}
    table = slates(**{v: dict(enumerate(map(list, d))) for v, d in draw.items()})
    assert ab.slate_overlap(table)["in_common"].iloc[0] == pytest.approx(k * k / n_items, abs=0.1)


def test_coverage_concentration_and_popularity_of_what_is_shown():
    rows = [("a", 1, "control", i, 0) for i in "xxy"] + [("b", 2, "treatment", "z", 0)]
    popularity = pd.Series({"x": 8, "y": 2, "z": 0, "never": 0, "nor": 0})
    found = ab.shown_table(log(*rows), popularity)
    assert found["coverage"].tolist() == pytest.approx([2 / 5, 1 / 5, 2 / 5])
    assert found["mean_popularity"].tolist() == pytest.approx([(8 + 8 + 2) / 3, 0, (8 * 8 + 2 * 2) / 10])
    assert found["head"].tolist() == pytest.approx([2 / 3, 0, 0.8])  # the head is x, a fifth of the catalog
    assert (found["most_shown"] == 1).all()  # fewer than ten items


def test_without_a_catalog_coverage_is_of_the_log_and_popularity_is_left_out():
    found = ab.shown_table(log(("a", 1, "control", "x", 0), ("b", 2, "treatment", "y", 1)))
    assert found["coverage"].tolist() == [0.5, 0.5]
    assert list(found) == ["items_shown", "coverage", "most_shown"]


def test_an_example_counts_clicks_where_the_user_was_and_nowhere_else():
    rows = [("a", s, "control", i, int(i == "x" and s == 1)) for s in (1, 2) for i in "xy"]
    impressions = log(*rows, ("b", 3, "treatment", "z", 1), ("b", 3, "treatment", "y", 0))
    known = {"a": ["x", "y"], "b": ["y", "z"]}, {"a": ["z", "x"], "b": ["z", "y"]}
    history = pd.DataFrame({"user_id": ["a", "a"], "item_id": ["v", "w"], "rating": [2.0, 5.0]})
    one, two = ab.examples(
        ab.users_table(impressions),
        impressions,
        recommendations=slates(control=known[0], treatment=known[1]),
        history=history,
        titles=pd.Series({"x": "The X", "w": "The W"}),
    )
    assert (one.user_id, one.variant, one.sessions, one.clicks) == ("a", "control", 2, 1)
    assert one.history["title"].tolist() == ["The W", "v"]  # best first, the id where there is no title
    assert one.slates["control"][["title", "shown", "clicked"]].to_numpy().tolist() == [["The X", 2, 1], ["y", 2, 0]]
    assert one.slates["control"]["common"].tolist() == [True, False]
    assert "clicked" not in one.slates["treatment"]
    assert two.slates["treatment"]["clicked"].tolist() == [1, 0]
    assert two.n_history == 0


def test_a_real_log_shows_the_first_slate_that_each_example_saw_and_names_nobody():
    impressions = log(("a", 1, "control", "x", 0), ("a", 2, "control", "y", 1), ("b", 3, "treatment", "z", 0))
    one, two = ab.look_at_slates(ab.users_table(impressions), impressions).examples
    assert {n: s["title"].tolist() for n, s in one.slates.items()} == {"control": ["x"]}
    assert two.slates["treatment"]["title"].tolist() == ["z"]
    assert [one.user_id, two.user_id] == ["1", "2"]
