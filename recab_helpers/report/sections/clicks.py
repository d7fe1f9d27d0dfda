"""How clicks are spread over users: the tail that makes sums noisy."""

from itertools import pairwise

import numpy as np
from IPython.display import HTML
from matplotlib.figure import Figure

from recab_helpers import formats
from recab_helpers.analysis import Analysis
from recab_helpers.impressions.histograms import Histogram
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import show
from recab_helpers.report.kit.plot import WIDTH, look_of, percent_axis, report_style, title_of

TAIL = 0.1  # the most active tenth of users
BINS = (0, 1, 2, 4, 8, 16, 32, 64, 128)  # least clicks of each bin of users


def clicks(found: Analysis, known: Background) -> HTML:
    """Users and their clicks by how often a user clicked, in bins that double."""
    histogram = next((h for h in found.test.users.histograms.values() if "clicks" in h.columns), None)
    if histogram is None:
        return HTML("")
    of = histogram.only("clicks")
    return show(_draw(of), alt=_describe(of))


def _draw(of: Histogram) -> Figure:
    values = of.values[:, 0]
    starts = [b for b in BINS if b <= values.max()]
    names = [f"{low}" if high == low + 1 else f"{low} to {high - 1}" for low, high in pairwise(BINS)]
    labels = [*names, f"{BINS[-1]} or more"][: len(starts)]
    which = np.searchsorted(starts, values, side="right") - 1
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.5 + 0.3 * len(starts)))
        panels = fig.subplots(1, 2, sharey=True)
        for i, (name, counts) in enumerate(of.counts.items()):
            y = np.arange(len(starts)) + 0.12 * (i - (len(of.counts) - 1) / 2)
            for ax, weights in zip(panels, (counts, counts * values), strict=True):
                share = np.bincount(which, weights, len(starts)) / max(weights.sum(), 1)
                ax.plot(share, y, **look_of(i) | {"linestyle": "none", "markersize": 7}, label=name, clip_on=False)
        for ax, what in zip(panels, ("of users", "of their clicks"), strict=True):
            ax.set_xlabel(f"share {what}")
            ax.set_xlim(left=0)
            ax.grid(axis="y", color="#E5E5E5")
            ax.set_axisbelow(True)
            percent_axis(ax.xaxis, formats.percent, ticks=4)
        panels[0].set_yticks(range(len(starts)), labels)
        panels[0].set_ylim(len(starts) - 0.5, -0.5)
        panels[0].set_ylabel("clicks of a user")
        handles = panels[0].get_legend_handles_labels()
        fig.legend(*handles, loc="outside lower center", ncols=min(len(of.counts), 4), frameon=False)
        title_of(fig, _headline(of))
    return fig


def _headline(of: Histogram) -> str:
    """Which share of clicks comes from the most active tenth of users."""
    counts, values = np.sum(list(of.counts.values()), axis=0)[::-1], of.values[::-1, 0]
    if not (total := counts @ values):
        return "No user clicked"
    up_to = np.minimum(np.cumsum(counts), max(1, round(TAIL * counts.sum())))
    share = np.diff(up_to, prepend=0) @ values / total
    return f"A tenth of the users made {formats.percent(share, 0)} of the clicks"


def _describe(of: Histogram) -> str:
    """Median, 90th percentile and maximum of every variant."""
    parts = []
    for name, counts in of.counts.items():
        low, high, most = (_quantile(of.values[:, 0], counts, q) for q in (0.5, 0.9, 1))
        parts.append(f"{name}: median {low:.0f}, nine in ten at most {high:.0f}, most {most:.0f}")
    return f"Share of users, and of their clicks, by clicks of a user. {'; '.join(parts)}."


def _quantile(values: np.ndarray, counts: np.ndarray, q: float) -> float:
    """The q-quantile of values that occur so often, between neighbors as numpy.quantile."""
    at = q * (counts.sum() - 1)
    low, high = values[np.searchsorted(np.cumsum(counts), [np.floor(at), np.ceil(at)], side="right")]
    return float(low + (at - np.floor(at)) * (high - low))
