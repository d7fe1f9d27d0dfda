"""The lift of every metric, and of the goals by other methods: the figure, and tables of both values."""

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Effect, MetricSpec
from recab_helpers.report.background import Background
from recab_helpers.report.kit import words
from recab_helpers.report.kit.figures import LiftRow, lifts_figure
from recab_helpers.report.kit.html import Number, interval, joined, table


def lifts(found: Analysis, known: Background) -> HTML:
    """Every metric's lift on one shared axis, with guardrail margins; then both values, difference, lift and p.

    The adjusted p of a guardrail is that of its non-inferiority test. An invalid test has no p-values.
    """
    rows = [LiftRow.of(e, words.with_variant(_label(e), e, found)) for e in found.effects if e.defined]
    figure = lifts_figure(rows, title=_headline(found), valid=found.verdict.valid)
    return joined(figure, _table(found.effects, found))


def sensitivity(found: Analysis, known: Background) -> HTML:
    """The goals by other methods, without adjusted p-values."""
    return _table(found.sensitivity, found, without=["role", "adjusted_p_value"])


def _headline(found: Analysis) -> str:
    if not found.verdict.valid:
        return f"Lift by metric, {words.INVALID}"
    return words.sentence(_said(goal, found) for goal in found.goals)


def _said(goal: MetricSpec, found: Analysis) -> str:
    """What the goal did, in the treatment that it likes best."""
    effects = [e for e in found.goal_effects if e.metric == goal and e.defined]
    if not effects:
        return f"The lift of {goal.label if len(found.goals) > 1 else 'the goal'} is not defined"
    best = max(effects, key=lambda e: goal.direction * e.lift)
    if not (best.better or best.worse):
        return f"{goal.label}: no lift can be told from zero"
    way = "higher" if best.lift > 0 else "lower"
    return f"{goal.label} is {formats.percent(abs(best.lift), 1)} {way} in {best.comparison.variant}"


def _label(e: Effect) -> str:
    less = ", less is better" if e.metric.direction < 0 else ""
    margin = f", margin {formats.percent(e.margin, 0)}" if e.metric.role == "guardrail" else ""
    return f"{e.metric.label}{less}{margin}"


def _table(effects: list[Effect], found: Analysis, *, without: list[str] | None = None) -> HTML:
    levels = {e.alpha for e in effects}
    heading = f"{formats.confidence(min(levels))} interval" if len(levels) == 1 else "interval of the lift"
    rows = [
        {
            "metric": words.with_variant(e.metric.label, e, found),
            "role": e.metric.role,
            "control": Number(e.control, words.value(e.metric, e.control)),
            "treatment": Number(e.treatment, words.value(e.metric, e.treatment)),
            "difference": Number(e.difference, words.difference(e.metric, e.difference)),
            "lift": Number(e.lift, formats.lift(e.lift)),
            heading: interval(e.lift_ci),
            "p_value": e.p_value,
            "adjusted_p_value": e.noninferiority_p if e.metric.role == "guardrail" else e.adjusted_p_value,
            "method": "; ".join([e.method, *([e.reason] if e.reason else [])]),
        }
        for e in effects
    ]
    hidden = {*(without or ()), *(() if found.verdict.valid else ("p_value", "adjusted_p_value"))}
    caption = "" if found.verdict.valid else words.NO_RESULT
    return table(pd.DataFrame(rows).set_index("metric").drop(columns=sorted(hidden)), caption=caption)
