"""Several treatments held against each other."""

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, MetricSpec
from recab_helpers.report.background import Background
from recab_helpers.report.kit import words
from recab_helpers.report.kit.figures import LiftRow, lifts_figure
from recab_helpers.report.kit.html import joined, note, table


def among(found: Analysis, known: Background) -> HTML:
    """Every two treatments on each goal, and how likely each variant is the best; nothing of one treatment."""
    if not found.among:
        return HTML("")
    return joined(*(_figure(goal, found, known) for goal in found.goals), _best(found, known))


def _figure(goal: MetricSpec, found: Analysis, known: Background) -> HTML:
    effects = [e for e in found.among if e.metric == goal and e.defined]
    rows = [
        LiftRow.of(e, f"{known.called(e.comparison.variant)} against {known.called(e.comparison.against)}")
        for e in effects
    ]
    clear = sum(e.better or e.worse for e in effects)
    said = f"{formats.count(clear)} of {formats.count(len(effects))} pairs of treatments can be told apart"
    shared = (
        f"Levels: all {len(found.among)} pairs share {found.alpha:g}, intervals equally (Bonferroni) and p by Holm; "
        "the comparisons with control have a level of their own."
    )
    return joined(lifts_figure(rows, title=f"{words.named(found, goal)}{said}", treatments=True), note(shared))


def _best(found: Analysis, known: Background) -> HTML:
    if found.best.empty:
        return HTML("")
    labels = words.labels_of(found)
    frame = pd.DataFrame(
        {
            "variant": [known.called(v) for v in found.best["variant"]],
            "metric": found.best["metric"].map(labels),
            "chance_to_be_best": found.best["chance_to_be_best"],
        }
    )
    shown = frame.drop(columns=[] if len(labels) > 1 else ["metric"])
    return table(shown.set_index("variant"), caption="Under a flat prior: nothing is assumed of lifts beforehand.")
