"""Everything that a test says, in one object: what the report's sections and `ab_report.json` are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import pandas as pd

from recab_helpers.analysis.among import among_treatments, best_table
from recab_helpers.analysis.bayes import Prior, bayes_table
from recab_helpers.analysis.both_slates import BothSlates, read_both_slates
from recab_helpers.analysis.checks import Check, run_checks
from recab_helpers.analysis.decision import Verdict, decide
from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.interleaving import Preference, read_preference
from recab_helpers.analysis.looks import cumulative_effects
from recab_helpers.analysis.metrics import CTR, METRICS, MetricSpec, goals_of
from recab_helpers.analysis.off_policy import OffPolicy, read_off_policy
from recab_helpers.analysis.power import power_by_lift, power_table
from recab_helpers.analysis.progress import Progress
from recab_helpers.analysis.segments import heterogeneity, segment_effects
from recab_helpers.analysis.sensitivity import sensitivity
from recab_helpers.analysis.sequential import Shape
from recab_helpers.analysis.totals import ctr_table, totals
from recab_helpers.brief import Brief
from recab_helpers.impressions.aggregates import Aggregates
from recab_helpers.references import Comparison


@dataclass(frozen=True, kw_only=True)
class Analysis(Brief):
    """Everything that a test says; each table is described where its function is."""

    test: Aggregates
    metrics: tuple[MetricSpec, ...]
    checks: list[Check]  # run_checks
    effects: list[Effect]  # estimate_effects
    verdict: Verdict  # decide
    totals: pd.DataFrame  # totals
    sensitivity: list[Effect]  # sensitivity, of the goals
    among: list[Effect]  # among_treatments, of the goals
    best: pd.DataFrame  # best_table, of the goals
    prior: Prior  # of every lift, for the Bayesian reading
    bayes: pd.DataFrame  # bayes_table, empty where the verdict is invalid
    power: pd.DataFrame  # power_table
    power_curve: pd.DataFrame  # power_by_lift, of the goals
    looks: pd.DataFrame  # cumulative_effects, of the goals
    by_day: pd.DataFrame | None  # ctr_table
    by_position: pd.DataFrame | None  # ctr_table
    segments: pd.DataFrame  # segment_effects, of the goals
    heterogeneity: pd.DataFrame  # heterogeneity
    both_slates: dict[str, BothSlates]  # read_both_slates, of CTR where it is a goal
    reading: str  # of the goal, as it was chosen before the test
    preference: Preference | None  # read_preference, of interleaved slates
    off_policy: dict[str, OffPolicy]  # read_off_policy, by target that was not served
    alpha: float
    wanted_power: float

    @property
    def goals(self) -> tuple[MetricSpec, ...]:
        """The metrics that decide."""
        return goals_of(self.metrics)

    @property
    def goal_effects(self) -> list[Effect]:
        """The effects on the goals."""
        return [e for e in self.effects if e.metric.role == "goal"]


def table(things: Sequence[MetricSpec | Check | Effect]) -> pd.DataFrame:
    """Metrics, checks or effects as they are, one row each: every field, a metric and a comparison by their names."""
    rows = []
    for thing in things:
        values = {f.name: getattr(thing, f.name) for f in fields(thing)}
        rows.append({k: v.label if isinstance(v, MetricSpec) else v for k, v in values.items()})
    return pd.DataFrame(rows)


def read_further(
    test: Aggregates,
    metrics: tuple[MetricSpec, ...],
    checks: list[Check],
    effects: list[Effect],
    verdict: Verdict,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    shape: Shape = "obrien_fleming",
    prior: Prior = Prior(),  # noqa: B008  # it is frozen
    progress: Progress | None = None,
    reading: str = "plain",
) -> Analysis:
    """The analysis whole: beside what decides, every other reading of the same aggregates."""
    goals, preference = goals_of(metrics), None
    level = progress.level(alpha) if progress else alpha
    if (of := test.users.within) and of.design == "interleaved":
        preference = read_preference(of, test.users.variants, alpha=level)
        test = replace(test, by_day=None, by_position=None)  # CTR of picks is of neither variant
    segments = segment_effects(test.users, goals, alpha=alpha)
    return Analysis(
        test=test,
        metrics=metrics,
        checks=checks,
        effects=effects,
        verdict=verdict,
        totals=totals(test.users),
        sensitivity=sensitivity(test.users, goals, alpha=alpha),
        among=among_treatments(test.users, goals, alpha=alpha) if verdict.valid else [],
        best=best_table(test.users, goals if verdict.valid else ()),
        prior=prior,
        bayes=bayes_table(effects if verdict.valid else [], prior),
        power=power_table(effects, power=power),
        power_curve=power_by_lift(effects),
        looks=cumulative_effects(test.running, goals, alpha=alpha, shape=shape, progress=progress),
        by_day=ctr_table(test.by_day, alpha=alpha),
        by_position=ctr_table(test.by_position, alpha=alpha),
        segments=segments,
        heterogeneity=heterogeneity(segments),
        both_slates=read_both_slates(test.both_slates if CTR in goals else {}, alpha=alpha),
        reading=reading,
        preference=preference,
        off_policy={
            v: read_off_policy(s, Comparison(v), alpha=level, unknown=test.target_unknown.get(v))
            for v, s in test.off_policy.items()
        },
        alpha=alpha,
        wanted_power=power,
    )


def analyze(
    test: Aggregates,
    *,
    planned: Mapping[str, float],
    metrics: tuple[MetricSpec, ...] = METRICS,
    alpha: float = 0.05,
    power: float = 0.8,
    shape: Shape = "obrien_fleming",
    progress: Progress | None = None,
) -> Analysis:
    """Analyze a reduced log (`impressions.reduce`) in one call; `planned` holds the share of users by variant.

    A test that is read once, at its planned end, needs no `progress`; any other is given that of `progress_of`.
    """
    checks = run_checks(test, planned)
    effects = estimate_effects(test.users, metrics, alpha=alpha, progress=progress)
    verdict = decide(effects, checks, power=power, progress=progress)
    return read_further(
        test, metrics, checks, effects, verdict, alpha=alpha, power=power, shape=shape, progress=progress
    )
