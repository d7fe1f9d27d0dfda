"""Totals by variant: what people ask for first."""

from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import table
from recab_helpers.report.kit.words import model_name


def totals(found: Analysis, known: Background) -> HTML:
    """Users and what was counted of them, per variant with the model behind it."""
    frame = found.totals.copy()
    if known.models:
        frame.insert(0, "model", [model_name(known.models[v]) for v in frame.index])
    return table(frame)
