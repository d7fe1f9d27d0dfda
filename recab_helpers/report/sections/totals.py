"""Totals by variant: what people ask for first."""

from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import folded, note, table
from recab_helpers.report.kit.words import model_name

WHY = (
    "They grow with the number of users and with a few very active ones, so that two halves of the same model differ "
    "more often than chance allows. The goal is a mean or a ratio whose unit is the user."
)


def totals(found: Analysis, known: Background) -> HTML:
    """Users and what was counted of them, per variant with the model behind it."""
    if found.verdict.call == "no lift":  # counts by team are of no variant
        return HTML("")
    frame = found.totals.copy()
    if known.models:
        frame.insert(0, "model", [model_name(known.models[v]) for v in frame.index])
    return folded("Total clicks: what people ask for first, and why they are not the test", note(WHY), table(frame))
