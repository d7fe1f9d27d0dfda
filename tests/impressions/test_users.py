"""A table of users is read beside a log and alone."""

import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions import Reading, open_users, read_users, reduce, users_alone
from tests.made import LOG, rows_of


def test_a_table_of_users_may_have_decimal_commas_and_lie_in_parts(tmp_path):
    users = pd.DataFrame({"user_id": list("abcd"), "variant": ["control", "treatment"] * 2, "paid": [1.5, 2, 3.25, 0]})
    for i, part in enumerate((users[:2], users[2:])):
        part.to_csv(tmp_path / f"{i}.csv", sep=";", decimal=",", index=False)
    read = open_users(tmp_path, numbers=["paid"], alone=True)
    assert read.collect("pandas").to_native().to_dict("list") == users.to_dict("list")
    users.assign(paid="1,234").to_csv(tmp_path / "0.csv", sep=";", index=False)
    with pytest.raises(DataError, match=r"column paid holds '1,234' in row 1 of 0 .*it must be a finite number"):
        open_users(tmp_path, numbers=["paid"], alone=True)


def test_a_table_of_users_stands_alone(tmp_path):
    users = pd.DataFrame({"uid": range(6), "arm": list("AABBCC"), "came_back": [True, False] * 3, "spent": range(6)})
    users.assign(country=["DE", "NL"] * 3).to_csv(tmp_path / "users.csv", index=False)
    how = Reading(columns={"user_id": "uid", "variant": "arm"}, control="A")
    known = open_users(tmp_path / "users.csv", numbers=["came_back"], how=how, alone=True)
    test = reduce(users_alone(known), ["spent"], goals=[("came_back",)])
    assert test.users.variants == ("control", "B", "C")
    assert {v: (s.sum("came_back"), s.sum("spent")) for v, s in test.users.statistics.items()} == {
        "control": (1, 1), "B": (1, 5), "C": (1, 9),
    }  # fmt: skip
    assert set(test.users.segments["country"]) == {"DE", "NL"}
    assert test.by_day is test.running is test.by_position is None


def test_a_point_that_may_part_thousands_is_refused(tmp_path):
    """It was read as one of decimals: 1.160 as 1.16 beside 950."""
    users = pd.DataFrame({"user_id": ["a", "b", "c"], "variant": ["control", "treatment", "control"]})
    users.assign(spend=["1.160", "950", "12.345"]).to_csv(tmp_path / "u.csv", sep=";", index=False)
    with pytest.raises(
        DataError, match=r"column spend holds '1\.160' beside whole numbers: the point may part"
    ):
        read_users(tmp_path / "u.csv", numbers=["spend"], alone=True)
    for decimals in (["1.160", "9.125", "12.345"], ["1.160", "950", "12.5"], ["1.160", "0.125", "7"]):
        users.assign(spend=decimals).to_csv(tmp_path / "u.csv", sep=";", index=False)
        rows = read_users(tmp_path / "u.csv", numbers=["spend"], alone=True).rows.collect("pandas").to_native()
        assert rows["spend"].tolist() == [float(d) for d in decimals]


def test_a_users_table_that_knows_nobody_of_the_log_is_refused():
    known = pd.DataFrame({"user_id": ["1", "2", "3"], "pre_clicks": 1})
    with pytest.raises(DataError, match=r"knows 0 of the 3 users of the log: .* a, b, c in the log and 1, 2, 3 in the"):
        rows_of(LOG, known)


def test_a_users_table_without_ids_is_read_row_by_row_only_where_none_of_its_columns_may_be_the_id(tmp_path):
    users = pd.DataFrame({"arm": list("AABB"), "spent": range(4)})
    how = Reading(columns={"variant": "arm"}, control="A")
    read = read_users(users, how=how, alone=True)
    assert "the table has no user_id, so that each of its rows is taken for a user" in read.notes
    assert read.rows.collect("pandas").to_native()["user_id"].nunique() == 4
    for called in ("uid", "customer", "CustomerId", "cust key", "device_uuid", "hash", "e_mail_hash"):
        table = users.assign(**{"customer_id" if called == "customer" else called: ["a", "a", "b", "c"]})
        with pytest.raises(DataError, match=r"lacks the column user_id.* say which one it is: columns=\{user_id: "):
            read_users(table, how=how, alone=True)
