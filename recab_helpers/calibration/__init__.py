"""Grade the analysis on thousands of drawn tests whose truth is known."""

from recab_helpers.calibration.grading import Grade, chance_calibration, grade, grade_looks, grade_one, rates
from recab_helpers.calibration.populations import Population, draw_tests, like

__all__ = [
    "Grade",
    "Population",
    "chance_calibration",
    "draw_tests",
    "grade",
    "grade_looks",
    "grade_one",
    "like",
    "rates",
]
