"""The simulated test: assignment, slates of models, clicks drawn from a truth, and the exact true lift."""

from recab_helpers.simulation.assignment import assign, shares, variant_names
from recab_helpers.simulation.before import known_users
from recab_helpers.simulation.clicks import CascadeModel, PositionModel
from recab_helpers.simulation.latency import with_latency
from recab_helpers.simulation.pair import Pair, Sessions
from recab_helpers.simulation.plan import Plan, plan_tests, true_lifts, yardstick_ctrs
from recab_helpers.simulation.serving import Before, Exploration, Tally, Test, Variant
from recab_helpers.simulation.traffic import Traffic, draw_session_counts, draw_session_rates
from recab_helpers.simulation.truth import (
    CompletedTruth,
    HeldOutTruth,
    Truth,
    WorldTruth,
    graded,
    truths_of,
    untold_truths,
)

__all__ = [
    "Before",
    "CascadeModel",
    "CompletedTruth",
    "Exploration",
    "HeldOutTruth",
    "Pair",
    "Plan",
    "PositionModel",
    "Sessions",
    "Tally",
    "Test",
    "Traffic",
    "Truth",
    "Variant",
    "WorldTruth",
    "assign",
    "draw_session_counts",
    "draw_session_rates",
    "graded",
    "known_users",
    "plan_tests",
    "shares",
    "true_lifts",
    "truths_of",
    "untold_truths",
    "variant_names",
    "with_latency",
    "yardstick_ctrs",
]
