"""The simulated test: assignment, slates from registered models, clicks, and the exact true lift."""

from recab_helpers.simulation.assignment import assign, shares, variant_names
from recab_helpers.simulation.plan import (
    Tally,
    TrainedOn,
    known_users,
    plan_tests,
    true_lifts,
    truths_of,
    yardstick_ctrs,
)
from recab_helpers.simulation.serve import Test, Variant, p_click_of, served_slates, yardsticks
from recab_helpers.simulation.traffic import Traffic, draw_session_counts, draw_session_rates
from recab_helpers.simulation.truth import CompletedTruth, HeldOutTruth, Truth, WorldTruth, graded

__all__ = [
    "CompletedTruth",
    "HeldOutTruth",
    "Tally",
    "Test",
    "Traffic",
    "TrainedOn",
    "Truth",
    "Variant",
    "WorldTruth",
    "assign",
    "draw_session_counts",
    "draw_session_rates",
    "graded",
    "known_users",
    "p_click_of",
    "plan_tests",
    "served_slates",
    "shares",
    "true_lifts",
    "truths_of",
    "variant_names",
    "yardstick_ctrs",
    "yardsticks",
]
