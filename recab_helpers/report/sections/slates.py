"""How alike the slates of the variants are, and how much of the catalog they show."""

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import answered, said_once, table


def slates(found: Analysis, known: Background) -> HTML:
    """Items that the slates of a user share, and the coverage, concentration and popularity of what was shown."""
    shown, overlap = known.slates.shown, known.slates.overlap
    tables = [] if overlap is None else [table(_named(said_once(overlap, "against"), known).set_index("variant"))]
    if shown is not None:
        tables.append(table(_named(shown.reset_index(), known).set_index("variant")))
    return answered(_answer(overlap), *tables)


def _answer(overlap: pd.DataFrame | None) -> str:
    if overlap is None or overlap.empty:
        return ""
    shared = " and ".join(formats.number(x, 1) for x in overlap["in_common"])
    return f"{shared} of {formats.count(overlap['slate_size'].iloc[0])} items are shared with control"


def _named(frame: pd.DataFrame, known: Background) -> pd.DataFrame:
    return frame.assign(variant=[known.called(v) for v in frame["variant"]])
