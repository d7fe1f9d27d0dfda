"""The analysis: pure functions of an impression log, wherever it came from."""

from recab_helpers.experiment.checks import Check, run_checks, srm_check, srm_p_value
from recab_helpers.experiment.decision import Verdict, decide
from recab_helpers.experiment.effects import (
    Effect,
    SufficientStatistics,
    estimate,
    estimate_effects,
    mann_whitney,
    sufficient_statistics,
)
from recab_helpers.experiment.metrics import (
    CLICKS_PER_USER,
    CONTROL,
    METRICS,
    MetricSpec,
    check_impressions,
    daily_totals,
    totals,
    users_table,
    variants_of,
)
from recab_helpers.experiment.power import mde, power_table, users_for_lift

__all__ = [
    "CLICKS_PER_USER",
    "CONTROL",
    "METRICS",
    "Check",
    "Effect",
    "MetricSpec",
    "SufficientStatistics",
    "Verdict",
    "check_impressions",
    "daily_totals",
    "decide",
    "estimate",
    "estimate_effects",
    "mann_whitney",
    "mde",
    "power_table",
    "run_checks",
    "srm_check",
    "srm_p_value",
    "sufficient_statistics",
    "totals",
    "users_for_lift",
    "users_table",
    "variants_of",
]
