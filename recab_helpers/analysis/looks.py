"""The lift as it stood at the end of every day, with the bands that may be read at every look."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from recab_helpers.analysis.effects import estimate
from recab_helpers.analysis.metrics import MetricSpec
from recab_helpers.analysis.progress import Progress
from recab_helpers.analysis.sequential import Shape, adjusted_intervals, confidence_sequence, first_crossing
from recab_helpers.impressions.aggregates import Running
from recab_helpers.references import CONTROL, Comparison

LOOK_COLUMNS = {
    "metric": "name of the goal",
    "variant": "the treatment",
    "against": "what it is held against",
    "day": "last day that the look holds, from 0",
    "fraction": "share of the final information; of the planned end, where the test may be read every evening",
    "log_ratio": "log(1 + lift) of all data to date",
    "log_se": "its standard error",
    "log_freedom": "degrees of freedom with which it is known",
    "lift": "of all data to date, a fraction",
    "low": "of the band for looks planned at the end of every day",
    "high": "of the same band",
    "anytime_low": "of the band that holds at any look, planned or not",
    "anytime_high": "of the same band",
    "naive_low": "of the interval that may be read once only",
    "naive_high": "of the same interval",
}


def cumulative_effects(
    running: Running | None,
    goals: Sequence[MetricSpec],
    *,
    alpha: float = 0.05,
    shape: Shape = "obrien_fleming",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """One row per goal, treatment and day, as LOOK_COLUMNS says; empty where days are not known.

    The band for planned looks spends alpha with `shape` (Lan and DeMets 1983), the one for any look is a confidence
    sequence; without a planned end (`progress`) it stands for both. Treatments and goals share alpha, as they do at the
    end. Days before a lift is defined are left out, and goals whose columns have no days.
    """
    alpha /= max(len(running.n) - 1, 1) * len(goals) if running else 1
    tables = (
        [t for goal in goals for t in looks_to_date(running, goal, alpha=alpha, progress=progress)] if running else []
    )
    parts = [t.assign(**bands_of(t, alpha=alpha, shape=shape)) for t in tables]
    if progress and not progress.reached:
        parts = [t.assign(low=t["anytime_low"], high=t["anytime_high"]) for t in parts]
    nothing = pd.DataFrame(columns=list(LOOK_COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(LOOK_COLUMNS)] if parts else nothing


def looks_to_date(
    running: Running, goal: MetricSpec, *, alpha: float = 0.05, progress: Progress | None = None
) -> list[pd.DataFrame]:
    """One table per treatment with the goal's lift to date by day, before any band; none where nothing is defined.

    CUPED removes what it does at the end, where the days know of the period before.
    """
    if not set(goal.columns) <= set(running.columns):
        return []
    days = [running.at(day) for day in range(len(running))]
    planned = progress is not None and progress.reached
    fraction = np.array(progress.reached) if progress and planned else information_fraction(running, goal)
    tables = []
    for name in [v for v in days[-1] if v != CONTROL]:
        effects = [estimate(goal, s[CONTROL], s[name], alpha=alpha) for s in days]
        rows = [
            (d, f, math.log1p(e.lift), e.log_se, e.log_freedom, e.lift, *e.lift_ci)
            for d, (e, f) in enumerate(zip(effects, fraction, strict=True))
            if e.log_se > 0
        ]
        names = ["day", "fraction", "log_ratio", "log_se", "log_freedom", "lift", "naive_low", "naive_high"]
        table = pd.DataFrame(rows, columns=names)
        table = table[table["fraction"].diff().fillna(1) > 0]
        tables += [table.assign(metric=goal.name, variant=name, against=CONTROL)] if len(table) else []
    return tables


def information_fraction(running: Running, goal: MetricSpec) -> np.ndarray:
    """Share of the final information at each look, from cumulative users and impressions: the mean of both shares.

    Users alone overstate early looks where they return, impressions alone understate them. Of a goal without
    impressions, its own denominator takes their place, and users alone where it has none. It ignores the numerator on
    purpose: shares of 1 / se^2 follow the noise of heavy-tailed clicks and stop too often (6.0% of A/A tests at 5%).
    """
    exposed = np.sum(list(running.n.values()), axis=0)
    column = "impressions" if "impressions" in running.columns else goal.denominator
    if column not in running.columns:
        return exposed / exposed[-1]
    shown = np.sum([s[:, running.columns.index(column)] for s in running.sums.values()], axis=0)
    return (exposed / exposed[-1] + shown / shown[-1]) / 2


def could_have_stopped(looks: pd.DataFrame, metric: str) -> dict[Comparison, int | None]:
    """By comparison: the first day whose planned-look band of the metric excludes zero, or None."""
    days = {}
    for (name, against), table in looks[looks["metric"] == metric].groupby(["variant", "against"], sort=False):
        at = first_crossing(table["low"].to_numpy(), table["high"].to_numpy())
        days[Comparison(name, against)] = None if at is None else int(table["day"].iloc[at])
    return days


def bands_of(table: pd.DataFrame, *, alpha: float, shape: Shape) -> dict[str, np.ndarray]:
    """The ends of both bands, as lifts, of a table with log_ratio, log_se, log_freedom and fraction.

    Where users are few, a band is as much wider as Student's interval of the same level is than the normal one.
    """
    columns = ("log_ratio", "log_se", "log_freedom", "fraction")
    estimates, se, freedom, fraction = (table[c].to_numpy(dtype=float) for c in columns)
    planned = adjusted_intervals(estimates, se, fraction, alpha=alpha, shape=shape, freedom=freedom)
    anytime = confidence_sequence(estimates, se, alpha=alpha, freedom=freedom)
    names = ("low", "high", "anytime_low", "anytime_high")
    return {n: np.expm1(np.minimum(b, 700)) for n, b in zip(names, (*planned, *anytime), strict=True)}
