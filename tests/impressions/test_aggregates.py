"""Sums of users: parts make the whole, whatever their size, and arrays of any order say the same."""

import gc
import math
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recab_helpers.impressions.aggregates import Running
from recab_helpers.impressions.histograms import Histogram
from recab_helpers.impressions.reduce import reduce
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.references import Comparison
from tests.made import distinct, log_like, rows_of, users_like, users_of

COLUMNS = ("clicks", "impressions")


def statistics_of(values: np.ndarray) -> SufficientStatistics:
    return SufficientStatistics.of(values, COLUMNS)


def test_statistics_equal_numpy(rng):
    table = users_like(rng, 300)
    found = users_of(table).statistics["treatment"]
    rows = table.loc[table["variant"] == "treatment", list(found.columns)].to_numpy(dtype=float)
    assert found.mean == pytest.approx(rows.mean(axis=0))
    assert found.cov == pytest.approx(np.cov(rows.T))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 9), min_size=1, max_size=5), st.sampled_from([0, 1e6]))
def test_statistics_of_parts_add_up_to_those_of_the_whole(seed, sizes, far):
    values = far + np.random.default_rng(seed).poisson(3, (sum(sizes), 2)).astype(float)
    parts = [statistics_of(v) for v in np.split(values, np.cumsum(sizes)[:-1])]
    whole, expected = sum(parts[1:], parts[0]), statistics_of(values)
    assert whole.n == expected.n
    assert whole.mean == pytest.approx(expected.mean, nan_ok=True)
    assert whole.cov == pytest.approx(expected.cov, rel=1e-9, abs=1e-6, nan_ok=True)


def test_the_whole_is_all_variants_together(rng):
    table = users_like(rng, 300).replace({"variant": {"treatment": "a"}})
    table.loc[:50, "variant"] = "b"
    users = users_of(table)
    assert users.whole.n == sum(users.counts.values()) == 300
    assert users.whole.cov == pytest.approx(np.cov(table[list(users.columns)].to_numpy(dtype=float).T))


def test_sums_shifted_or_not_give_the_same_statistics(rng):
    values = rng.poisson(50, (40, 2)).astype(float)
    for shift in (np.zeros(2), np.array([50.0, 49.0])):
        less = values - shift
        found = SufficientStatistics.from_sums(40, less.sum(axis=0), less.T @ less, COLUMNS, shift=shift)
        assert found.mean == pytest.approx(values.mean(axis=0))
        assert found.cov == pytest.approx(np.cov(values.T))


def test_large_values_do_not_cancel_the_variance_of_a_log(rng):
    log = log_like(rng)
    plain, far = (reduce(rows_of(log.assign(dwell=d), numbers=["dwell"]), ["dwell"]).users.whole for d in (1.0, 1e7))
    at = plain.columns.index("dwell")
    assert far.cov[at, at] == pytest.approx(1e14 * plain.cov[at, at], rel=1e-9)


def test_a_ratio_and_its_derivative_are_those_of_its_means(rng):
    s = statistics_of(rng.poisson(5, (60, 2)).astype(float) + 1)
    value, gradient = s.gradient(COLUMNS)
    assert value == pytest.approx(s.mean[0] / s.mean[1])
    step = 1e-6
    for i in range(2):
        moved = s.mean + step * (np.arange(2) == i)
        assert gradient[i] == pytest.approx((moved[0] / moved[1] - value) / step, rel=1e-4)
    assert s.gradient(("impressions",))[0] == s.mean[1]


def test_a_ratio_without_a_denominator_is_undefined():
    value, gradient = statistics_of(np.array([[1.0, 0], [2, 0]])).gradient(COLUMNS)
    assert math.isnan(value)
    assert np.isnan(gradient).all()


def test_one_user_has_a_mean_and_no_covariance_and_none_has_neither():
    one, none = statistics_of(np.array([[1.0, 2]])), statistics_of(np.empty((0, 2)))
    assert one.mean.tolist() == [1, 2]
    assert np.isnan(one.cov).all()
    assert np.isnan(none.mean).all()
    assert none.sum("clicks") == 0
    assert (one + none).mean.tolist() == (none + one).mean.tolist() == [1, 2]


# Users


def test_control_comes_first_and_the_others_by_name(rng):
    table = pd.DataFrame({"variant": ["z", "control", "new vs old", "a"] * 3, "clicks": range(12)})
    users = users_of(table, histograms=[("clicks",)])
    assert users.variants == tuple(users.histograms["clicks",].counts) == ("control", "a", "new vs old", "z")
    assert users.comparisons == (Comparison("a"), Comparison("new vs old"), Comparison("z"))
    assert users.counts == dict.fromkeys(users.variants, 3)


def test_columns_from_before_are_known_by_their_name(rng):
    table = users_like(rng, 20).assign(pre_clicks=1, prefix=2)
    assert users_of(table).pre_columns == ("pre_clicks",)


def test_a_level_without_a_variant_has_no_users_of_it():
    table = pd.DataFrame({"variant": ["control", "treatment", "control"], "clicks": [1, 2, 3], "kind": list("xxy")})
    (x, y) = users_of(table, ["kind"]).segments["kind"].values()
    assert [x[v].n for v in ("control", "treatment")] == [1, 1]
    assert [y[v].n for v in ("control", "treatment")] == [1, 0]


def test_segments_add_up_to_the_users(rng):
    table = users_like(rng, 400).assign(kind=rng.choice(list("abc"), 400))
    users = users_of(table, ["kind"])
    for name in users.variants:
        first, *rest = (group[name] for group in users.segments["kind"].values())
        assert sum(rest, first).cov == pytest.approx(users.statistics[name].cov)


# Histograms and days


def test_a_histogram_of_one_column_counts_the_users_of_both(rng):
    table = users_like(rng, 200)
    both = users_of(table, histograms=[COLUMNS, ("impressions",)]).histograms
    one = both[COLUMNS].only("impressions")
    assert distinct(one).tolist() == distinct(both["impressions",]).tolist()
    for name, counts in one.counts.items():
        assert counts.tolist() == both["impressions",].counts[name].tolist()
        assert counts.sum() == (table["variant"] == name).sum()


def test_a_variant_without_users_has_a_histogram_of_zeros():
    found = Histogram.of(np.zeros(3, dtype=int), np.array([[1.0], [2], [2]]), ("clicks",), ("control", "treatment"))
    assert found.counts["control"].tolist() == [1, 2]
    assert found.counts["treatment"].tolist() == [0, 0]


def test_no_users_make_an_empty_histogram():
    found = Histogram.of(np.zeros(0, dtype=int), np.empty((0, 1)), ("clicks",), ("control", "treatment"))
    assert len(distinct(found)) == 0
    assert found.counts["control"].tolist() == []


def test_a_user_is_seen_from_the_first_day_with_an_impression():
    daily = np.array([[[0, 0], [1, 2], [0, 0]], [[0, 3], [0, 0], [1, 1]]])  # users, days, clicks and impressions
    found = Running.of(np.zeros(2, dtype=int), daily, COLUMNS, ("control",), seen="impressions")
    assert found.n["control"].tolist() == [1, 2, 2]
    assert found.sums["control"].tolist() == [[0, 3], [1, 5], [2, 6]]
    assert found.products["control"][2].tolist() == [[2, 6], [6, 20]]


# Work


def calls_in(work) -> int:
    """Python functions called while it runs."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    gc.collect()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("kind", ["log", "arrays"])
def test_nothing_loops_over_users_or_impressions(rng, kind):
    """Python does as much for 3,000 users as for 300."""
    calls = []
    for n in (300, 3000):
        log, table = log_like(rng, n), users_like(rng, n).assign(kind=rng.choice(["x", "y"], n))
        daily = rng.poisson(1.0, (n, 5, 2))
        code = (table["variant"] == "treatment").to_numpy().astype(int)

        def from_a_log(log=log):
            reduce(rows_of(log))

        def from_arrays(table=table, code=code, daily=daily):
            users_of(table, ["kind"], [COLUMNS])
            Running.of(code, daily, COLUMNS, ("control", "treatment"), seen="impressions").at(4)

        calls.append(calls_in(from_a_log if kind == "log" else from_arrays))
    assert calls[1] == pytest.approx(calls[0], rel=0.05)
