"""The whole analysis of one test: from an impression log to effects, checks and a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from recab_helpers.analysis.bayes import bayes_table
from recab_helpers.analysis.checks import Check, run_checks
from recab_helpers.analysis.decision import Verdict, decide
from recab_helpers.analysis.effects import Effect, estimate_effects
from recab_helpers.impressions.users import ctr_by, totals, users_by_day, users_table
from recab_helpers.analysis.looks import cumulative_effects
from recab_helpers.analysis.metrics import CTR, METRICS, mean_of
from recab_helpers.analysis.power import power_by_lift, power_table
from recab_helpers.analysis.segments import heterogeneity, segment_effects
from recab_helpers.analysis.sensitivity import sensitivity
from recab_helpers.parameters import nearest


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Everything that a test says, made by `analyze`; each table is described where its function is."""

    users: pd.DataFrame  # users_table
    totals: pd.DataFrame  # totals
    effects: list[Effect]  # estimate_effects
    sensitivity: list[Effect]  # sensitivity, of the goal
    checks: list[Check]  # run_checks
    verdict: Verdict  # decide
    bayes: pd.DataFrame  # bayes_table, empty where the verdict is invalid
    power: pd.DataFrame  # power_table
    power_curve: pd.DataFrame  # power_by_lift, of the goal
    looks: pd.DataFrame  # cumulative_effects
    by_day: pd.DataFrame  # ctr_by day
    by_position: pd.DataFrame  # ctr_by position
    segments: pd.DataFrame  # segment_effects, of the goal
    heterogeneity: pd.DataFrame  # heterogeneity
    alpha: float
    wanted_power: float


def analyze(
    impressions: pd.DataFrame,
    known: pd.DataFrame | None = None,
    *,
    planned: dict[str, float],
    more_metrics: Sequence[str] = (),
    alpha: float = 0.05,
    power: float = 0.8,
    looks: str = "obrien_fleming",
) -> Analysis:
    """Analyze a checked log (`check_impressions`).

    `known` adds what is known of the users from before, `planned` holds the planned share of users by variant, and
    `more_metrics` names further numeric columns of the users, each read as a mean.

    Raises:
        ValueError: a metric that is no numeric column of the users table.
        DataError: `known` breaks its contract.
    """
    users = users_table(impressions, known)
    numeric = users.select_dtypes("number").columns
    for name in more_metrics:
        if name not in numeric:
            raise ValueError(f"metrics has {name!r}, which is no numeric column of the users. {nearest(name, numeric)}")
    metrics = METRICS + tuple(mean_of(name) for name in more_metrics)
    by_day = ctr_by(impressions, "day", alpha=alpha)
    checks = run_checks(users, by_day, planned)
    effects = estimate_effects(users, metrics, alpha=alpha)
    verdict = decide(effects, checks, alpha=alpha, power=power)
    segments = segment_effects(users, CTR, alpha=alpha)
    return Analysis(
        users=users,
        totals=totals(users),
        effects=effects,
        sensitivity=sensitivity(users, CTR, alpha=alpha, strata="activity"),
        checks=checks,
        verdict=verdict,
        bayes=bayes_table(effects if verdict.valid else []),
        power=power_table(effects, alpha=alpha, power=power),
        power_curve=power_by_lift(effects, alpha=alpha),
        looks=cumulative_effects(users_by_day(impressions), alpha=alpha, shape=looks),
        by_day=by_day,
        by_position=ctr_by(impressions, "position", alpha=alpha),
        segments=segments,
        heterogeneity=heterogeneity(segments),
        alpha=alpha,
        wanted_power=power,
    )
