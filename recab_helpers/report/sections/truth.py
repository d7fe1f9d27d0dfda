"""Whether the analysis was right: the estimates beside the exact truth of a simulated test."""

import math

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Effect, MetricSpec
from recab_helpers.report import instead
from recab_helpers.report.background import Background
from recab_helpers.report.kit import words
from recab_helpers.report.kit.figures import LiftRow, lifts_figure
from recab_helpers.report.kit.html import answered, interval, note, said_once, table

TRAFFIC = ("", "sessions", "impressions")  # what the truth of clicks is alike over: the same in every variant


def truth(found: Analysis, known: Background) -> HTML:
    """Every estimate of the goals that count clicks beside the true lift, and true CTR with that of other policies."""
    if known.truth is None:
        return HTML("")
    if found.verdict.call == "no lift":
        said = instead.against_truth(found, known)
        return answered(said, note(said), yardsticks_table(known.yardsticks, known.truth))
    goals = [goal for goal in found.goals if _counts_clicks(goal)]
    others = ", ".join(goal.label for goal in found.goals if goal not in goals)
    figures = [_figure(goal, found, known) for goal in goals]
    unknown = note(f"The true lift of {others} is not known: the truth is one of clicks.") if others else HTML("")
    compared = _table(goals, found, known, known.truth) if goals else HTML("")
    said = ". ".join(_headline(goal, found, known.true_lifts()) for goal in goals)
    return answered(said, *figures, unknown, compared, yardsticks_table(known.yardsticks, known.truth))


def true_lift(effect: Effect, known: Background) -> float:
    """Exact lift of a goal that counts clicks; nan for others and where it is not known."""
    known_of = effect.metric.role == "goal" and _counts_clicks(effect.metric)
    return known.true_lifts().get(effect.comparison.variant, math.nan) if known_of else math.nan


def yardsticks_table(yardsticks: dict[str, float], truth: pd.DataFrame | None = None) -> HTML:
    """True CTR of policies that need no model under test, and of the variants where `truth` is given, lowest first."""
    if not yardsticks:
        return HTML("")
    rows = dict(yardsticks)
    if truth is not None:
        rows |= {f"{r.variant} ({r.model})": r.true_ctr for r in truth[truth["drawn"]].itertuples()}
    frame = pd.DataFrame({"true_ctr": rows.values()}, index=pd.Index(rows, name="policy"))
    return table(frame.sort_values("true_ctr", kind="stable"))


def _counts_clicks(metric: MetricSpec) -> bool:
    return metric.numerator == "clicks" and metric.denominator in TRAFFIC


def _figure(goal: MetricSpec, found: Analysis, known: Background) -> HTML:
    true = known.true_lifts()
    rows = [
        LiftRow.of(e, words.with_variant(words.sentence([e.method]), e, found, known), truth=true[e.comparison.variant])
        for e in (*found.effects, *found.sensitivity)
        if e.metric.name == goal.name and e.defined and e.comparison.variant in true
    ]
    return lifts_figure(rows, title=_headline(goal, found, true), valid=found.verdict.valid)


def _headline(goal: MetricSpec, found: Analysis, true: dict[str, float]) -> str:
    """Whether the interval of the goal holds the truth that clicks were drawn from."""
    title = words.named(found, goal)
    if not found.verdict.valid:
        return f"{title}Estimate and truth, {words.INVALID}"
    effects = [e for e in found.goal_effects if e.metric == goal and e.defined]
    if not effects:
        return f"{title}The lift of the test is not defined"
    held = [_holds(e, true[e.comparison.variant]) for e in effects]
    if len(effects) == 1:
        lift = formats.lift(true[effects[0].comparison.variant])
        return f"{title}The interval {'holds' if held[0] else 'misses'} the true lift of {lift}"
    return f"{title}{sum(held)} of {len(held)} intervals hold the true lift"


def _table(goals: list[MetricSpec], found: Analysis, known: Background, truth: pd.DataFrame) -> HTML:
    """The true lift beside the estimate, per definition of truth."""
    rows = [
        {
            "truth": formats.label_of(row.truth) + (", drawn from" if row.drawn else ", for comparison"),
            "metric": e.metric.label,
            "treatment": known.called(row.variant),
            "true_lift": row.true_lift,
            "estimate": e.lift,
            "interval of the estimate": interval(e.lift_ci),
            "holds the truth": "yes" if _holds(e, row.true_lift) else "no",
        }
        for row in truth.sort_values("drawn", ascending=False, kind="stable").itertuples()
        for e in found.goal_effects
        if e.metric in goals and e.comparison.variant == row.variant
    ]
    return table(said_once(pd.DataFrame(rows), "metric").set_index("truth"))


def _holds(effect: Effect, true: float) -> bool:
    low, high = effect.lift_ci
    return low <= true <= high
