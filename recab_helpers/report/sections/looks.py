"""The lift of all data to date by day, with the bands that may be read at every look."""

import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recab_helpers import formats
from recab_helpers.analysis import Analysis, MetricSpec, could_have_stopped
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import answered, show
from recab_helpers.report.kit.plot import (
    BETTER,
    NEUTRAL,
    SERIES,
    SMALL_TEXT,
    WIDTH,
    label_ends,
    percent_axis,
    report_style,
    title_of,
    whole_numbers,
)
from recab_helpers.report.kit.words import INVALID, labels_of, named, sentence

CAPTION = (
    "Dark band: may be read at every planned daily look. Light band: may be read at any moment. An ordinary interval "
    "may be read once only, at the end."
)


def looks(found: Analysis, known: Background) -> HTML:
    """One panel a goal and treatment: the lift to date inside the band for planned looks and that for any look."""
    if found.looks.empty:
        return HTML("")
    panels = list(found.looks.groupby(["metric", "variant"], sort=False))
    labels = labels_of(found)
    color = BETTER if found.verdict.valid else NEUTRAL
    with report_style():
        fig = Figure(figsize=(WIDTH, 0.4 + (SERIES - 0.3) * len(panels)))
        for ax, ((metric, variant), rows) in zip(fig.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
            if len(labels) > 1:
                ax.set_title(labels[metric], loc="left", fontsize=SMALL_TEXT)
            _draw(ax, rows, color=color)
            ax.set_ylabel(f"lift of {known.called(variant)}")
        title_of(fig, _headline(found, known))
    shared = f"{len(panels)} lifts share it equally" if len(panels) > 1 else "one lift has it for itself"
    level = (
        f"Level: each band errs at any of its looks in at most {found.alpha:g} of tests without an effect; {shared}."
    )
    return answered(_headline(found, known), show(fig, alt=_describe(found), caption=f"{CAPTION} {level}"))


def _draw(ax: Axes, rows: pd.DataFrame, *, color: str) -> None:
    day, final = rows["day"] + 1, rows.iloc[-1]
    ax.axhline(0, color="black", linewidth=0.8)
    ax.fill_between(day, rows["anytime_low"], rows["anytime_high"], color=NEUTRAL, alpha=0.2, linewidth=0)
    ax.fill_between(day, rows["low"], rows["high"], color=color, alpha=0.3, linewidth=0)
    ax.plot(day, rows["lift"], color=color, marker="o", markersize=4)
    low, high = min(0, final["anytime_low"]), max(0, final["anytime_high"], 0.01)
    ax.set_ylim(low - 0.5 * (high - low), high + 0.5 * (high - low))  # early bands may leave the frame
    ax.set_xlabel("day of the test")
    whole_numbers(ax.xaxis)
    percent_axis(ax.yaxis, formats.lift)
    bands = (("anytime_high", "any look", NEUTRAL), ("high", "planned looks", color))
    label_ends(ax, [*((final[c], text, ink) for c, text, ink in bands), (final["lift"], "lift", color)])


def _headline(found: Analysis, known: Background) -> str:
    """When the test could have stopped, by the band for planned daily looks."""
    if not found.verdict.valid:
        return f"Lift to date, {INVALID}"
    return ". ".join(filter(None, (_said(goal, found, known) for goal in found.goals)))


def _said(goal: MetricSpec, found: Analysis, known: Background) -> str:
    when = could_have_stopped(found.looks, goal.name).items()
    parts = [
        f"{known.called(c.variant)} could {'not have stopped early' if d is None else f'have stopped on day {d + 1}'}"
        for c, d in when
    ]
    return sentence([named(found, goal) + parts[0], *parts[1:]]) if parts else ""


def _describe(found: Analysis) -> str:
    """The last day's lift and both bands."""
    texts = []
    for metric, label in labels_of(found).items():
        parts = []
        for variant, rows in found.looks[found.looks["metric"] == metric].groupby("variant", sort=False):
            last = rows.iloc[-1]
            planned = formats.lift_interval((last["low"], last["high"]))
            anytime = formats.lift_interval((last["anytime_low"], last["anytime_high"]))
            said = f"{formats.lift(last['lift'])}, planned looks {planned}, any look {anytime}"
            parts.append(f"{variant} after day {int(last['day']) + 1}: {said}")
        texts += [f"Cumulative {label} lift by day with two bands. {'; '.join(parts)}."] if parts else []
    return " ".join(texts)
