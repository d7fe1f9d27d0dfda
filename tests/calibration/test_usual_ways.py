"""The usual ways are what textbooks say of two totals and of two proportions."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from recab_helpers.calibration.usual_ways import impressions_p, total_clicks_p
from tests.made import users_like, users_of


def sums(table: pd.DataFrame, column: str) -> np.ndarray:
    return table.groupby("variant")[column].sum().to_numpy()


def test_total_clicks_are_two_counts_of_a_fair_coin(rng):
    table = users_like(rng, 300)
    assert total_clicks_p(users_of(table)) == pytest.approx(stats.chisquare(sums(table, "clicks")).pvalue)


def test_impressions_are_two_proportions(rng):
    table = users_like(rng, 300, lift=0.3)
    _, expected = proportions_ztest(sums(table, "clicks"), sums(table, "impressions"))
    assert impressions_p(users_of(table)) == pytest.approx(expected)


@pytest.mark.parametrize("clicks", [0, "all"])
def test_rates_that_are_all_equal_leave_them_undefined(rng, clicks):
    table = users_like(rng, 50)
    users = users_of(table.assign(clicks=table["impressions"] if clicks == "all" else 0))
    assert math.isnan(impressions_p(users))
    assert math.isnan(total_clicks_p(users)) == (clicks == 0)
