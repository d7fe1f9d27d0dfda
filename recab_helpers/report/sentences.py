"""Titles that state a finding, and alt texts that say what a figure shows."""

import math

import numpy as np
import pandas as pd

from recab_helpers import formats
from recab_helpers.experiment import CONTROL, Effect, could_have_stopped, variants_of

TAIL = 0.1  # the most active tenth of users


def headline(effects: list[Effect]) -> str:
    """What the goal metric did."""
    goal = next(e for e in effects if e.role == "goal")
    if not math.isfinite(goal.lift):
        return f"The lift of {goal.label} is not defined"
    if goal.lift_ci[0] <= 0 <= goal.lift_ci[1]:
        return f"{goal.label}: no lift can be told from zero"
    return f"{goal.label} {'rose' if goal.lift > 0 else 'fell'} by {formats.percent(abs(goal.lift), 1)}"


def describe(effects: list[Effect]) -> str:
    """Alt text of a lift figure: every estimate with its interval."""
    rows = [e for e in effects if math.isfinite(e.lift)]
    parts = [f"{e.label} ({e.comparison}) {formats.lift(e.lift)}, {formats.lift_interval(e.lift_ci)}" for e in rows]
    return f"Lift by metric: {'; '.join(parts)}." if parts else "No metric has a defined lift."


def daily_headline(daily: pd.DataFrame) -> str:
    """On how many days the treatment was ahead."""
    ctr = daily["ctr"].unstack("variant")
    treatments = [v for v in ctr.columns if v != CONTROL]
    parts = [f"{v} was ahead on {int((ctr[v] > ctr[CONTROL]).sum())} of {len(ctr)} days" for v in treatments]
    return "; ".join(parts).capitalize()


def describe_daily(daily: pd.DataFrame) -> str:
    """Alt text of the daily figure: first and last day of every variant."""
    ctr = daily["ctr"].unstack("variant")
    parts = [f"{v} {formats.percent(ctr[v].iloc[0])} to {formats.percent(ctr[v].iloc[-1])}" for v in ctr.columns]
    return f"CTR by day over {len(ctr)} days, first to last: {'; '.join(map(str, parts))}."


def looks_headline(looks: pd.DataFrame) -> str:
    """When the test could have stopped, by the band for planned daily looks."""
    if looks.empty:
        return "No day has a defined lift"
    parts = [
        f"{name} could have stopped on day {day + 1}" if day is not None else f"{name} could not have stopped early"
        for name, day in could_have_stopped(looks).items()
    ]
    return "; ".join(parts).capitalize()


def describe_looks(looks: pd.DataFrame) -> str:
    """Alt text of the lift over time: the last day's lift and both bands."""
    if looks.empty:
        return "An empty figure: no day has a defined lift."
    parts = []
    for name, rows in looks.groupby("treatment", sort=False):
        last = rows.iloc[-1]
        planned = formats.lift_interval((last["low"], last["high"]))
        anytime = formats.lift_interval((last["anytime_low"], last["anytime_high"]))
        found = f"{formats.lift(last['lift'])}, planned looks {planned}, any look {anytime}"
        parts.append(f"{name} after day {int(last['day']) + 1}: {found}")
    return f"Cumulative CTR lift by day with two bands. {'; '.join(parts)}."


def describe_rates(rates: pd.DataFrame) -> str:
    """Alt text of a figure of rates: every method's rate."""
    parts = [f"{m.partition(': ')[2]} {formats.percent(r, 1)}" for m, r in rates["rate"].items()]
    return f"Share of simulated tests by method: {'; '.join(parts)}."


def describe_power(curve: pd.DataFrame) -> str:
    """Alt text of a power curve: power at its middle and its largest lift."""
    parts = []
    for row in curve.iloc[[len(curve) // 2, -1]].itertuples():
        plain, with_cuped = formats.percent(row.power, 0), formats.percent(row.power_with_cuped, 0)
        parts.append(f"at {formats.lift(row.lift)} {plain}, with CUPED {with_cuped}")
    return f"Power against the true lift: {'; '.join(parts)}."


def tail_headline(users: pd.DataFrame) -> str:
    """Which share of clicks comes from the most active tenth of users."""
    clicks = np.sort(users["clicks"].to_numpy())[::-1]
    if not clicks.sum():
        return "No user clicked"
    share = clicks[: max(1, round(TAIL * len(clicks)))].sum() / clicks.sum()
    return f"A tenth of the users made {formats.percent(share, 0)} of the clicks"


def describe_tail(users: pd.DataFrame) -> str:
    """Alt text of the click distribution: median, 90th percentile and maximum per variant."""
    parts = []
    for variant in variants_of(users):
        low, high, most = np.quantile(users.loc[users["variant"] == variant, "clicks"], [0.5, 0.9, 1])
        parts.append(f"{variant}: median {low:.0f}, nine in ten below {high:.0f}, most {most:.0f}")
    return f"Clicks per user on logarithmic axes. {'; '.join(parts)}."
