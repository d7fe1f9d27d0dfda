"""Treatments among themselves, and the chance of each variant to be the best."""

import numpy as np
import pytest
from scipy.stats import norm

from recab_helpers.analysis import CTR, among_treatments, best_table, chance_to_be_best, mean_of, per_user
from recab_helpers.references import Comparison
from tests.report.drawn import an_analysis


@pytest.fixture(scope="module")
def three():
    return an_analysis({"a": 0.5, "b": 0.2}, n=3000)


def test_of_two_values_the_chance_is_that_of_their_difference():
    best = chance_to_be_best(np.array([0.0, 1.0]), np.array([0.6, 0.8]))
    assert best == pytest.approx([norm.cdf(-1), norm.cdf(1)], abs=1e-6)  # the difference has a standard error of 1


def test_values_that_are_alike_share_the_chance():
    assert chance_to_be_best(np.zeros(4), np.full(4, 0.1)) == pytest.approx(np.full(4, 0.25), abs=1e-6)


def test_the_chance_is_as_often_true_as_it_says(rng):
    mean, se = np.array([0.1, 0.12, 0.09]), np.array([0.01, 0.02, 0.01])
    draws = rng.normal(mean, se, (200_000, 3)).argmax(axis=1)
    assert chance_to_be_best(mean, se) == pytest.approx(np.bincount(draws) / len(draws), abs=0.005)


def test_every_two_treatments_are_compared_once_and_share_alpha(three):
    (pair,) = among_treatments(three.test.users, [CTR])
    assert pair.comparison == Comparison("a", "b")  # a has the larger lift
    assert pair.alpha == 0.05
    assert pair.adjusted_p_value == pair.p_value
    four = among_treatments(an_analysis({"a": 0.5, "b": 0.2, "c": 0.1}).test.users, [CTR])
    assert [str(e.comparison) for e in four] == ["a vs b", "a vs c", "b vs c"]
    assert {e.alpha for e in four} == {0.05 / 3}
    assert all(e.adjusted_p_value >= e.p_value and e.difference > 0 for e in four)


def test_of_one_treatment_nothing_is_compared():
    one = an_analysis()
    assert among_treatments(one.test.users, [CTR]) == []
    assert best_table(one.test.users, [CTR]).empty


def test_where_less_is_better_the_least_is_the_best(three):
    more, less = (
        best_table(three.test.users, [mean_of("clicks", direction=d, covariate=())]).set_index("variant")
        for d in (1, -1)
    )
    assert more["chance_to_be_best"].idxmax() == "a"
    assert less["chance_to_be_best"].idxmax() == "control"
    assert more["chance_to_be_best"].sum() == pytest.approx(1)


def test_what_a_ratio_counts_is_read_per_user_once(three):
    goal = three.goal_effects[0]
    listed = per_user(goal, three.effects, three.test.users)
    assert listed in three.effects
    assert (listed.metric.numerator, listed.metric.kind, listed.comparison) == ("clicks", "mean", goal.comparison)
    alone = per_user(goal, [], three.test.users)
    assert alone.lift == pytest.approx(listed.lift)
