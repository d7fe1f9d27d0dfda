"""The analysis: pure functions of aggregates, wherever the log lies."""

from recab_helpers.analysis.among import among_treatments, best_table, chance_to_be_best
from recab_helpers.analysis.analysis import Analysis, analyze, read_further, table
from recab_helpers.analysis.bayes import Posterior, Prior, bayes_table, fit_prior, posterior, posterior_of
from recab_helpers.analysis.both_slates import BothSlates, Examination, read_both_slates, read_goal_by
from recab_helpers.analysis.checks import CHECKS, SMALL_N, Assumed, Check, is_small, run_checks, smallest, srm_p_value
from recab_helpers.analysis.decision import Verdict, decide
from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.estimating import adjusted_values, estimate, per_user
from recab_helpers.analysis.interleaving import Preference, read_preference
from recab_helpers.analysis.looks import could_have_stopped, cumulative_effects
from recab_helpers.analysis.metrics import (
    CLICKS_PER_USER,
    CTR,
    LATENCY,
    METRICS,
    MetricSpec,
    columns_of,
    goals_of,
    mean_of,
    metrics_from,
    quantile_of,
    ratio_of,
)
from recab_helpers.analysis.off_policy import OffPolicy, read_off_policy
from recab_helpers.analysis.planning import Baseline, Design, mde_table, plan_table, power_curve
from recab_helpers.analysis.power import mde, power_by_lift, power_table, users_for_lift
from recab_helpers.analysis.progress import Progress, progress_of
from recab_helpers.analysis.segments import heterogeneity, losing, segment_effects
from recab_helpers.analysis.sensitivity import bootstrap, mann_whitney, sensitivity
from recab_helpers.analysis.slates import Example, Slates, shown_table
from recab_helpers.analysis.totals import ctr_table, totals

__all__ = [
    "CHECKS",
    "CLICKS_PER_USER",
    "CTR",
    "LATENCY",
    "METRICS",
    "SMALL_N",
    "Analysis",
    "Assumed",
    "Baseline",
    "BothSlates",
    "Check",
    "Design",
    "Effect",
    "Examination",
    "Example",
    "MetricSpec",
    "OffPolicy",
    "Posterior",
    "Preference",
    "Prior",
    "Progress",
    "Slates",
    "Verdict",
    "adjusted_values",
    "among_treatments",
    "analyze",
    "bayes_table",
    "best_table",
    "bootstrap",
    "chance_to_be_best",
    "columns_of",
    "could_have_stopped",
    "ctr_table",
    "cumulative_effects",
    "decide",
    "estimate",
    "estimate_effects",
    "fit_prior",
    "goals_of",
    "heterogeneity",
    "is_small",
    "losing",
    "mann_whitney",
    "mde",
    "mde_table",
    "mean_of",
    "metrics_from",
    "per_user",
    "plan_table",
    "posterior",
    "posterior_of",
    "power_by_lift",
    "power_curve",
    "power_table",
    "progress_of",
    "quantile_of",
    "ratio_of",
    "read_both_slates",
    "read_further",
    "read_goal_by",
    "read_off_policy",
    "read_preference",
    "run_checks",
    "segment_effects",
    "sensitivity",
    "shown_table",
    "smallest",
    "srm_p_value",
    "table",
    "totals",
    "users_for_lift",
]
