"""The usual ways are those of the textbooks, on the totals alone."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from recab_helpers.calibration.usual_ways import impressions_p, total_clicks_p
from recab_helpers.impressions.aggregates import Users


@pytest.fixture
def users(rng) -> Users:
    shown = rng.integers(1, 50, 400)
    return Users.of(
        np.repeat(["control", "treatment"], 200), {"clicks": rng.binomial(shown, 0.1), "impressions": shown}
    )


def test_total_clicks_are_a_coin_between_the_variants(users):
    clicks = [round(s.sum("clicks")) for s in users.statistics.values()]
    assert total_clicks_p(users) == pytest.approx(stats.chisquare(clicks).pvalue)


def test_impressions_are_a_test_of_two_proportions(users):
    clicks, shown = ([s.sum(c) for s in users.statistics.values()] for c in ("clicks", "impressions"))
    assert impressions_p(users) == pytest.approx(proportions_ztest(clicks, shown)[1])


def test_no_clicks_is_not_defined():
    none = Users.of(["control", "treatment"], {"clicks": [0, 0], "impressions": [3, 4]})
    assert np.isnan(total_clicks_p(none))
    assert np.isnan(impressions_p(none))
