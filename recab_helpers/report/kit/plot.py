"""Figures: data in, Figure out. Every figure is an interval or a series under a sentence.

They are as wide as a phone shows them legibly, label their series directly, and never tell by color alone: a hollow
dot covers zero, control is dashed with hollow dots, and what is higher lies to the right.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from recab_helpers.analysis.metrics import variants_of
from recab_helpers.formats import label_of, lift, lift_interval, percent

BETTER, WORSE, NEUTRAL = "#0072B2", "#D55E00", "#6B6B6B"  # Okabe-Ito blue and vermillion, and a gray
VARIANT_COLORS = (NEUTRAL, BETTER, "#B37400", "#007A5A", "#A3527D", "#2A7DB0", WORSE)  # dark enough for their labels
MARKERS = "osD^vPX"
WIDTH, ROW, SERIES = 5.0, 0.5, 2.8  # inches: every figure's width, the height of a row and of a panel of series
ROW_TEXT, ROW_FITS = 9.5, 60  # points, and letters of name and numbers that fit in a row at that size
LABEL_GAP = 0.085  # between labels at the ends of lines, as a share of the axes
BINS = (0, 1, 2, 4, 8, 16, 32, 64, 128)  # least clicks of each bin of users
STYLE = {
    "svg.fonttype": "path",
    "svg.hashsalt": "recab",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10.5,
}


@contextmanager
def report_style() -> Iterator[None]:
    """The look of every figure, set inside the block only."""
    with mpl.rc_context(), sns.axes_style("ticks"), mpl.rc_context(STYLE):
        yield


@dataclass(frozen=True, kw_only=True)
class LiftRow:
    """One row of a figure of lifts; a row without an interval is a bare dot, `truth` is drawn as a diamond."""

    label: str
    lift: float
    ci: tuple[float, float] = (math.nan, math.nan)
    direction: int = 1
    margin: float = math.nan
    truth: float = math.nan

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.ci[0] > 0 or self.ci[1] < 0

    def color(self, valid: bool) -> str:
        """Blue for better, vermillion for worse, gray where nothing may be told."""
        return NEUTRAL if not (valid and self.clear) else BETTER if self.lift * self.direction > 0 else WORSE

    @property
    def text(self) -> str:
        """The estimate with its interval, and the truth where it is known."""
        found = f"{lift(self.lift)} ({lift_interval(self.ci)})" if math.isfinite(self.ci[0]) else lift(self.lift)
        return f"{found}, true {lift(self.truth)}" if math.isfinite(self.truth) else found


def lift_rows(rows: Sequence[LiftRow], *, title: str, valid: bool = True) -> Figure:
    """Lifts on one shared axis: name and numbers above each interval; a guardrail's margin is a dotted mark."""
    longest = max(len(row.label) + len(row.text) for row in rows)
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.25 + ROW * len(rows)))
        ax = fig.subplots()
        ax.axvline(0, color="black", linewidth=0.8)
        for y, row in enumerate(rows):
            color = row.color(valid)
            if math.isfinite(row.margin):
                at = -row.direction * row.margin
                ax.plot([at, at], [y - 0.12, y + 0.48], color=WORSE, linestyle=":", linewidth=2)
            ax.plot(row.ci, [y + 0.18, y + 0.18], color=color, linewidth=2.5, solid_capstyle="butt")
            hollow = math.isfinite(row.ci[0]) and not row.clear
            ax.plot(row.lift, y + 0.18, "o", color=color, markersize=8, markerfacecolor="white" if hollow else color)
            ax.plot(row.truth, y + 0.18, "D", color="black", markersize=5)
            _row_text(ax, y, row.label, row.text, size=ROW_TEXT * min(1, ROW_FITS / longest))
        ax.set_yticks([])
        ax.set_ylim(len(rows) - 0.4, -0.5)
        ax.spines["left"].set_visible(False)
        ax.margins(x=0.04)
        ax.set_xlabel("lift: lower  ←  treatment against control  →  higher")
        _percent_axis(ax.xaxis, lift)
        _title(fig, title)
    return fig


def ctr_lines(table: pd.DataFrame, *, title: str) -> Figure:
    """CTR by the second level of the index (day or position), one line per variant with the interval at every point."""
    by = table.index.names[-1]
    names = list(dict.fromkeys(table.index.get_level_values("variant")))
    with report_style():
        fig = Figure(figsize=(WIDTH, SERIES))
        ax = fig.subplots()
        ends = []
        for i, name in enumerate(names):
            series = table.loc[name]
            x = series.index.to_numpy(dtype=float) + (by == "day")
            look = _look(i)
            ax.plot(x, series["ctr"], **look)
            if "low" in series:
                ax.vlines(x + 0.06 * (i - (len(names) - 1) / 2), series["low"], series["high"], color=look["color"])
            ends.append((series["ctr"].iloc[-1], name, look["color"]))
        ax.set_ylim(bottom=0)
        ax.set_xlabel("day of the test" if by == "day" else by)
        ax.set_ylabel("CTR")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        _percent_axis(ax.yaxis, percent, ticks=5)
        _label_ends(ax, ends)
        _title(fig, title)
    return fig


def lift_over_time(looks: pd.DataFrame, *, title: str, valid: bool = True) -> Figure:
    """Cumulative CTR lift by day, inside the band for planned looks (dark) and for any look (light)."""
    treatments = list(dict.fromkeys(looks["treatment"]))
    color = BETTER if valid else NEUTRAL
    with report_style():
        fig = Figure(figsize=(WIDTH, 0.4 + (SERIES - 0.3) * max(len(treatments), 1)))
        axes = fig.subplots(max(len(treatments), 1), squeeze=False)[:, 0]
        for ax, name in zip(axes, treatments, strict=False):
            rows = looks[looks["treatment"] == name]
            day, final = rows["day"] + 1, rows.iloc[-1]
            ax.axhline(0, color="black", linewidth=0.8)
            ax.fill_between(day, rows["anytime_low"], rows["anytime_high"], color=NEUTRAL, alpha=0.2, linewidth=0)
            ax.fill_between(day, rows["low"], rows["high"], color=color, alpha=0.3, linewidth=0)
            ax.plot(day, rows["lift"], color=color, marker="o", markersize=4)
            low, high = min(0, final["anytime_low"]), max(0, final["anytime_high"], 0.01)
            ax.set_ylim(low - 0.5 * (high - low), high + 0.5 * (high - low))  # early bands may leave the frame
            ax.set_ylabel(f"lift of {name}")
            ax.set_xlabel("day of the test")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            _percent_axis(ax.yaxis, lift)
            bands = (("anytime_high", "any look", NEUTRAL), ("high", "planned looks", color))
            _label_ends(ax, [*((final[c], text, ink) for c, text, ink in bands), (final["lift"], "lift", color)])
        _title(fig, title)
    return fig


def clicks_distribution(users: pd.DataFrame, *, title: str) -> Figure:
    """Users and their clicks by how often a user clicked, in bins that double: the tail that makes sums noisy."""
    clicks = users["clicks"].to_numpy()
    starts = [b for b in BINS if b <= clicks.max()]
    names_of = [f"{low}" if high == low + 1 else f"{low} to {high - 1}" for low, high in pairwise(BINS)]
    labels = [*names_of, f"{BINS[-1]} or more"][: len(starts)]
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.5 + 0.3 * len(starts)))
        panels = fig.subplots(1, 2, sharey=True)
        names = variants_of(users)
        for i, name in enumerate(names):
            of = clicks[(users["variant"] == name).to_numpy()]
            which = np.searchsorted(starts, of, side="right") - 1
            for ax, weights in zip(panels, (None, of), strict=True):
                counts = np.bincount(which, weights, len(starts))
                share = counts / max(counts.sum(), 1)
                look = _look(i) | {"linestyle": "none", "markersize": 7}
                ax.plot(
                    share, np.arange(len(starts)) + 0.12 * (i - (len(names) - 1) / 2), **look, label=name, clip_on=False
                )
        for ax, what in zip(panels, ("of users", "of their clicks"), strict=True):
            ax.set_xlabel(f"share {what}")
            ax.set_xlim(left=0)
            ax.grid(axis="y", color="#E5E5E5")
            ax.set_axisbelow(True)
            _percent_axis(ax.xaxis, percent, ticks=4)
        panels[0].set_yticks(range(len(starts)), labels)
        panels[0].set_ylim(len(starts) - 0.5, -0.5)
        panels[0].set_ylabel("clicks of a user")
        fig.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(len(names), 4), frameon=False
        )
        _title(fig, title)
    return fig


def power_lines(curve: pd.DataFrame, *, title: str, at: tuple[float, float] | None = None) -> Figure:
    """Power against the true lift (the index), one line per column; `at` marks a lift and its power."""
    with report_style():
        fig = Figure(figsize=(WIDTH, SERIES))
        ax = fig.subplots()
        for i, (name, power) in enumerate(curve.items()):
            look = _look(i if curve.shape[1] > 1 else 1)
            ax.plot(curve.index, power, color=look["color"], linestyle=look["linestyle"])
            if curve.shape[1] > 1:  # named where the curves are far apart, the lower one to its right
                point = int(np.argmin(abs(power - (0.25 if i == 0 else 0.85))))
                side = {"ha": "left", "va": "top"} if i == 0 else {"ha": "right", "va": "bottom"}
                at_point = (curve.index[point], power.iloc[point])
                ax.annotate(f" {label_of(str(name))} ", at_point, color=look["color"], **side)
        if at:
            ax.plot([at[0], at[0], 0], [0, at[1], at[1]], color="black", linewidth=0.8, linestyle=":")
            ax.annotate(f"  {lift(at[0])} at {percent(at[1], 0)}", at, va="top")
        ax.set_xlim(left=0)
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("true lift")
        ax.set_ylabel("power")
        _percent_axis(ax.xaxis, lift)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        _title(fig, title)
    return fig


def rates_rows(rates: pd.DataFrame, *, target: float, title: str) -> Figure:
    """Each method's rate with its Monte Carlo error, against the target."""
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.25 + ROW * max(len(rates), 1)))
        ax = fig.subplots()
        ax.axvline(target, color="black", linewidth=0.8)
        for y, row in enumerate(rates.itertuples()):
            near = abs(row.rate - target) <= max(row.error, 0.01)
            color = BETTER if near else WORSE
            ax.plot([row.rate - row.error, row.rate + row.error], [y + 0.18] * 2, color=color, linewidth=2)
            ax.plot(row.rate, y + 0.18, "o", color=color, markersize=6, markerfacecolor=color if near else "white")
            _row_text(ax, y, str(row.Index).partition(": ")[2], percent(row.rate, 1), size=ROW_TEXT)
        ax.set_yticks([])
        ax.set_ylim(len(rates) - 0.4, -0.5)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("share of simulated tests; the line is the target")
        _percent_axis(ax.xaxis, percent)
        _title(fig, title)
    return fig


def _look(i: int) -> dict:
    """Color, line and marker of the i-th variant; control (0) is gray, dashed and hollow."""
    color = VARIANT_COLORS[i % len(VARIANT_COLORS)]
    face = "white" if i == 0 else color
    return {
        "color": color,
        "linestyle": "--" if i == 0 else "-",
        "marker": MARKERS[i % len(MARKERS)],
        "markerfacecolor": face,
        "markersize": 4.5,
    }


def _label_ends(ax: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Name each line at its right end, (y, text, color), moved apart where the names would touch."""
    low, high = ax.get_ylim()
    ends = sorted((min(max((y - low) / (high - low), 0), 1), text, color) for y, text, color in ends if y == y)
    at = -math.inf
    placed = []
    for y, text, color in ends:
        at = max(y, at + LABEL_GAP)
        placed.append((at, text, color))
    over = max(0.0, placed[-1][0] - 1) if placed else 0
    for y, text, color in placed:
        ax.annotate(f" {text}", (1, y - over), xycoords="axes fraction", color=color, va="center")


def _row_text(ax: Axes, y: float, label: str, numbers: str, *, size: float) -> None:
    """The name of a row at the left and its numbers at the right, above its mark and over any line."""
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for text, x, side in ((label, 0, "left"), (numbers, 1, "right")):
        ax.text(x, y - 0.2, text, transform=ax.get_yaxis_transform(), ha=side, va="center", fontsize=size, bbox=ground)


def _title(fig: Figure, title: str) -> None:
    """The finding, at the left edge of the figure and broken into lines that fit."""
    fig.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", wrap=True)


def _percent_axis(axis, write, ticks: int = 6) -> None:
    """Round percent ticks, with as many decimals as they need to be exact."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value, _digits(axis.get_majorticklocs()))))


def _digits(ticks: np.ndarray) -> int:
    """Decimals that a percent tick needs to be exact."""
    step = float(np.min(np.diff(ticks))) * 100 if len(ticks) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))
