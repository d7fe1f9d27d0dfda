"""Feedback on any scale becomes grades from 1 to 5, in its order, and what is liked is proposed with its reason."""

import numpy as np
import pytest

from recab_helpers.data import Scale
from recab_helpers.data.scale import code_for_none
from recab_helpers.errors import ParameterError

STARS = np.array([1, 2, 3, 4, 4, 5.0])
SCALES = {
    "stars": (STARS, "stars", 4),
    "half stars": (np.array([0.5, 2, 3.5, 4, 5]), "stars", 4),
    "0-100": (np.array([0, 30, 60, 75, 80, 100.0]), "points", 75),
    "0-10": (np.array([1, 7, 8, 10.0]), "points", 8),
    "-10 to 10": (np.array([-10, 0, 4, 6, 10.0]), "points", 6),
    "thumbs": (np.array([-1, 1, 1, -1.0]), "points", 1),
    "0 and 1": (np.array([0, 1, 1.0]), "points", 1),
    "plays": (np.array([1, 1, 2, 3, 8, 900.0]), "counts", 2),
    "purchases": (np.array([1, 1, 1, 1, 6.0]), "counts", 1),
    "hours": (np.array([0.1, 0.5, 1.2, 3.4, 8.7, 601.7]), "counts", 1.2),
    "ones": (np.ones(4), "ones", 1),
}


@pytest.mark.parametrize(("ratings", "kind", "liked"), SCALES.values(), ids=SCALES)
def test_a_scale_is_known_by_its_values_and_its_grades_keep_their_order(ratings, kind, liked):
    scale = Scale.of(ratings)
    assert (scale.kind, scale.proposed) == (kind, liked)
    grades = scale.grades(ratings)
    assert grades.min() >= (0.5 if kind == "stars" else 1)
    assert grades.max() == 5
    assert np.all(np.diff(grades[np.argsort(ratings)]) >= 0)


def test_stars_stay_what_they_are_and_points_are_stretched():
    assert np.array_equal(Scale.of(STARS).grades(STARS), STARS)
    assert np.array_equal(Scale.of(20 * STARS - 20).grades(20 * STARS - 20), STARS)
    assert np.array_equal(Scale.of(STARS - 3).grades(STARS - 3), STARS)


def test_the_second_play_says_more_than_the_hundredth():
    plays = np.array([1, 1, 1, 2, 99, 100.0])
    grades = Scale.of(plays).grades(plays)
    assert grades[3] - grades[2] > 10 * (grades[5] - grades[4])


@pytest.mark.parametrize("wanted", [9, 0.5, 1.001])
def test_a_bar_that_tells_nothing_apart_is_refused_with_the_proposal(wanted):
    ratings = np.linspace(1, 5, 4001)
    with pytest.raises(
        ParameterError, match=rf"relevant_rating is {wanted:g}, .* from 1 to 5. Give 4 \(three quarters"
    ):
        Scale.of(ratings).liked_from(ratings, wanted)


def test_the_least_rating_may_be_named_to_count_all_as_liked():
    assert Scale.of(STARS).liked_from(STARS, 1) == (1, "1 or more (relevant_rating), 100% of the interactions")
    assert Scale.of(STARS).liked_from(STARS, None)[1] == (
        "4 or more (proposed: three quarters of the way up the scale), 50% of the interactions"
    )


def test_counted_events_are_counts_however_few():
    """Views of 1, 2 and 3 were points, of which only the threes were liked."""
    events = np.array([1, 1, 1, 2, 3.0])
    assert (Scale.of(events).kind, Scale.of(events, counted=True).kind) == ("points", "counts")
    assert Scale.of(events, counted=True).liked_from(events, None) == (
        1,
        "1 or more (proposed: of the counts of events: all, since most are 1), 100% of the interactions",
    )


@pytest.mark.parametrize(
    ("ratings", "code"),
    [
        ([-1, *range(1, 11)], -1),  # anime lists
        ([*np.linspace(-9.95, 9.9, 50), 99], 99),  # Jester
        ([1, 2, 3, 4, 5, 99], 99),
        ([-999, *np.linspace(-10, 10, 50)], -999),
        ([-1, 1], None),  # thumbs
        ([-1, 0, 1], None),
        ([-10, -1, 0, 5, 10], None),
        ([-5, 0, 1, 2, 5], None),
        ([1, 2, 3, 97, 98, 99], None),
        ([1] * 150 + [2, 5, 99], None),  # a count that is met once
        ([0, *range(1, 11)], None),
    ],
)
def test_what_looks_like_a_code_for_no_rating_is_told_from_ratings(ratings, code):
    assert code_for_none(np.array(ratings, dtype=float)) == code
