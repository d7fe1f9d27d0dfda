"""Clicks by both positions, as counted by hand in pandas; columns that cannot be right are refused."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions import Reading, read_log, reduce, user_rows
from recab_helpers.impressions.both_slates import AFTER, CONTROL_ONLY, DIFFERING, TREATMENT_ONLY, moved
from tests.made import reduced

SLATES = {"control": ["a", "b", "c"], "treatment": ["a", "d", "b"]}


@pytest.fixture
def log(rng) -> pd.DataFrame:
    rows = []
    for user in range(40):
        variant = ("control", "treatment")[user % 2]
        for session in range(int(rng.integers(1, 5))):
            for position, item in enumerate(SLATES[variant], 1):
                where = {f"position_in_{v}": 1 + s.index(item) if item in s else 0 for v, s in SLATES.items()}
                row = {"user_id": f"u{user}", "slate_id": f"{user}-{session}", "position": position, "variant": variant}
                rows.append(row | {"item_id": item, "clicked": int(rng.random() < 0.4), "day": session} | where)
    return pd.DataFrame(rows)


def test_clicks_are_counted_by_where_the_item_stands_in_both_slates(log):
    statistics = reduced(log).both_slates["treatment"]
    for variant, s in statistics.items():
        of = log[log["variant"] == variant]
        users = of.groupby("user_id")
        clicks = of[of["clicked"] == 1].groupby(["user_id", "item_id"]).size().unstack(fill_value=0)
        clicks = clicks.reindex(index=sorted(users.groups), columns=list("abcd"), fill_value=0)
        top = of[of["position"] == 1].set_index("slate_id")["clicked"]
        below = of[of["position"] > 1].groupby("slate_id")["clicked"].sum()
        slates = pd.DataFrame({"user": of.groupby("slate_id")["user_id"].first(), "top": top, "below": below})
        after = slates.groupby("user").apply(
            lambda g: ((g["top"] - g["top"].mean()) * (g["below"] - g["below"].mean())).sum(), include_groups=False
        )
        wanted = {
            "impressions": users.size(),
            "clicks": users["clicked"].sum(),
            CONTROL_ONLY: clicks["c"],
            TREATMENT_ONLY: clicks["d"],
            DIFFERING: clicks[["b", "c", "d"]].sum(axis=1),  # both begin with a
            AFTER: after,
            moved(2, 3): clicks["b"],
        }
        table = pd.DataFrame(wanted).sort_index()[list(s.columns)]
        assert s.n == len(table)
        np.testing.assert_allclose(s.mean, table.mean(), atol=1e-12)
        np.testing.assert_allclose(s.cov, table.cov(), atol=1e-12)


def test_a_file_with_its_own_names_of_variants_says_the_same(log, tmp_path):
    file = tmp_path / "log.csv"
    named = log.assign(variant=log["variant"].map({"control": "A", "treatment": "B"}))
    named.columns = named.columns.str.replace("in_control", "in_A").str.replace("in_treatment", "in_B")
    named.to_csv(file, index=False)
    read = read_log(file, how=Reading(control="A"))
    assert read.notes == (f"control is what {file.name} calls A",)
    found = reduce(user_rows(read.rows)).both_slates
    assert list(found) == ["B"]
    for s, same in zip(found["B"].values(), reduced(log).both_slates["treatment"].values(), strict=True):
        np.testing.assert_allclose(s.cov, same.cov, atol=1e-12)


def test_a_log_without_the_columns_says_nothing_of_both_slates(log):
    assert reduced(log.drop(columns="position_in_treatment")).both_slates == {}
    assert reduced(log.drop(columns=["position_in_treatment", "position_in_control"])).both_slates == {}


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("position_in_control", -1, "holds -1 in row 1 .*it must be the rank in the slate of that variant, 0 where"),
        ("position_in_treatment", "x", "holds 'x' in row 1 .*it must be the rank in the slate of that variant"),
        ("position_in_treatment", None, r"is empty in row 1 \(273 such rows\)"),
        ("position_in_control", 3, r"holds 3 in row 1 .*; where that variant showed it, its position"),
    ],
)
def test_a_position_that_cannot_be_right_is_refused(log, column, value, said):
    with pytest.raises(DataError, match=f"{column} {said}"):
        read_log(log.assign(**{column: value}))


def test_what_is_wrong_with_the_columns_is_said_by_their_own_names_and_with_all_else(log, tmp_path):
    file = tmp_path / "log.csv"
    named = log.assign(variant=log["variant"].map({"control": "A", "treatment": "B"}), day="soon")
    named.columns = named.columns.str.replace("in_control", "in_A").str.replace("in_treatment", "in_B")
    named.assign(position_in_A=named["position_in_A"].shift(1).astype("Int64")).to_csv(file, index=False)
    with pytest.raises(DataError, match=r"has 2 faults.*day holds 'soon'.*position_in_A is empty in row 1 .*bad_rows"):
        read_log(file, how=Reading(control="A"))
    moved_by_a_row = named.assign(position_in_A=named["position_in_A"].shift(1, fill_value=1), day=0)
    moved_by_a_row.to_csv(file, index=False)
    with pytest.raises(DataError, match=r"position_in_A holds '?1'? in row \d+ \(\d+ such rows\); it must be"):
        read_log(file, how=Reading(control="A"))


def test_columns_of_a_variant_that_is_not_there_are_named(log):
    odd = log.rename(columns={"position_in_treatment": "position_in_treatmnt"})
    unread, lacks = read_log(odd).notes
    assert unread.endswith("not read: position_in_treatmnt (did you mean position_in_treatment?)")
    assert lacks.endswith("has no position_in_treatment, so that both slates are not compared for it")
