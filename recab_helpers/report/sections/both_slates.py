"""What a test says where the slate of the other variant is known too."""

import math

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from recab_helpers import formats
from recab_helpers.analysis import Analysis, BothSlates, users_for_lift
from recab_helpers.report.background import Background
from recab_helpers.report.kit.figures import LiftRow, lifts_figure
from recab_helpers.report.kit.html import Number, answered, folded, interval, joined, note, show, table
from recab_helpers.report.kit.plot import (
    BETTER,
    SERIES,
    WIDTH,
    percent_axis,
    report_style,
    title_of,
    whole_numbers,
)

NAMES = {
    "plain": "Clicks as they came",
    "triggered": "Only from the first difference on",
    "both": "Every click counted for both slates",
}
FEW_POSITIONS = 3  # below which examination is not drawn


def both_slates(found: Analysis, known: Background) -> HTML:
    """Three readings of CTR on one axis, the gate in words, users that each would need, and examination by position."""
    if not found.both_slates or not found.verdict.valid or known.same_in_all:
        return HTML("")
    pieces = [_one(v, reading, found, known) for v, reading in found.both_slates.items()]
    return answered(". ".join(_headline(v, r, known) for v, r in found.both_slates.items()), *pieces)


def _one(variant: str, reading: BothSlates, found: Analysis, known: Background) -> HTML:
    truth = known.true_lifts().get(variant, math.nan)
    rows = [LiftRow.of(getattr(reading, name), label, truth=truth) for name, label in NAMES.items()]
    return joined(
        lifts_figure(rows, title=_headline(variant, reading, known)),
        note(_gate(reading)),
        _users(reading, power=found.wanted_power),
        folded("How far down do users look?", _examination(reading)),
    )


def _headline(variant: str, reading: BothSlates, known: Background) -> str:
    name, e = known.called(variant), reading.both
    if not reading.holds:
        return f"Both slates of {name} are not read: clicks do not follow the model behind it"
    if not e.defined:
        return f"Both slates of {name} give no lift"
    share = (e.log_se / reading.plain.log_se) ** 2
    needs = f"and need {formats.percent(share, 0)} of the users" if share < 1 else "and need as many users"
    return f"Both slates say {formats.lift(e.lift)} for {name}, {needs}"


def _gate(reading: BothSlates) -> str:
    """Why the reading may be believed, or may not."""
    same = f"{formats.percent(reading.same, 0)} of clicks fell on items at the same place in both slates."
    rule = "a click at the top does not lower the clicks below it, and both ways to count differ by chance only"
    if reading.holds:
        return f"{same} The gate holds: {rule} (p {formats.p_value(reading.gate_p)})."
    return (
        f"{same} The gate does not hold (p {formats.p_value(reading.gate_p)}): it asks that {rule}. "
        "Read the first line; the second needs no model of clicks either."
    )


def _users(reading: BothSlates, *, power: float) -> HTML:
    """What each reading says, and the users that it would need to find the plain estimate."""
    rows = []
    for name, label in NAMES.items():
        e = getattr(reading, name)
        needed = users_for_lift(e, reading.plain.lift, power=power)
        rows.append(
            {
                "reading": label,
                "lift": e.lift,
                f"{formats.confidence(e.alpha)} interval": interval(e.lift_ci),
                "users that find the first lift": Number(needed, formats.count(needed)),
            }
        )
    return table(pd.DataFrame(rows).set_index("reading"))


def _examination(reading: BothSlates) -> HTML:
    """How likely each position is looked at, told from items that the variants show at different positions."""
    e = reading.examination
    if len(e.position) < FEW_POSITIONS:
        return note("Too few clicks on items that moved between positions to tell.")
    with report_style():
        fig = Figure(figsize=(WIDTH, SERIES))
        ax = fig.subplots()
        ax.vlines(e.position, e.low, e.high, color=BETTER)
        ax.plot(e.position, e.theta, "o-", color=BETTER, markersize=4.5)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("position")
        ax.set_ylabel("examined")
        whole_numbers(ax.xaxis)
        percent_axis(ax.yaxis, formats.percent, ticks=5)
        last = formats.percent(float(e.theta[-1]), 0)
        title = f"Position {e.position[-1]} is looked at {last} as often as position {e.position[0]}"
        title_of(fig, title)
    alt = "; ".join(f"position {k} {formats.percent(float(t), 0)}" for k, t in zip(e.position, e.theta, strict=True))
    caption = "Told by items that both variants show, at different positions. Bar: interval, by users."
    return show(fig, alt=f"Examination by position: {alt}.", caption=caption)
