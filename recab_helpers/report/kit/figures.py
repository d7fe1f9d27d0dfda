"""Figures that several sections or notebooks share: lifts, CTR by day or position, power, rates of methods.

Each is drawn under its title, with an alt text that says what it shows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from recab_helpers.analysis.effect import Effect
from recab_helpers.formats import count, label_of, lift, lift_interval, percent
from recab_helpers.report.kit.html import note, show
from recab_helpers.report.kit.plot import (
    BETTER,
    NEUTRAL,
    ROW,
    SERIES,
    SMALL_TEXT,
    WIDTH,
    WORSE,
    label_ends,
    look_of,
    percent_axis,
    report_style,
    row_text,
    rows_axis,
    title_of,
    whole_numbers,
)

ROW_FITS = 60  # letters of name and numbers that fit in a row


@dataclass(frozen=True, kw_only=True)
class LiftRow:
    """One row of a figure of lifts; a row without an interval is a bare dot, `truth` is drawn as a diamond."""

    label: str
    lift: float
    ci: tuple[float, float] = (math.nan, math.nan)
    direction: int = 1
    margin: float = math.nan
    truth: float = math.nan

    @classmethod
    def of(cls, effect: Effect, label: str, *, truth: float = math.nan) -> "LiftRow":
        """The row of an effect; a guardrail shows its margin."""
        return cls(
            label=label,
            lift=effect.lift,
            ci=effect.lift_ci,
            direction=effect.metric.direction,
            margin=effect.margin,
            truth=truth,
        )

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


def lifts_figure(rows: Sequence[LiftRow], *, title: str, valid: bool = True, treatments: bool = False) -> HTML:
    """Lifts on one shared axis: name and numbers above each interval; the title alone where there is no row."""
    if not rows:
        return note(f"{title}.")
    longest = max(len(row.label) + len(row.text) for row in rows)
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.25 + ROW * len(rows)))
        ax = fig.subplots()
        for y, row in enumerate(rows):
            ax.plot([0, 0], [y - 0.02, y + 0.42], color="black", linewidth=0.8)  # beside the marks, not through names
            color = row.color(valid)
            if math.isfinite(row.margin):
                at = -row.direction * row.margin
                ax.plot([at, at], [y - 0.12, y + 0.48], color=WORSE, linestyle=":", linewidth=2)
            ax.plot(row.ci, [y + 0.18, y + 0.18], color=color, linewidth=2.5, solid_capstyle="butt")
            hollow = math.isfinite(row.ci[0]) and not row.clear
            ax.plot(row.lift, y + 0.18, "o", color=color, markersize=8, markerfacecolor="white" if hollow else color)
            ax.plot(row.truth, y + 0.18, "D", color="black", markersize=5)
            row_text(ax, y, row.label, row.text, size=SMALL_TEXT * min(1, ROW_FITS / longest))
        against = "one treatment against another" if treatments else "treatment against control"
        rows_axis(ax, len(rows), f"lift: lower  ←  {against}  →  higher")
        ax.margins(x=0.04)
        percent_axis(ax.xaxis, lift)
        title_of(fig, title)
    alt = f"Lifts: {'; '.join(f'{row.label} {row.text}' for row in rows)}."
    return show(fig, alt=alt, caption=_marks(rows))


def _marks(rows: Sequence[LiftRow]) -> str:
    """What the marks of a figure of lifts mean."""
    marks = ["Dot: estimate; hollow where its interval covers zero. Bar: interval."]
    marks += ["A dot without a bar has no interval."] if any(not math.isfinite(row.ci[0]) for row in rows) else []
    marks += ["Dotted mark: a guardrail's margin."] if any(math.isfinite(row.margin) for row in rows) else []
    marks += ["Diamond: the true lift."] if any(math.isfinite(row.truth) for row in rows) else []
    return " ".join(marks)


def ctr_figure(table: pd.DataFrame, *, title: str, called: Callable[[str], str] = str) -> HTML:
    """CTR by the second level of the index (day or position), one line per variant with the interval at every point."""
    by = table.index.names[-1]
    names = list(dict.fromkeys(table.index.get_level_values("variant")))
    with report_style():
        fig = Figure(figsize=(WIDTH, SERIES))
        ax = fig.subplots()
        ends, spans = [], []
        for i, name in enumerate(names):
            series = table.loc[name]
            x = series.index.to_numpy(dtype=float) + (by == "day")
            look = look_of(i)
            ax.plot(x, series["ctr"], **look)
            if "low" in series:
                ax.vlines(x + 0.06 * (i - (len(names) - 1) / 2), series["low"], series["high"], color=look["color"])
            ends.append((series["ctr"].iloc[-1], called(name), look["color"]))
            spans.append(f"{called(name)} {percent(series['ctr'].iloc[0])} to {percent(series['ctr'].iloc[-1])}")
        if by == "position":  # falls to near zero; days differ by little, and fill their frame
            ax.set_ylim(bottom=0)
        ax.set_xlabel("day of the test" if by == "day" else by)
        ax.set_ylabel("CTR")
        whole_numbers(ax.xaxis)
        percent_axis(ax.yaxis, percent, ticks=5)
        label_ends(ax, ends)
        title_of(fig, title)
    levels = table.index.get_level_values(by).nunique()
    caption = "Bar at each point: its interval, by users." if "low" in table else ""
    return show(fig, alt=f"CTR by {by} over {levels} {by}s, first to last: {'; '.join(spans)}.", caption=caption)


def power_figure(curve: pd.DataFrame, *, title: str, at: tuple[float, float] | None = None, caption: str = "") -> HTML:
    """Power against the true lift (the index), one line per column; `at` marks a lift and its power."""
    if curve.empty:
        return note(f"{title}.")
    with report_style():
        fig = Figure(figsize=(WIDTH, SERIES))
        ax = fig.subplots()
        for i, (name, power) in enumerate(curve.items()):
            look = look_of(i if curve.shape[1] > 1 else 1)
            ax.plot(curve.index, power, color=look["color"], linestyle=look["linestyle"])
            if curve.shape[1] > 1:  # named where the curves are far apart, the lower one to its right
                point = int(np.argmin(abs(power - (0.25 if i == 0 else 0.85))))
                ha, va = ("left", "top") if i == 0 else ("right", "bottom")
                at_point = (curve.index[point], power.iloc[point])
                ax.annotate(f" {label_of(str(name))} ", at_point, color=look["color"], ha=ha, va=va)
        if at:
            ax.plot([at[0], at[0], 0], [0, at[1], at[1]], color="black", linewidth=0.8, linestyle=":")
            ax.annotate(f"  {lift(at[0])} at {percent(at[1], 0)}", at, va="top")
        ax.set_xlim(left=0)
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("true lift")
        ax.set_ylabel("power")
        percent_axis(ax.xaxis, lift)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        title_of(fig, title)
    points = [
        f"at {lift(true)} {', '.join(f'{name} {percent(p, 0)}' for name, p in powers.items())}"
        for true, powers in curve.iloc[[len(curve) // 2, -1]].iterrows()
    ]
    return show(fig, alt=f"Power against the true lift: {'; '.join(points)}.", caption=caption)


def rates_figure(rates: pd.DataFrame, *, target: float, title: str) -> HTML:
    """Each method's rate with its Monte Carlo error, against the target; `rates` has method, rate and error.

    Where it has `claim` and `held` too, a row is judged by its own claim, which a short line marks.
    """
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.25 + ROW * max(len(rates), 1)))
        ax = fig.subplots()
        ax.axvline(target, color="black", linewidth=0.8)
        for y, row in enumerate(rates.itertuples()):
            near = row.held if "held" in rates else abs(row.rate - target) <= max(row.error, 0.01)
            if "claim" in rates and row.claim != target:
                ax.plot([row.claim] * 2, [y, y + 0.36], color="black", linewidth=0.8)
            color = BETTER if near else WORSE
            ax.plot([row.rate - row.error, row.rate + row.error], [y + 0.18] * 2, color=color, linewidth=2)
            ax.plot(row.rate, y + 0.18, "o", color=color, markersize=6, markerfacecolor=color if near else "white")
            row_text(ax, y, row.method, percent(row.rate, 1))
        rows_axis(ax, len(rates), "share of simulated tests; the line is the target")
        percent_axis(ax.xaxis, percent)
        title_of(fig, title)
    said = [f"{row.method} {percent(row.rate, 1)}" for row in rates.itertuples()]
    alt = f"Share of simulated tests by method: {'; '.join(said)}."
    marks = "hollow where it is not as claimed" if "held" in rates else "hollow where it is far from the target"
    own = " A short line: a claim of its own." if "claim" in rates and (rates["claim"] != target).any() else ""
    return show(fig, alt=alt, caption=f"Dot: rate; {marks}. Bar: Monte Carlo error.{own}")


def counts_figure(counts: Mapping[str, float], *, title: str, axis: str, line: tuple[float, str]) -> HTML:
    """Counts by name as dots on an axis of factors, with the number at the right; `line` marks a named count."""
    with report_style():
        fig = Figure(figsize=(WIDTH, 1.25 + ROW * len(counts)))
        ax = fig.subplots()
        ax.axvline(line[0], color="black", linewidth=0.8, linestyle=":")
        for y, (name, value) in enumerate(counts.items()):
            ax.plot(value, y + 0.18, "o", color=BETTER if value <= line[0] else NEUTRAL, markersize=7)
            row_text(ax, y, name, count(value))
        ax.set_xscale("log")
        low, high = min(*counts.values(), line[0]), max(*counts.values(), line[0])
        ax.set_xlim(low / 1.6, high * 1.6)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: count(x)))
        rows_axis(ax, len(counts), axis)
        title_of(fig, title)
    said = "; ".join(f"{name} {count(value)}" for name, value in counts.items())
    return show(fig, alt=f"{axis}: {said}.", caption=f"Dotted line: {line[1]}, {count(line[0])}.")
