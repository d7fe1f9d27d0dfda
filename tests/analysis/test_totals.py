"""Totals and CTRs by day and position add up, and their intervals are those of users."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from recab_helpers.analysis.effects import estimate
from recab_helpers.analysis.metrics import CTR
from recab_helpers.analysis.statistics import variance_of
from recab_helpers.analysis.totals import CTR_COLUMNS, ctr_table, totals
from tests.made import LOG, even_log, log_like, reduced, users_of


def by_day_of(log: pd.DataFrame, **how) -> pd.DataFrame:
    test = reduced(log)
    return ctr_table(test.by_day, test.users, **how)


@pytest.mark.parametrize("by", ["day", "position"])
def test_parts_add_up_to_the_totals_and_keep_the_order_of_variants(rng, by):
    test = reduced(even_log(rng, 300, ("control", "b", "a")))
    table = ctr_table(test.by_day if by == "day" else test.by_position, test.users)
    assert table.index.unique("variant").tolist() == ["control", "a", "b"]
    sums = table.groupby(level="variant")[["impressions", "clicks"]].sum()
    whole = totals(test.users)
    pd.testing.assert_frame_equal(sums, whole.loc[sums.index, ["impressions", "clicks"]], check_names=False)
    assert list(table) == list(CTR_COLUMNS)


def test_totals_of_users_equal_totals_of_the_log():
    test = reduced(LOG)
    table = totals(test.users)
    assert table.loc["control", ["users", "sessions", "impressions", "clicks"]].tolist() == [1, 2, 3, 2]
    assert table["ctr"].tolist() == pytest.approx([2 / 3, 1 / 3])
    daily = ctr_table(test.by_day, test.users)
    assert daily["clicks"].groupby("variant").sum().to_dict() == table["clicks"].to_dict()


def test_what_is_not_counted_has_no_total():
    table = totals(users_of(pd.DataFrame({"variant": ["control", "treatment"], "spent": [1.0, 2.0]})))
    assert table.to_dict("list") == {"users": [1, 1]}


def test_the_interval_of_a_ctr_is_binomial_when_every_user_has_one_impression(rng):
    log = even_log(rng, 4000, sessions=1)
    row = by_day_of(log.assign(day=0)).loc[("control", 0)]
    half = norm.isf(0.025) * np.sqrt(row["ctr"] * (1 - row["ctr"]) / row["impressions"])
    assert [row["low"], row["high"]] == pytest.approx([row["ctr"] - half, row["ctr"] + half], rel=1e-3)


def test_the_interval_of_a_ctr_grows_when_users_repeat_themselves(rng):
    log = even_log(rng, 2000, sessions=1)
    again = pd.concat([log, log.assign(slate_id=log["slate_id"] + len(log))], ignore_index=True)
    once, twice = (by_day_of(t.assign(day=0))["high"] for t in (log, again))
    pd.testing.assert_series_equal(once, twice)  # twice the impressions, no more users: nothing is learned


def test_the_interval_of_a_whole_test_is_that_of_the_delta_method(rng):
    log = log_like(rng).assign(day=0)
    users = reduced(log).users
    s = users.statistics["treatment"]
    value, gradient = s.gradient(CTR.columns)
    row = by_day_of(log, alpha=0.1).loc[("treatment", 0)]
    half = norm.isf(0.05) * math.sqrt(variance_of(s, gradient))
    assert (row["ctr"], row["low"], row["high"]) == pytest.approx((value, value - half, value + half))
    assert estimate(CTR, users.statistics["control"], s).treatment == pytest.approx(row["ctr"])


def test_the_interval_of_a_part_is_that_of_a_direct_computation(rng):
    log = log_like(rng)
    row = by_day_of(log).loc[("control", 3)]
    of = log[log["variant"] == "control"]
    n = of["user_id"].nunique()
    per_user = of[of["day"] == 3].groupby("user_id")["clicked"].agg(["sum", "size"]).reindex(of["user_id"].unique())
    rest = (per_user["sum"] - row["ctr"] * per_user["size"]).fillna(0)
    se = math.sqrt((rest**2).sum() * n / (n - 1)) / per_user["size"].sum()
    assert row["high"] == pytest.approx(row["ctr"] + norm.isf(0.025) * se)


def test_an_interval_ends_at_zero_and_is_undefined_for_one_user_alone():
    table = by_day_of(LOG)
    assert table["low"].loc["treatment"].min() >= 0
    assert table.loc["control", ["low", "high"]].isna().all(axis=None)  # one user in all


def test_without_cells_there_is_no_table(rng):
    assert ctr_table(None, reduced(LOG).users) is None
