"""Where and when the clicks were: CTR by position and by day."""

import pandas as pd
from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.references import CONTROL
from recab_helpers.report.background import Background
from recab_helpers.report.kit.figures import ctr_figure
from recab_helpers.report.kit.html import note
from recab_helpers.report.kit.words import INVALID, sentence


def positions(found: Analysis, known: Background) -> HTML:
    """CTR by position of every variant."""
    if found.by_position is None:
        return note("Positions, or clicks at them, are not known.")
    return ctr_figure(found.by_position, title=_by_position(found.by_position))


def days(found: Analysis, known: Background) -> HTML:
    """CTR by day of every variant."""
    if found.by_day is None:
        return note("Days, or clicks on them, are not known.")
    return ctr_figure(found.by_day, title=_by_day(found.by_day, found))


def _by_position(table: pd.DataFrame) -> str:
    """How CTR falls from the first position to the last."""
    totals = table[["impressions", "clicks"]].groupby(level="position").sum()
    ctr = totals["clicks"] / totals["impressions"]
    if len(ctr) < 2:
        return "The log holds one position"
    if not ctr.iloc[-1] > 0:
        return f"No click at position {ctr.index[-1]}"
    return f"Position {ctr.index[0]} is clicked {ctr.iloc[0] / ctr.iloc[-1]:,.1f} times as often as {ctr.index[-1]}"


def _by_day(table: pd.DataFrame, found: Analysis) -> str:
    """On how many days each treatment was ahead."""
    if not found.verdict.valid:
        return f"CTR by day, {INVALID}"
    ctr = table["ctr"].unstack("variant").dropna()
    ahead = {v: int((ctr[v] > ctr[CONTROL]).sum()) for v in found.test.users.variants if v != CONTROL}
    return sentence(f"{v} had the higher CTR on {n} of {len(ctr)} days" for v, n in ahead.items())
