"""The analysis: pure functions of an impression log or a users table, wherever it came from."""

from recab_helpers.analysis.analysis import Analysis, analyze
from recab_helpers.analysis.bayes import Posterior, bayes_table, beta_binomial, posterior, posterior_of
from recab_helpers.analysis.checks import Check, run_checks, srm_check, srm_p_value
from recab_helpers.analysis.decision import RULE, Verdict, decide
from recab_helpers.analysis.effects import (
    Effect,
    SufficientStatistics,
    compare,
    estimate,
    estimate_effects,
    sufficient_statistics,
)
from recab_helpers.impressions.users import (
    check_impressions,
    check_users,
    ctr_by,
    join_known,
    moments,
    totals,
    users_by_day,
    users_table,
)
from recab_helpers.analysis.looks import could_have_stopped, cumulative_effects
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CONTROL, CTR, METRICS, MetricSpec, mean_of, variants_of
from recab_helpers.analysis.planning import Baseline, mde_table, plan_table, power_curve
from recab_helpers.analysis.power import mde, power_by_lift, power_table, users_for_lift
from recab_helpers.analysis.segments import heterogeneity, segment_columns, segment_effects
from recab_helpers.analysis.sensitivity import bootstrap, mann_whitney, sensitivity
from recab_helpers.analysis.slates import Example, Slates, examples, look_at_slates, shown_table, slate_overlap

__all__ = [
    "CLICKS_PER_USER",
    "CONTROL",
    "CTR",
    "METRICS",
    "RULE",
    "Analysis",
    "Baseline",
    "Check",
    "Effect",
    "Example",
    "MetricSpec",
    "Posterior",
    "Slates",
    "SufficientStatistics",
    "Verdict",
    "analyze",
    "bayes_table",
    "beta_binomial",
    "bootstrap",
    "check_impressions",
    "check_users",
    "compare",
    "could_have_stopped",
    "ctr_by",
    "cumulative_effects",
    "decide",
    "estimate",
    "estimate_effects",
    "examples",
    "heterogeneity",
    "join_known",
    "look_at_slates",
    "mann_whitney",
    "mde",
    "mde_table",
    "mean_of",
    "moments",
    "plan_table",
    "posterior",
    "posterior_of",
    "power_by_lift",
    "power_curve",
    "power_table",
    "run_checks",
    "segment_columns",
    "segment_effects",
    "sensitivity",
    "shown_table",
    "slate_overlap",
    "srm_check",
    "srm_p_value",
    "sufficient_statistics",
    "totals",
    "users_by_day",
    "users_for_lift",
    "users_table",
    "variants_of",
]
