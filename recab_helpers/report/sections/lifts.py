"""The lift of every metric, and of the goals by other methods: the figure, and tables of both values."""

import math
from typing import get_args

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Effect, MetricSpec
from recab_helpers.analysis.metrics import Role
from recab_helpers.report.background import Background
from recab_helpers.report.kit import words
from recab_helpers.report.kit.figures import LiftRow, lifts_figure
from recab_helpers.report.kit.html import Number, answered, folded, interval, table

ONE_LOOK = (
    "This test is read while it runs: the intervals of goals and guardrails allow for that, and decide; every p is "
    "that of a single look, and smaller than it should be."
)
CAPTION = (
    "CUPED: control, treatment and lift are adjusted for what users did before the test, which is no effect of it. As "
    "counted: the plain ratio."
)


def lifts(found: Analysis, known: Background) -> HTML:
    """Every metric's lift on one shared axis, with guardrail margins; then lift, both values, difference and p.

    A guardrail has the p of its margin in a column of its own. An invalid test has no p-values.
    """
    if not found.effects:
        return HTML("")
    rows = [LiftRow.of(e, words.with_variant(_label(e), e, found, known)) for e in found.effects if e.defined]
    figure = lifts_figure(rows, title=_headline(found, known), valid=found.verdict.valid)
    return answered(_answer(found), figure, _table(found.effects, found, known))


def sensitivity(found: Analysis, known: Background) -> HTML:
    """Whether other methods agree on the goals, in the first words; then each of them."""
    if not found.sensitivity:
        return HTML("")
    said = words.agreement(found) if found.verdict.valid else words.NO_RESULT
    return folded(f"Do other ways agree? {said}", _table(found.sensitivity, found, known, without=["adjusted_p_value"]))


def _answer(found: Analysis) -> str:
    """The other metrics of the treatment that the verdict is about."""
    about = found.verdict.effect
    if about is None:
        return ""
    others = [e for e in found.effects if e.comparison == about.comparison and e.metric != about.metric and e.defined]
    told = [f"{e.metric.label} {formats.lift(e.lift)}" for e in others if e.better or e.worse]
    return ", ".join(told[:2]) or "no other metric can be told from zero"


def _headline(found: Analysis, known: Background) -> str:
    if not found.verdict.valid:
        return f"Lift by metric, {words.INVALID}"
    return words.sentence(_said(goal, found, known) for goal in found.goals)


def _said(goal: MetricSpec, found: Analysis, known: Background) -> str:
    """What the goal did, in the treatment that it likes best."""
    effects = [e for e in found.goal_effects if e.metric == goal and e.defined]
    if not effects:
        return f"The lift of {goal.label if len(found.goals) > 1 else 'the goal'} is not defined"
    best = max(effects, key=lambda e: goal.direction * e.lift)
    if not (best.better or best.worse):
        return f"{goal.label}: no lift can be told from zero"
    way = "higher" if best.lift > 0 else "lower"
    return f"{goal.label} is {formats.percent(abs(best.lift), 1)} {way} in {known.called(best.comparison.variant)}"


def _label(e: Effect) -> str:
    less = ", less is better" if e.metric.direction < 0 else ""
    margin = f", margin {formats.percent(e.margin, 0)}" if e.metric.role == "guardrail" else ""
    return f"{e.metric.label}{less}{margin}"


def _table(effects: list[Effect], found: Analysis, known: Background, *, without: list[str] | None = None) -> HTML:
    levels = {e.alpha for e in effects}
    heading = f"{formats.confidence(min(levels))} interval" if len(levels) == 1 else "interval of the lift"
    rows = [
        {
            "metric": words.with_variant(_in_role(e), e, found, known),
            "lift": Number(e.lift, formats.lift(e.lift)),
            heading: interval(e.lift_ci),
            "control": Number(e.control, words.value(e.metric, e.control)),
            "treatment": Number(e.treatment, words.value(e.metric, e.treatment)),
            "difference": Number(e.difference, words.difference(e.metric, e.difference)),
            "p_value": e.p_value,
            "adjusted_p_value": e.adjusted_p_value,
            "margin_p_value": e.noninferiority_p,
            "how": _how(e, found),
        }
        for e in effects
    ]
    invalid = () if found.verdict.valid else ("p_value", "adjusted_p_value", "margin_p_value")
    hidden = {*(without or ("p_value",)), *invalid}
    hidden |= set() if any(e.metric.role == "guardrail" for e in effects) else {"margin_p_value"}
    adjusted = CAPTION if any(math.isfinite(e.variance_reduction) for e in effects) else ""
    progress = found.verdict.progress
    once = ONE_LOOK if progress and progress.running and effects is found.effects else ""
    shared = _shared(effects, found)
    caption = " ".join(filter(None, (shared, adjusted, once))) if found.verdict.valid else words.NO_RESULT
    return table(pd.DataFrame(rows).set_index("metric").drop(columns=sorted(hidden)), caption=caption)


def _shared(effects: list[Effect], found: Analysis) -> str:
    """Which of the rows share a level, and by which correction."""
    level, n = f"{found.alpha:g}", len(found.test.users.comparisons)
    if effects is not found.effects:
        return f"Level: every row is at that of the goals' intervals ({_level(effects)}), uncorrected for their number."
    count = {role: sum(e.metric.role == role for e in effects) for role in get_args(Role)}
    goals = (
        f"the {count['goal']} rows of goals share {level}, intervals equally (Bonferroni) and adjusted p by Holm"
        if count["goal"] > 1
        else f"the goal has {level} for itself"
    )
    each = f"{level} each{f', which its {n} treatments share equally' if n > 1 else ''}"
    guards = f"; guardrails and what must not get worse have {each}"
    secondary = (
        f"; secondary rows have intervals of {level} each, and adjusted p by Benjamini and Hochberg over "
        f"{'all ' if count['secondary'] > 1 else ''}{count['secondary']}"
    )
    looks = ", divided over daily looks" if found.verdict.progress else ""
    held = guards if count["guardrail"] + count["deterioration"] else ""
    said = f"Levels: {goals}{looks}{held}{secondary if count['secondary'] else ''}"
    return f"{said}."


def _level(effects: list[Effect]) -> str:
    return ", ".join(sorted({f"{e.alpha:.3g}" for e in effects}))


def _in_role(e: Effect) -> str:
    role = {"secondary": "", "deterioration": " (must not fall)" if e.metric.direction > 0 else " (must not rise)"}
    return e.metric.label + role.get(e.metric.role, f" ({e.metric.role})")


def _how(e: Effect, found: Analysis) -> str:
    """The method; where the period before adjusts the values, the lift as it was counted; why there is none."""
    if math.isfinite(e.variance_reduction):
        users, columns = found.test.users, e.metric.columns
        of = users.counted_by(columns)
        control, treatment = (of[v].gradient(columns)[0] for v in (e.comparison.against, e.comparison.variant))
        counted = formats.lift(treatment / control - 1) if control > 0 else formats.NOT_DEFINED
        more = [part for part in e.method.split(", ") if part not in ("Welch", "delta method", "CUPED", "linear")]
        return "; ".join(["CUPED", *more, f"as counted {counted}"])
    return "; ".join(filter(None, ("as counted" if e.method in ("Welch", "delta method") else e.method, e.reason)))
