"""How alike the slates of the variants are, and how much of the catalog they show."""

import pandas as pd
from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import joined, note, said_once, table


def slates(found: Analysis, known: Background) -> HTML:
    """Items that the slates of a user share, and the coverage, concentration and popularity of what was shown."""
    shown = known.slates.shown
    return joined(_overlap(known.slates.overlap), HTML("") if shown is None else table(shown))


def _overlap(overlap: pd.DataFrame | None) -> HTML:
    if overlap is None:
        return note("A real log holds one slate per user, so the overlap of slates is not known.")
    return table(said_once(overlap, "against").set_index("variant"))
