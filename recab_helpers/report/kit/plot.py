"""What figures are drawn with: one style, one look a variant, names at the ends of lines, exact percent ticks.

Figures are as wide as a phone shows them legibly, label their series directly, and never tell by color alone: a hollow
dot covers zero, control is dashed with hollow dots, and what is higher lies to the right.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

BETTER, WORSE, NEUTRAL = "#0072B2", "#D55E00", "#6B6B6B"  # Okabe-Ito blue and vermillion, and a gray
VARIANT_COLORS = (NEUTRAL, BETTER, "#B37400", "#007A5A", "#A3527D", "#2A7DB0", WORSE)  # dark enough for their labels
MARKERS = "osD^vPX"
WIDTH, ROW, SERIES = 5.0, 0.5, 2.8  # inches: every figure's width, the height of a row and of a panel of series
SMALL_TEXT = 9.5  # points
LABEL_GAP = 0.085  # between labels at the ends of lines, as a share of the axes
STYLE: dict[Any, Any] = {
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


def look_of(i: int) -> dict:
    """Color, line and marker of the i-th variant; control (0) is gray, dashed and hollow."""
    color = VARIANT_COLORS[i % len(VARIANT_COLORS)]
    return {
        "color": color,
        "linestyle": "--" if i == 0 else "-",
        "marker": MARKERS[i % len(MARKERS)],
        "markerfacecolor": "white" if i == 0 else color,
        "markersize": 4.5,
    }


def label_ends(ax: Axes, ends: list[tuple[float, str, str]]) -> None:
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


def rows_axis(ax: Axes, n_rows: int, label: str) -> None:
    """Axes of `n_rows` rows, the first at the top, with a quantity in percent below."""
    ax.set_yticks([])
    ax.set_ylim(n_rows - 0.4, -0.5)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(label)


def row_text(ax: Axes, y: float, label: str, numbers: str, *, size: float = SMALL_TEXT) -> None:
    """The name of a row at the left and its numbers at the right, above its mark and over any line."""
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for text, x, side in ((label, 0, "left"), (numbers, 1, "right")):
        ax.text(x, y - 0.2, text, transform=ax.get_yaxis_transform(), ha=side, va="center", fontsize=size, bbox=ground)


def whole_numbers(axis: Axis) -> None:
    """Ticks at days or positions."""
    axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def percent_axis(axis: Axis, write: Callable[[float, int], str], ticks: int = 6) -> None:
    """Round percent ticks, with as many decimals as they need to be exact."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value, _digits(axis.get_majorticklocs()))))


def title_of(fig: Figure, title: str) -> None:
    """The finding, at the left edge of the figure and broken into lines that fit."""
    fig.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", wrap=True)


def _digits(ticks: np.ndarray) -> int:
    """Decimals that a percent tick needs to be exact."""
    step = float(np.min(np.diff(ticks))) * 100 if len(ticks) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))
