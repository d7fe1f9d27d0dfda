"""Titles that state a finding, and alt texts that say what a figure shows; an invalid test has no finding."""

import math

import numpy as np
import pandas as pd

from recab_helpers import formats
from recab_helpers.analysis import CONTROL, Analysis, could_have_stopped, variants_of

SAME = 5e-4  # a lift that rounds to zero
TAIL = 0.1  # the most active tenth of users
INVALID = "of an invalid test"  # ends the titles of figures that then state no finding


def headline(found: Analysis) -> str:
    """What the goal metric did."""
    if not found.verdict.valid:
        return f"Lift by metric, {INVALID}"
    goals = [e for e in found.effects if e.role == "goal" and math.isfinite(e.lift)]
    if not goals:
        return "The lift of the goal is not defined"
    best = max(goals, key=lambda e: e.direction * e.lift)
    if best.lift_ci[0] <= 0 <= best.lift_ci[1]:
        return f"{best.label}: no lift can be told from zero"
    way = "higher" if best.lift > 0 else "lower"
    return f"{best.label} is {formats.percent(abs(best.lift), 1)} {way} in {best.name}"


def describe_rows(rows) -> str:
    """Alt text of any figure of lifts: every row's name and numbers."""
    parts = [f"{row.label} {row.text}" for row in rows]
    return f"Lifts: {'; '.join(parts)}." if parts else "An empty figure: no lift is defined."


def segments_headline(found: Analysis) -> str:
    """Whether lifts differ between levels of a segment."""
    if not found.verdict.valid:
        return f"Lift by segment, {INVALID}"
    tested = found.heterogeneity
    unlike = tested.loc[tested["adjusted_p_value"] < found.alpha, "segment"].unique()
    if len(unlike):
        return f"The lift differs by {', '.join(unlike)}"
    return "No difference between segments is shown" if len(tested) else "No two segments can be compared"


def daily_headline(found: Analysis) -> str:
    """On how many days each treatment was ahead."""
    if not found.verdict.valid:
        return f"CTR by day, {INVALID}"
    ctr = found.by_day["ctr"].unstack("variant").dropna()
    parts = [
        f"{v} had the higher CTR on {int((ctr[v] > ctr[CONTROL]).sum())} of {len(ctr)} days"
        for v in variants_of(found.users)[1:]
    ]
    return _sentence(parts)


def position_headline(table: pd.DataFrame) -> str:
    """How CTR falls from the first position to the last."""
    clicks = table[["impressions", "clicks"]].groupby(level="position").sum()
    ctr = clicks["clicks"] / clicks["impressions"]
    if len(ctr) < 2:
        return "The log holds one position"
    if not ctr.iloc[-1] > 0:
        return f"No click at position {ctr.index[-1]}"
    return f"Position {ctr.index[0]} is clicked {ctr.iloc[0] / ctr.iloc[-1]:,.1f} times as often as {ctr.index[-1]}"


def describe_lines(table: pd.DataFrame) -> str:
    """Alt text of CTR by day or position: first and last value of every variant."""
    by = table.index.names[-1]
    parts = []
    for name in table.index.unique("variant"):
        ctr = table.loc[name, "ctr"]
        parts.append(f"{name} {formats.percent(ctr.iloc[0])} to {formats.percent(ctr.iloc[-1])}")
    levels = table.index.get_level_values(by).nunique()
    return f"CTR by {by} over {levels} {by}s, first to last: {'; '.join(parts)}."


def looks_headline(found: Analysis) -> str:
    """When the test could have stopped, by the band for planned daily looks."""
    if not found.verdict.valid:
        return f"Lift to date, {INVALID}"
    if found.looks.empty:
        return "No day has a defined lift"
    parts = [
        f"{name} could have stopped on day {day + 1}" if day is not None else f"{name} could not have stopped early"
        for name, day in could_have_stopped(found.looks).items()
    ]
    return _sentence(parts)


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


def power_headline(found: Analysis) -> str:
    """The smallest lift of the goal that this test finds."""
    smallest = smallest_lift(found)
    if not math.isfinite(smallest):
        return "What this test finds is not defined"
    power = formats.percent(found.wanted_power, 0)
    return f"This test finds a CTR lift of {formats.percent(smallest, 1)} with power {power}"


def smallest_lift(found: Analysis) -> float:
    """MDE of the goal, the largest of its comparisons; nan where none is defined."""
    goals = [e.label for e in found.effects if e.role == "goal"]
    return float(found.power.loc[found.power.index.isin(goals), "mde"].max())


def describe_rates(rates: pd.DataFrame) -> str:
    """Alt text of a figure of rates: every method's rate."""
    parts = [f"{m.partition(': ')[2]} {formats.percent(r, 1)}" for m, r in rates["rate"].items()]
    return f"Share of simulated tests by method: {'; '.join(parts)}."


def describe_power(curve: pd.DataFrame) -> str:
    """Alt text of power curves: each one's power at its middle and its largest lift."""
    if curve.empty or not curve.shape[1]:
        return "An empty figure: no lift is defined."
    parts = []
    for lift, powers in curve.iloc[[len(curve) // 2, -1]].iterrows():
        each = ", ".join(f"{name} {formats.percent(p, 0)}" for name, p in powers.items())
        parts.append(f"at {formats.lift(lift)} {each}")
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
        parts.append(f"{variant}: median {low:.0f}, nine in ten at most {high:.0f}, most {most:.0f}")
    return f"Share of users, and of their clicks, by clicks of a user. {'; '.join(parts)}."


def offline_headline(found: Analysis, quality: pd.DataFrame, offline: dict[str, str]) -> str:
    """Whether the offline ranking metric and the test point the same way."""
    if not found.verdict.valid:
        return f"Offline quality and lift, {INVALID}"
    parts = []
    for e in [e for e in found.effects if e.role == "goal" and e.name in offline and math.isfinite(e.lift)]:
        before = quality.loc[offline[e.name], "ndcg_at_10"] / quality.loc[offline[CONTROL], "ndcg_at_10"] - 1
        unclear = e.lift_ci[0] <= 0 <= e.lift_ci[1]
        says = "cannot tell" if unclear else "agrees" if before * e.lift > 0 else "disagrees"
        if abs(before) < SAME:
            parts.append(f"NDCG@10 of {e.name} was that of control offline")
            continue
        words = f"NDCG@10 of {e.name} was {formats.lift(before, 0)} offline"
        parts.append(f"{words}; the test {says} ({formats.lift(e.lift)})")
    return ". ".join(parts) or "The lift of the test is not defined"


def truth_headline(truth: pd.DataFrame, found: Analysis) -> str:
    """Whether the interval of the goal holds the truth that clicks were drawn from."""
    if not found.verdict.valid:
        return f"Estimate and truth, {INVALID}"
    drawn = true_lifts(truth)
    goals = [e for e in found.effects if e.role == "goal" and math.isfinite(e.lift)]
    held = sum(e.lift_ci[0] <= drawn[e.name] <= e.lift_ci[1] for e in goals)
    if len(goals) == 1:
        return f"The interval {'holds' if held else 'misses'} the true lift of {formats.lift(drawn[goals[0].name])}"
    return f"{held} of {len(goals)} intervals hold the true lift"


def true_lifts(truth: pd.DataFrame | None) -> dict[str, float]:
    """True CTR lift by treatment, of the truth that clicks were drawn from; empty for a real log."""
    return {} if truth is None else truth.drop_duplicates("variant").set_index("variant")["true_lift"].to_dict()


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]
