"""Whether the effect differs between users: exploratory."""

import pandas as pd
from IPython.display import HTML

from recab_helpers.analysis import Analysis, MetricSpec
from recab_helpers.analysis.segments import reversed_in
from recab_helpers.formats import confidence, label_of
from recab_helpers.report.background import Background
from recab_helpers.report.kit import words
from recab_helpers.report.kit.figures import LiftRow, lifts_figure
from recab_helpers.report.kit.html import answered, folded, interval, note, said_once, table


def segments(found: Analysis, known: Background) -> HTML:
    """The goals' lifts in every level of every segment, whether levels differ, and both as tables."""
    if found.segments.empty:
        return HTML("")
    figures = (_figure(goal, found, known) for goal in found.goals)
    tables = folded("Every group, and whether lifts differ, as tables", _heterogeneity(found), _table(found))
    return answered(". ".join(_headline(goal, found) for goal in found.goals), *figures, tables)


def _figure(goal: MetricSpec, found: Analysis, known: Background) -> HTML:
    of = found.segments[(found.segments["metric"] == goal.name) & (found.segments["log_se"] > 0)]
    rows = [
        LiftRow(
            label=f"{label_of(s.segment)}: {s.level}"
            + (f", {known.called(s.variant)}" if words.several(found) else ""),
            lift=s.lift,
            ci=(s.low, s.high),
            direction=goal.direction,
        )
        for s in of.itertuples()
    ]
    return lifts_figure(rows, title=_headline(goal, found), valid=found.verdict.valid)


def _headline(goal: MetricSpec, found: Analysis) -> str:
    """Whether lifts differ between levels of a segment."""
    if not found.verdict.valid:
        return f"{words.named(found, goal)}Lift by segment, {words.INVALID}"
    apart = [s for e in found.goal_effects if e.metric == goal for s in reversed_in(found.segments, e)]
    if apart:
        names = ", ".join(map(label_of, dict.fromkeys(apart)))
        return (
            f"{words.named(found, goal)}Every group by {names} points the other way than all users (Simpson's paradox)"
        )
    tested = found.heterogeneity[found.heterogeneity["metric"] == goal.name]
    unlike = tested.loc[tested["adjusted_p_value"] < found.alpha, "segment"].unique()
    if len(unlike):
        return f"{words.named(found, goal)}The lift differs by {', '.join(map(label_of, unlike))}"
    shown = "No difference between segments is shown" if len(tested) else "No two segments can be compared"
    return words.named(found, goal) + shown


def _heterogeneity(found: Analysis) -> HTML:
    """Whether lifts differ between the levels of each segment."""
    if not found.verdict.valid:
        return note(words.NOT_READ)
    tested = found.heterogeneity
    if tested.empty:
        return note("No segment has two levels with a defined lift.")
    unlike = (tested["adjusted_p_value"] < found.alpha).map({True: "lifts differ", False: "no difference shown"})
    frame = tested.assign(
        segment=tested["segment"].map(label_of),
        metric=tested["metric"].map(words.labels_of(found)),
        reading=unlike,
    )
    return table(said_once(frame, "metric", "variant", "against").set_index("segment"))


def _table(found: Analysis) -> HTML:
    s = found.segments
    frame = pd.DataFrame(
        {
            "segment": s["segment"].map(label_of),
            "level": s["level"],
            "metric": s["metric"].map(words.labels_of(found)),
            "variant": s["variant"],
            "against": s["against"],
            "users": s["users"],
            "lift": s["lift"],
            "interval of the lift": [interval(ci) for ci in zip(s["low"], s["high"], strict=True)],
            "adjusted_p_value": s["adjusted_p_value"],
            "note": s["reason"],
        }
    )
    hidden = [*([] if found.verdict.valid else ["adjusted_p_value"]), *([] if s["reason"].any() else ["note"])]
    shown = said_once(frame, "metric", "variant", "against").drop(columns=hidden)
    shared = (
        f"Levels: all {len(s)} rows share {found.alpha:g} in their adjusted p (Benjamini and Hochberg); whether lifts "
        f"differ has it apart, over all segments likewise; intervals are {confidence(found.alpha)} each."
    )
    return table(shown.set_index("segment"), caption=shared if found.verdict.valid else words.NO_RESULT)
