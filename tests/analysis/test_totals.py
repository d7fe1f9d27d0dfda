"""Totals and CTRs by day and position add up, and their intervals are those of users."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from recab_helpers.analysis.totals import CTR_COLUMNS, ctr_table, totals
from tests.made import LOG, even_log, log_like, reduced, users_of


def by_day_of(log: pd.DataFrame, **how) -> pd.DataFrame:
    test = reduced(log)
    return ctr_table(test.by_day, **how)


@pytest.mark.parametrize("by", ["day", "position"])
def test_parts_add_up_to_the_totals_and_keep_the_order_of_variants(rng, by):
    test = reduced(even_log(rng, 300, ("control", "b", "a")))
    table = ctr_table(test.by_day if by == "day" else test.by_position)
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
    daily = ctr_table(test.by_day)
    assert daily["clicks"].groupby("variant").sum().to_dict() == table["clicks"].to_dict()


def test_what_is_not_counted_has_no_total():
    table = totals(users_of(pd.DataFrame({"variant": ["control", "treatment"], "spent": [1.0, 2.0]})))
    assert table.to_dict("list") == {"users": [1, 1]}


def direct(per_user: pd.DataFrame, alpha: float = 0.05) -> tuple[float, float, float]:
    """CTR, critical t and squared error of users with `sum` clicks of `size` impressions."""
    ctr, share = per_user["sum"].sum() / per_user["size"].sum(), per_user["size"] / per_user["size"].sum()
    error = (share * (per_user["sum"] / per_user["size"] - ctr)).pow(2).sum() / (1 - share.pow(2).sum())
    return ctr, stats.t.isf(alpha / 2, 1 / share.pow(2).sum() - 1), error


def test_the_interval_of_a_ctr_is_wilsons_when_every_user_has_one_impression(rng):
    log = even_log(rng, 4000, sessions=1)
    row = by_day_of(log.assign(day=0)).loc[("control", 0)]
    assert [row["low"], row["high"]] == pytest.approx(
        proportion_confint(row["clicks"], row["impressions"], method="wilson"), rel=1e-3
    )


def test_the_interval_of_a_ctr_grows_when_users_repeat_themselves(rng):
    log = even_log(rng, 2000, sessions=1)
    again = pd.concat([log, log.assign(slate_id=log["slate_id"] + len(log))], ignore_index=True)
    once, twice = (by_day_of(t.assign(day=0))["high"] for t in (log, again))
    pd.testing.assert_series_equal(once, twice)  # twice the impressions, no more users: nothing is learned


@pytest.mark.parametrize("day", [None, 3], ids=["the whole test", "a day"])
def test_at_its_ends_a_ctr_is_as_far_as_the_error_there_says(rng, day):
    """Wilson: the true CTR lies so many errors away, were the error what it would be with that CTR."""
    log = log_like(rng)
    row = by_day_of(log.assign(day=0) if day is None else log, alpha=0.1).loc[("control", day or 0)]
    of = log[(log["variant"] == "control") & (log["day"] == day if day else True)]
    ctr, t, error = direct(of.groupby("user_id")["clicked"].agg(["sum", "size"]), alpha=0.1)
    assert row["ctr"] == pytest.approx(ctr)
    for end in (row["low"], row["high"]):
        assert abs(ctr - end) == pytest.approx(t * math.sqrt(error * end * (1 - end) / (ctr * (1 - ctr))))
    assert row["low"] < ctr < row["high"]


def test_intervals_of_few_clicks_hold_the_ctr():
    """Normal ones hold it in 91 to 92% of samples like these, for 95%."""
    rng, held = np.random.default_rng(3), []
    for _ in range(1500):
        shown = 10 * rng.poisson(rng.gamma(0.7, 0.4, 1000))
        clicks = rng.binomial(shown, rng.beta(4, 4 / 0.003, 1000))
        cell = {"impressions": shown, "clicks": clicks, "clicks_clicks": clicks**2}
        cell |= {"clicks_impressions": clicks * shown, "impressions_impressions": shown**2}
        row = ctr_table(pd.DataFrame({c: [v.sum()] for c, v in cell.items()}, index=["one"])).loc["one"]
        held.append(row["low"] <= 4 / (4 + 4 / 0.003) <= row["high"])
    assert stats.binomtest(int(np.sum(held)), 1500, 0.95).pvalue > 1e-3


def test_an_interval_ends_at_zero_and_is_undefined_for_one_user_alone():
    none = even_log(np.random.default_rng(1), 40, ctr=0.0)
    assert by_day_of(none)["low"].to_numpy() == pytest.approx(0)
    assert (by_day_of(none)["high"] > 0.05).all()
    assert by_day_of(LOG).loc["control", ["low", "high"]].isna().all(axis=None)  # one user in all


def test_without_cells_there_is_no_table():
    assert ctr_table(None) is None
