"""The analysis: pure functions of aggregates, wherever the log lies."""

from recab_helpers.analysis.analysis import Analysis, analyze, read_further, table
from recab_helpers.analysis.bayes import Posterior, bayes_table, posterior, posterior_of
from recab_helpers.analysis.checks import CHECKS, Check, run_checks, srm_p_value
from recab_helpers.analysis.decision import Verdict, decide
from recab_helpers.analysis.effects import Effect, estimate, estimate_effects
from recab_helpers.analysis.looks import could_have_stopped, cumulative_effects
from recab_helpers.analysis.metrics import (
    CLICKS_PER_USER,
    CTR,
    METRICS,
    MetricSpec,
    columns_of,
    goals_of,
    mean_of,
    metrics_from,
    ratio_of,
)
from recab_helpers.analysis.planning import Baseline, Design, mde_table, plan_table, power_curve
from recab_helpers.analysis.power import mde, power_by_lift, power_table, users_for_lift
from recab_helpers.analysis.segments import heterogeneity, segment_effects
from recab_helpers.analysis.sensitivity import bootstrap, mann_whitney, sensitivity
from recab_helpers.analysis.slates import Example, Slates, shown_table
from recab_helpers.analysis.totals import ctr_table, totals

__all__ = [
    "CHECKS",
    "CLICKS_PER_USER",
    "CTR",
    "METRICS",
    "Analysis",
    "Baseline",
    "Check",
    "Design",
    "Effect",
    "Example",
    "MetricSpec",
    "Posterior",
    "Slates",
    "Verdict",
    "analyze",
    "bayes_table",
    "bootstrap",
    "columns_of",
    "could_have_stopped",
    "ctr_table",
    "cumulative_effects",
    "decide",
    "estimate",
    "estimate_effects",
    "goals_of",
    "heterogeneity",
    "mann_whitney",
    "mde",
    "mde_table",
    "mean_of",
    "metrics_from",
    "plan_table",
    "posterior",
    "posterior_of",
    "power_by_lift",
    "power_curve",
    "power_table",
    "ratio_of",
    "read_further",
    "run_checks",
    "segment_effects",
    "sensitivity",
    "shown_table",
    "srm_p_value",
    "table",
    "totals",
    "users_for_lift",
]
