"""A look is an analysis of the log to that day, and its bands hold at every one of them."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis.estimating import estimate
from recab_helpers.analysis.looks import (
    LOOK_COLUMNS,
    could_have_stopped,
    cumulative_effects,
    information_fraction,
    looks_to_date,
)
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR, mean_of, ratio_of
from recab_helpers.analysis.sequential import adjusted_intervals, confidence_sequence
from recab_helpers.impressions.aggregates import Running
from recab_helpers.references import Comparison
from tests.made import log_like, reduced

PER_SESSION = ratio_of("clicks", "sessions", role="goal")
PER_USER = replace(CLICKS_PER_USER, role="goal")
GOALS = (CTR, PER_SESSION, PER_USER, mean_of("dwell", role="goal"))


@pytest.fixture(scope="module")
def log():
    """A log with two treatments, whose days count from 11."""
    rng = np.random.default_rng(7)
    log = log_like(rng).replace({"variant": {"treatment": "new vs old"}})
    log.loc[log["user_id"].isin([f"u{i}" for i in range(0, 600, 6)]), "variant"] = "b"
    return log.assign(dwell=rng.gamma(2.0, 3.0, len(log)), day=log["day"] + 11)


@pytest.fixture(scope="module")
def running(log) -> Running:
    return reduced(log, metrics=GOALS, numbers=["dwell"]).running


@pytest.fixture(scope="module")
def cut(log):
    """Statistics of the log cut at every day."""
    parts = [log[log["day"] <= day + 11] for day in range(6)]
    return [reduced(part, metrics=GOALS, numbers=["dwell"]).users.statistics for part in parts]


@pytest.mark.parametrize("goal", GOALS, ids=lambda m: m.name)
def test_every_look_equals_an_analysis_of_the_log_cut_at_that_day(cut, running, goal):
    looks = cumulative_effects(running, (goal,)).set_index(["variant", "day"])
    assert set(looks.index) == {(v, d) for v in ("b", "new vs old") for d in range(6)}
    for day, part in enumerate(cut):
        for variant in ("b", "new vs old"):
            expected = estimate(goal, part["control"], part[variant], alpha=0.025, cuped=False)  # two treatments
            found = looks.loc[(variant, day)]
            assert found["lift"] == pytest.approx(expected.lift)
            assert (found["naive_low"], found["naive_high"]) == pytest.approx(expected.lift_ci)
            assert found["log_se"] == pytest.approx(expected.log_se)
            assert found["log_ratio"] == pytest.approx(math.log1p(expected.lift))


@pytest.mark.parametrize("shape", ["obrien_fleming", "pocock"])
def test_bands_are_those_of_their_method_as_lifts(running, shape):
    looks = cumulative_effects(running, (CTR,), alpha=0.1, shape=shape)
    one = looks[looks["variant"] == "b"]
    ratio, se, fraction = (one[c].to_numpy() for c in ("log_ratio", "log_se", "fraction"))
    freedom = one["log_freedom"].to_numpy()
    planned = adjusted_intervals(ratio, se, fraction, alpha=0.05, shape=shape, freedom=freedom)  # two share alpha
    anytime = confidence_sequence(ratio, se, alpha=0.05, freedom=freedom)
    for columns, band in ((("low", "high"), planned), (("anytime_low", "anytime_high"), anytime)):
        for column, ends in zip(columns, band, strict=True):
            assert one[column].to_numpy() == pytest.approx(np.expm1(np.minimum(ends, 700)))


def test_bands_are_nested_and_end_near_the_fixed_interval(running):
    for _, looks in cumulative_effects(running, (CTR,)).groupby("variant"):
        assert (looks["low"] <= looks["naive_low"] + 1e-9).all()
        assert (looks["anytime_high"] >= looks["high"] - 1e-9).iloc[-1]
        last = looks.iloc[-1]
        width = [math.log1p(last[b]) - math.log1p(last[a]) for a, b in (("low", "high"), ("naive_low", "naive_high"))]
        assert 1 <= width[0] / width[1] < 1.25


def test_a_large_effect_could_have_stopped_before_the_end_and_none_could_not(rng):
    stops = []
    for lift in (1.5, 0.0):
        looks = cumulative_effects(reduced(log_like(rng, n_users=3000, lift=lift)).running, (CTR,))
        stops.append(could_have_stopped(looks, "ctr")[Comparison("treatment")])
    assert stops[0] is not None
    assert stops[0] < 5
    assert stops[1] is None


def test_stops_are_told_by_goal_and_by_comparison():
    looks = cumulative_effects(reduced(log_like(np.random.default_rng(3), 3000, lift=1.5)).running, (CTR,))
    other = looks.assign(metric="other", variant="new vs old", low=-1.0, high=1.0)
    both = pd.concat([looks, other], ignore_index=True)
    assert could_have_stopped(both, "other") == {Comparison("new vs old"): None}
    assert set(could_have_stopped(both, "ctr")) == {Comparison("treatment")}
    assert could_have_stopped(both, "nothing") == {}


# Several goals


def test_looks_are_taken_at_every_goal_and_every_treatment(running):
    looks = cumulative_effects(running, GOALS)
    names = looks[["metric", "variant", "against"]].drop_duplicates().to_numpy().tolist()
    assert names == [[g.name, v, "control"] for g in GOALS for v in ("b", "new vs old")]
    assert list(looks) == list(LOOK_COLUMNS)
    for goal in GOALS:
        alone = cumulative_effects(running, (goal,), alpha=0.05 / len(GOALS))
        assert looks.loc[looks["metric"] == goal.name, "low"].to_numpy() == pytest.approx(alone["low"].to_numpy())


def test_a_goal_whose_columns_have_no_days_is_left_out(running):
    spent = mean_of("spent", role="goal")
    assert looks_to_date(running, spent) == []
    assert set(cumulative_effects(running, (spent, CTR))["metric"]) == {"ctr"}
    assert list(cumulative_effects(running, (spent,))) == list(LOOK_COLUMNS)


def test_without_days_or_clicks_there_are_no_looks(rng):
    for nothing in (None, reduced(log_like(rng).assign(clicked=0)).running):
        looks = cumulative_effects(nothing, (CTR,))
        assert looks.empty
        assert list(looks) == list(LOOK_COLUMNS)
        assert could_have_stopped(looks, "ctr") == {}


def test_one_day_is_one_look(rng):
    looks = cumulative_effects(reduced(log_like(rng, n_days=1)).running, (CTR,))
    assert looks["fraction"].tolist() == [1]
    assert looks["day"].tolist() == [0]


def test_days_before_a_lift_is_defined_are_left_out(rng):
    log = log_like(rng)
    late = log[(log["day"] > 1) | (log["variant"] == "control")]
    assert cumulative_effects(reduced(late).running, (CTR,))["day"].tolist() == [2, 3, 4, 5]


def test_a_day_without_impressions_is_no_look(rng):
    log = log_like(rng)
    looks = cumulative_effects(reduced(log[log["day"] != 3]).running, (CTR,))
    assert looks["day"].tolist() == [0, 1, 2, 4, 5]
    assert (looks["fraction"].diff().dropna() > 0).all()


# Information


def running_of(**sums) -> Running:
    """Two variants with the same sums to date; n is users."""
    columns = tuple(c for c in sums if c != "n")
    values = np.column_stack([sums[c] for c in columns]) if columns else np.empty((len(sums["n"]), 0))
    two = ("control", "treatment")
    products = np.zeros((len(values), len(columns), len(columns)))
    return Running(
        columns=columns,
        n=dict.fromkeys(two, np.array(sums["n"])),
        sums=dict.fromkeys(two, values),
        products=dict.fromkeys(two, products),
    )


def test_information_is_the_mean_of_the_shares_of_users_and_impressions():
    running = running_of(n=[5, 8, 8, 10], clicks=[0, 0, 9, 9], impressions=[5, 20, 30, 60])
    fraction = information_fraction(running, CTR)
    assert fraction == pytest.approx([(0.5 + 5 / 60) / 2, (0.8 + 20 / 60) / 2, (0.8 + 0.5) / 2, 1])
    assert np.all(np.diff(fraction) > 0)
    assert information_fraction(running, PER_USER) == pytest.approx(fraction)


def test_without_impressions_the_denominator_takes_their_place_and_users_alone_where_there_is_none():
    running = running_of(n=[5, 10], clicks=[0, 9], sessions=[1, 4])
    assert information_fraction(running, PER_SESSION) == pytest.approx([(0.5 + 0.25) / 2, 1])
    assert information_fraction(running, PER_USER) == pytest.approx([0.5, 1])
