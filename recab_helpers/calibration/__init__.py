"""Grade the analysis on thousands of drawn tests whose truth is known."""

from recab_helpers.calibration.grading import (
    Grade,
    chance_calibration,
    grade,
    grade_looks,
    grade_one,
    grading_pool,
    rates,
)
from recab_helpers.calibration.populations import Own, Population, draw_tests

__all__ = [
    "Grade",
    "Own",
    "Population",
    "chance_calibration",
    "draw_tests",
    "grade",
    "grade_looks",
    "grade_one",
    "grading_pool",
    "rates",
]
