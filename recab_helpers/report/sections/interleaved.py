"""Whose items are clicked where both variants share every slate."""

import math

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Preference
from recab_helpers.report import instead
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import Number, answered, joined, note, show, table
from recab_helpers.report.kit.plot import BETTER, NEUTRAL, WIDTH, WORSE, percent_axis, report_style, title_of

NO_LIFT = (
    "One half is no preference. The share is no lift: what one model's items lose, the other's gain in the same slate, "
    "so that it is of another size than the lift that a test of two groups of users would find."
)


def interleaved(found: Analysis, known: Background) -> HTML:
    """The share of clicks of each user's slates that the treatment's picks got, and the sign test."""
    if found.preference is None or found.preference.reason or not found.verdict.valid:
        return HTML("")
    p = found.preference
    return answered(instead.headline(found, known), joined(_figure(p, found, known), note(NO_LIFT), _table(p, known)))


def _figure(p: Preference, found: Analysis, known: Background) -> HTML:
    names = {v: known.called(v) for v in (p.comparison.variant, p.comparison.against)}
    title = f"{formats.percent(p.share, 1)} of the clicks fell on what {names[p.comparison.variant]} picked"
    color = NEUTRAL if not p.preferred else BETTER if p.preferred == p.comparison.variant else WORSE
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.6))
        ax = fig.subplots()
        ax.axvline(0.5, color="#767676", linewidth=1)
        ax.hlines(0, *p.ci, color=color, linewidth=2)
        ax.plot(p.share, 0, "o", color=color, markerfacecolor=color if p.preferred else "white", markersize=7)
        reach = 1.3 * max(abs(x - 0.5) for x in p.ci)
        ax.set_xlim(0.5 - reach, 0.5 + reach)
        ax.set_ylim(-1, 1)
        ax.set_yticks([])
        ax.set_xlabel(f"share of clicks on what {names[p.comparison.variant]} picked")
        percent_axis(ax.xaxis, formats.percent)
        title_of(fig, title)
    interval = f"{formats.percent(p.ci[0], 1)} to {formats.percent(p.ci[1], 1)}"
    return show(fig, alt=f"{title}, interval {interval}; one half is marked.", caption="Bar: interval, by users.")


def _table(p: Preference, known: Background) -> HTML:
    """Clicks, slates and users by whose items got more."""
    a, b = (known.called(v) for v in (p.comparison.variant, p.comparison.against))
    got = {"clicks": (p.share * p.n_clicks, (1 - p.share) * p.n_clicks, math.nan)}
    got |= {"slates": (p.slates_won, p.slates_lost, p.slates_tied)}
    got |= {"users": (p.for_treatment, p.for_control, p.n_users - p.for_treatment - p.for_control)}
    tests = {"clicks": p.p_value, "slates": math.nan, "users": p.sign_p}
    rows = [
        {"by": what, a: _count(x), b: _count(y), "as many, or none": _count(z), "p_value": tests[what]}
        for what, (x, y, z) in got.items()
    ]
    caption = "p of clicks: share of one half, with users as clusters. p of users: sign test."
    return table(pd.DataFrame(rows).set_index("by"), caption=caption)


def _count(n: float) -> Number:
    return Number(n, formats.count(round(n)) if math.isfinite(n) else "")
