"""Figures: data in, Figure out. Every figure is an interval or a series under a sentence."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from recab_helpers.experiment import CONTROL, Effect
from recab_helpers.formats import lift, lift_interval, percent

BETTER, WORSE, NEUTRAL = "#0072B2", "#D55E00", "#6B6B6B"  # Okabe-Ito blue and vermillion, and a gray
VARIANT_COLORS = (NEUTRAL, BETTER, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", WORSE)
WIDTH = 7.2  # inches
STYLE = {
    "svg.fonttype": "path",
    "svg.hashsalt": "recab",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
}


@contextmanager
def report_style() -> Iterator[None]:
    """The look of every figure, set inside the block only."""
    with mpl.rc_context(), sns.axes_style("ticks"), mpl.rc_context(STYLE):
        yield


def lift_forest(effects: list[Effect], *, title: str) -> Figure:
    """One row per effect that has a lift: the estimate and its interval on one shared axis."""
    rows = [e for e in effects if math.isfinite(e.lift)]
    several = len({e.comparison for e in rows}) > 1
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.1 + 0.42 * max(len(rows), 1)))
        ax = fig.subplots()
        ax.axvline(0, color="black", linewidth=0.8)
        for y, e in enumerate(rows):
            if math.isfinite(e.margin):
                ax.plot([-e.direction * e.margin] * 2, [y - 0.3, y + 0.3], color=WORSE, linestyle=":", linewidth=2)
        for y, e in enumerate(rows):
            clear = e.lift_ci[0] > 0 or e.lift_ci[1] < 0
            color = NEUTRAL if not clear else BETTER if e.lift * e.direction > 0 else WORSE
            ax.plot(e.lift_ci, [y, y], color=color, linewidth=2.5, solid_capstyle="butt")
            ax.plot(e.lift, y, "o", color=color, markersize=8, markerfacecolor=color if clear else "white")
            ax.annotate(
                f"{lift(e.lift)} ({lift_interval(e.lift_ci)})",
                (1.02, y),
                xycoords=("axes fraction", "data"),
                va="center",
            )
        names = [f"{e.label}, {e.comparison.split(' vs ')[0]}" if several else e.label for e in rows]
        ax.set_yticks(range(len(rows)), names)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("lift of treatment over control")
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: lift(x, _digits(ax.get_xticks()))))
        ax.set_title(title)
    return fig


def daily_ctr(daily: pd.DataFrame, *, title: str) -> Figure:
    """CTR per day and variant, labeled at the end of each line."""
    with report_style():
        fig = Figure(figsize=(WIDTH, 2.8))
        ax = fig.subplots()
        names = [CONTROL, *sorted(set(daily.index.get_level_values("variant")) - {CONTROL})]
        for name, color in zip(names, VARIANT_COLORS, strict=False):
            series = daily.loc[name, "ctr"]
            ax.plot(series.index + 1, series, color=color, marker="o", markersize=4)
            ax.annotate(f" {name}", (series.index[-1] + 1, series.iloc[-1]), color=color, va="center")
        ax.set_ylim(bottom=0)
        ax.set_xlabel("day of the test")
        ax.set_ylabel("CTR")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: percent(y, _digits(ax.get_yticks()))))
        ax.set_title(title)
    return fig


def rates_figure(rates: pd.DataFrame, *, target: float, title: str) -> Figure:
    """Each method's rate with its Monte Carlo error, against the target."""
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.0 + 0.3 * max(len(rates), 1)))
        ax = fig.subplots()
        ax.axvline(target, color="black", linewidth=0.8)
        for y, row in enumerate(rates.itertuples()):
            near = abs(row.rate - target) <= max(row.error, 0.01)
            color = BETTER if near else WORSE
            ax.plot([row.rate - row.error, row.rate + row.error], [y, y], color=color, linewidth=2)
            ax.plot(row.rate, y, "o", color=color, markersize=6, markerfacecolor=color if near else "white")
            ax.annotate(percent(row.rate, 1), (1.02, y), xycoords=("axes fraction", "data"), va="center")
        ax.set_yticks(range(len(rates)), [str(m).partition(": ")[2] for m in rates.index])
        ax.set_ylim(len(rates) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel("share of simulated tests; the line is the target")
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: percent(x, _digits(ax.get_xticks()))))
        ax.set_title(title)
    return fig


def power_figure(curve: pd.DataFrame, *, title: str) -> Figure:
    """Power against the true lift, without and with CUPED."""
    with report_style():
        fig = Figure(figsize=(WIDTH, 2.8))
        ax = fig.subplots()
        for column, color, name in (("power", NEUTRAL, "without CUPED"), ("power_with_cuped", BETTER, "with CUPED")):
            ax.plot(curve["lift"], curve[column], color=color)
            half = int(np.argmin(abs(curve[column] - 0.5)))
            offset = (-6, 0) if column == "power_with_cuped" else (6, 0)
            ax.annotate(
                name,
                (curve["lift"].iloc[half], curve[column].iloc[half]),
                offset,
                textcoords="offset points",
                color=color,
                ha="right" if offset[0] < 0 else "left",
            )
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("true lift")
        ax.set_ylabel("power")
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: lift(x, _digits(ax.get_xticks()))))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: percent(y, 0)))
        ax.set_title(title)
    return fig


def lift_over_time(looks: pd.DataFrame, *, title: str) -> Figure:
    """Cumulative CTR lift by day, inside the band for planned looks (dark) and for any look (light)."""
    treatments = list(dict.fromkeys(looks["treatment"]))
    with report_style():
        fig = Figure(figsize=(WIDTH, 0.5 + 2.6 * max(len(treatments), 1)))
        axes = fig.subplots(max(len(treatments), 1), squeeze=False)[:, 0]
        for ax, name in zip(axes, treatments, strict=False):
            rows = looks[looks["treatment"] == name]
            day = rows["day"] + 1
            ax.axhline(0, color="black", linewidth=0.8)
            ax.fill_between(day, rows["anytime_low"], rows["anytime_high"], color=NEUTRAL, alpha=0.15, linewidth=0)
            ax.fill_between(day, rows["low"], rows["high"], color=BETTER, alpha=0.25, linewidth=0)
            ax.plot(day, rows["lift"], color=BETTER, marker="o", markersize=4)
            final = rows.iloc[-1]
            reach = 1.6 * max(abs(final["anytime_low"]), abs(final["anytime_high"]), 0.01)
            ax.set_ylim(-reach, reach)
            ax.set_ylabel(f"lift of {name}")
            ax.set_xlabel("day of the test")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _, ax=ax: lift(y, _digits(ax.get_yticks()))))
        axes[0].set_title(title)
    return fig


def clicks_distribution(users: pd.DataFrame, *, title: str) -> Figure:
    """Share of users who clicked at least so often, per variant, on log axes: the tail that makes clicks noisy."""
    with report_style():
        fig = Figure(figsize=(WIDTH, 2.8))
        ax = fig.subplots()
        names = [CONTROL, *sorted(set(users["variant"]) - {CONTROL})]
        for name, color in zip(names, VARIANT_COLORS, strict=False):
            clicks = np.sort(users.loc[users["variant"] == name, "clicks"].to_numpy())
            values, first = np.unique(clicks, return_index=True)
            share = 1 - first / len(clicks)
            positive = values > 0
            ax.step(values[positive], share[positive], where="pre", color=color, label=name)
        if users["clicks"].max() > 0:
            ax.set_xscale("log")
            ax.set_yscale("log")
        ax.set_xlabel("clicks of a user over the test, at least")
        ax.set_ylabel("share of users")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.10g}"))
        ax.legend(frameon=False)
        ax.set_title(title)
    return fig


def _digits(ticks: np.ndarray) -> int:
    """Decimals that a percent tick needs to be exact."""
    step = float(np.min(np.diff(ticks))) * 100 if len(ticks) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))
