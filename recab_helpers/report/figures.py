"""The figures of the pages: each is a plot under a sentence that states the finding, with alt text that says it."""

import math
from dataclasses import replace

import pandas as pd
from IPython.display import HTML

from recab_helpers.analysis import CONTROL, Analysis, Effect
from recab_helpers.formats import label_of, percent
from recab_helpers.report import plots, sentences
from recab_helpers.report.kit.html import note, show
from recab_helpers.report.kit.plot import LiftRow

RANKING = ("ndcg_at_10", "recall_at_10", "precision_at_10")


def lift_figure(found: Analysis) -> HTML:
    """The lift of every metric on one shared axis, with guardrail margins."""
    return _lifts(effect_rows(found.effects), found, sentences.headline(found))


def segment_figure(found: Analysis) -> HTML:
    """The goal's lift in every level of every segment."""
    segments = found.segments[found.segments["log_se"] > 0]
    several = len(segments["comparison"].unique()) > 1
    rows = [
        LiftRow(
            label=f"{s.segment}: {s.level}" + (f", {s.comparison.split(' vs ')[0]}" if several else ""),
            lift=s.lift,
            ci=(s.low, s.high),
        )
        for s in segments.itertuples()
    ]
    return _lifts(rows, found, sentences.segments_headline(found))


def offline_figure(found: Analysis, quality: pd.DataFrame | None, offline: dict[str, str]) -> HTML:
    """Offline ranking metrics as lifts over control's model, bare, and the CTR lift of the test with its interval.

    `offline` names the row of `quality` of each variant whose model has one.
    """
    if quality is None or CONTROL not in offline or len(offline) < 2:
        return note("Offline quality of the models in this test is not known.")
    rows = _offline_rows(found, quality, offline)
    return _lifts(rows, found, sentences.offline_headline(found, quality, offline))


def truth_figure(found: Analysis, truth: pd.DataFrame | None) -> HTML:
    """The CTR lift by every method that estimates it, each beside the true lift."""
    if truth is None:
        return note("This log comes from a real system: its truth is not known.")
    true = sentences.true_lifts(truth)
    effects = [e for e in (*found.effects, *found.sensitivity) if e.metric == "ctr" and e.name in true]
    named = [replace(e, label=e.method[:1].upper() + e.method[1:]) for e in effects]
    rows = [replace(row, truth=true[e.name]) for row, e in zip(effect_rows(named), _defined(named), strict=True)]
    return _lifts(rows, found, sentences.truth_headline(truth, found))


def power_reached_figure(found: Analysis) -> HTML:
    """The chance that this test finds each true lift of the goal, with its MDE marked."""
    smallest = sentences.smallest_lift(found)
    at = (smallest, found.wanted_power) if math.isfinite(smallest) else None
    return power_figure(found.power_curve, title=sentences.power_headline(found), at=at)


def power_figure(curve: pd.DataFrame, *, title: str, at: tuple[float, float] | None = None) -> HTML:
    """Power by true lift (the index), one line per column."""
    if curve.empty:
        return note(f"{title}.")
    return show(plots.power_lines(curve, title=title, at=at), alt=sentences.describe_power(curve))


def looks_figure(found: Analysis) -> HTML:
    """The lift of all data to date by day, with both bands."""
    title = sentences.looks_headline(found)
    if found.looks.empty:
        return note(f"{title}.")
    plot = plots.lift_over_time(found.looks, title=title, valid=found.verdict.valid)
    return show(plot, alt=sentences.describe_looks(found.looks))


def clicks_figure(users: pd.DataFrame) -> HTML:
    """How clicks are spread over users."""
    plot = plots.clicks_distribution(users, title=sentences.tail_headline(users))
    return show(plot, alt=sentences.describe_tail(users))


def position_figure(found: Analysis) -> HTML:
    """CTR by position of every variant."""
    return ctr_figure(found.by_position, title=sentences.position_headline(found.by_position))


def day_figure(found: Analysis) -> HTML:
    """CTR by day of every variant."""
    return ctr_figure(found.by_day, title=sentences.daily_headline(found))


def ctr_figure(table: pd.DataFrame, *, title: str) -> HTML:
    """CTR by the second level of the table's index, one line per variant."""
    return show(plots.ctr_lines(table, title=title), alt=sentences.describe_lines(table))


def rates_figure(rates: pd.DataFrame, *, target: float, title: str) -> HTML:
    """Each method's rate in simulated tests against the target."""
    return show(plots.rates_rows(rates, target=target, title=title), alt=sentences.describe_rates(rates))


def effect_rows(effects: list[Effect]) -> list[LiftRow]:
    """One row per effect that has a lift."""
    several = len({e.comparison for e in effects}) > 1
    return [
        LiftRow(
            label=_label(e) + (f", {e.name}" if several else ""),
            lift=e.lift,
            ci=e.lift_ci,
            direction=e.direction,
            margin=e.margin,
        )
        for e in _defined(effects)
    ]


def _lifts(rows: list[LiftRow], found: Analysis, title: str) -> HTML:
    """The figure of the rows with its alt text, or its sentence alone where no row has a lift."""
    if not rows:
        return note(f"{title}.")
    plot = plots.lift_rows(rows, title=title, valid=found.verdict.valid)
    return show(plot, alt=sentences.describe_rows(rows))


def _offline_rows(found: Analysis, quality: pd.DataFrame, offline: dict[str, str]) -> list[LiftRow]:
    goals = [e for e in found.effects if e.role == "goal" and e.name in offline]
    rows = []
    for e in goals:
        suffix = f", {e.name}" if len(goals) > 1 else ""
        for name in RANKING:
            control, treatment = (float(quality.loc[offline[v], name]) for v in (CONTROL, e.name))
            if control > 0:
                rows.append(LiftRow(label=f"{label_of(name)} offline{suffix}", lift=treatment / control - 1))
        rows += [LiftRow(label=f"CTR in the test{suffix}", lift=e.lift, ci=e.lift_ci)] if math.isfinite(e.lift) else []
    return rows


def _defined(effects: list[Effect]) -> list[Effect]:
    return [e for e in effects if math.isfinite(e.lift)]


def _label(e: Effect) -> str:
    less = ", less is better" if e.direction < 0 else ""
    return f"{e.label}{less}" + (f", margin {percent(e.margin, 0)}" if math.isfinite(e.margin) else "")
