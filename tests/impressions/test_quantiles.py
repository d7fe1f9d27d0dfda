"""A quantile of the impressions is numpy's to a thousandth, and its error is that of tests drawn again and again."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.estimating import estimate_quantile
from recab_helpers.analysis.metrics import CTR, columns_of, quantile_of
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.impressions.histograms import ALL, AT_MOST, BINS, Spread
from recab_helpers.impressions.log import open_log
from recab_helpers.impressions.quantiles import spreads
from recab_helpers.impressions.reduce import reduce
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.references import Comparison
from tests.made import log_like, rows_of

P95 = quantile_of("latency_ms", 0.95, role="guardrail", direction=-1, margin=0.1)


def spread_of(value: np.ndarray, user: np.ndarray, quantile: float) -> Spread:
    """The spread of these impressions, by numpy."""
    bins, counts = np.unique(np.floor(np.log(value) * BINS), return_counts=True)
    empty = SufficientStatistics.of(np.empty((0, 2)), (AT_MOST, ALL))
    at = Spread(bins=bins, counts=counts, statistics=empty).at(quantile)
    users = np.column_stack([np.bincount(user, value <= at), np.bincount(user)])
    users = users[users[:, 1] > 0]
    return Spread(bins=bins, counts=counts, statistics=SufficientStatistics.of(users, (AT_MOST, ALL)))


def waits(rng: np.random.Generator, n: int, times: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Waits of heavy-tailed users, each on a machine of his own, and who they are."""
    user = np.repeat(np.arange(n), 1 + rng.poisson(rng.gamma(0.7, 12, n)))
    slow = rng.normal(0, 0.5, n)
    return times * np.exp(4 + slow[user] + rng.normal(0, 0.5, len(user))), user


def test_a_log_is_spread_as_numpy_says(rng):
    log = log_like(rng, 150)
    log["latency_ms"] = np.round(np.exp(4 + rng.normal(0, 0.6, len(log))), 1) * (rng.random(len(log)) < 0.9)
    rows = rows_of(log, numbers=["latency_ms"])
    metrics = (CTR, P95)
    test = reduce(rows, columns_of(metrics, rows.numeric), quantiles=[("latency_ms", 0.95)])
    (effect,) = (e for e in estimate_effects(test.users, metrics) if e.metric == P95)
    for v, value in (("control", effect.control), ("treatment", effect.treatment)):
        of = log[log["variant"] == v]
        assert value == pytest.approx(np.quantile(of["latency_ms"], 0.95), rel=0.02)
        spread = test.users.quantiles["latency_ms", 0.95][v]
        assert spread.at(0.5) == pytest.approx(np.quantile(of["latency_ms"], 0.5), rel=0.02)
        assert spread.at(0.01) == 0.0
        users = of.assign(low=of["latency_ms"] <= value).groupby("user_id")["low"].agg(["sum", "size"])
        assert spread.statistics.mean == pytest.approx(users.mean().to_numpy())
        assert spread.statistics.cov == pytest.approx(users.cov().to_numpy())
    assert effect.lift == pytest.approx(effect.treatment / effect.control - 1)
    assert math.isfinite(effect.noninferiority_p)
    with pytest.raises(ParameterError, match=r"Reduce the log with quantiles=\[\('latency_ms', 0\.95\)\]"):
        estimate_effects(reduce(rows, columns_of(metrics, rows.numeric)).users, metrics)


def test_a_value_below_zero_is_refused_and_of_one_user_nothing_is_told(rng):
    log = open_log(log_like(rng, 20).assign(wait=-1.0), numbers=["wait"])
    with pytest.raises(DataError, match="wait holds -1; a quantile is told of values of 0 and more"):
        spreads(log, "wait", 0.9, ["control", "treatment"])
    alone = spread_of(*waits(rng, 1), 0.95)
    effect = estimate_quantile(P95, alone, alone, comparison=Comparison("treatment"))
    assert math.isnan(effect.lift)
    assert "too few impressions" in effect.reason


@pytest.mark.parametrize("times", [1.0, 1.3], ids=["no effect", "slower"])
def test_the_interval_covers_the_true_lift_as_often_as_it_says(rng, times):
    """A tenth of the users make most impressions: by impressions, an interval would be far too narrow."""
    tests, covered = 400, 0
    for _ in range(tests):
        arms = (spread_of(*waits(rng, 400, t), 0.95) for t in (1.0, times))
        low, high = estimate_quantile(P95, *arms, comparison=Comparison("treatment")).lift_ci
        covered += low <= times - 1 <= high
    assert binomtest(covered, tests, 0.95).pvalue > 1e-3
