"""Checks that gate the verdict: a test that fails one of them names no winner."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.analysis.effects import Effect, estimate, sufficient_statistics
from recab_helpers.analysis.metrics import CONTROL, MetricSpec, variants_of
from recab_helpers.analysis.segments import segment_columns
from recab_helpers.formats import lift

SRM_ALPHA = 5e-4  # one false alarm in two thousand healthy experiments
GATE_ALPHA = 1e-3  # of the other gates that test a hypothesis
NOVELTY_ALPHA = 0.01  # a warning, not a gate
SMALL_N = 500  # users in a variant, below which normal intervals are doubtful for heavy-tailed counts
SMALL_CLICKED = 100  # users of a variant who clicked, likewise


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check; `detail` gives the counts behind it and, when it failed, where to look.

    A failed check that is no gate is a warning: it does not void the verdict.
    """

    name: str
    passed: bool
    detail: str
    p_value: float = math.nan
    gate: bool = True


def run_checks(users: pd.DataFrame, daily: pd.DataFrame, planned: dict[str, float]) -> list[Check]:
    """All checks on a users table and its daily totals; those that need what is not known are left out."""
    checks = [srm_check(users, planned), srm_by_part(users, planned), one_variant_check(users), possible_check(users)]
    checks.append(days_check(users, daily))
    pre = [c for c in users if c.startswith("pre_")]
    if {"pre_clicks", "pre_impressions"} <= set(pre):
        checks.append(pre_period_check(users))
    if pre:
        checks.append(balance_check(users, pre))
    return [*checks, novelty_check(users, daily), size_check(users)]


def srm_p_value(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Chance of a split this uneven or worse, had assignment followed `weights`.

    Pearson chi-squared on counts of users, never of impressions (Fabijan et al., KDD 2019).
    """
    total, mass = sum(counts), sum(weights)
    return float(stats.chisquare(counts, [total * w / mass for w in weights]).pvalue)


def srm_check(users: pd.DataFrame, planned: dict[str, float]) -> Check:
    """Do the users per variant fit the planned shares? A variant that was not planned fails."""
    found = users["variant"].value_counts()
    if extra := [str(v) for v in found.index if v not in planned and found[v]]:
        detail = f"planned are {', '.join(planned)}, but the log also holds {', '.join(sorted(extra))}"
        return Check(name="Sample ratio (SRM)", passed=False, detail=f"{detail}. Check how variants are named.")
    counts = found.reindex(list(planned), fill_value=0)
    p = srm_p_value(counts.to_list(), list(planned.values()))
    split = ", ".join(f"{v} {n:,} users ({n / counts.sum():.2%}, planned {planned[v]:.2%})" for v, n in counts.items())
    passed = p >= SRM_ALPHA
    where = "" if passed else ". Look for users lost or filtered in one variant, redirects, bots and late logging."
    return Check(name="Sample ratio (SRM)", passed=passed, p_value=p, detail=split + where)


def srm_by_part(users: pd.DataFrame, planned: dict[str, float]) -> Check:
    """The sample ratio of every day's newly exposed users and of every segment, Bonferroni over them."""
    parts = {}
    for column in ["exposed_at", *segment_columns(users)]:
        if column not in users:
            continue
        counts = users.groupby([column, "variant"], observed=True).size().unstack(fill_value=0)
        counts = counts.reindex(columns=list(planned), fill_value=0)
        counts = counts[counts.sum(axis=1) * min(planned.values()) >= 5]  # chi-squared needs five expected
        parts |= {
            (column, level): srm_p_value(row.tolist(), list(planned.values())) for level, row in counts.iterrows()
        }
    name = "Sample ratio by day and segment"
    if not parts:
        return Check(name=name, passed=True, detail="no day or segment has users enough to test")
    p = min(1.0, min(parts.values()) * len(parts))
    column, level = min(parts, key=parts.get)
    which = f"users first seen on day {level + 1}" if column == "exposed_at" else f"{column} {level}"
    detail = f"{len(parts)} days and segments, the least even is {which}"
    where = "" if p >= SRM_ALPHA else ". Look at what happened to assignment or logging there."
    return Check(name=name, passed=p >= SRM_ALPHA, p_value=p, detail=detail + where)


def one_variant_check(users: pd.DataFrame) -> Check:
    """Was every user seen in one variant only?"""
    twice = int(users["user_id"].duplicated().sum())
    detail = f"{twice:,} of {users['user_id'].nunique():,} users were seen in more than one variant"
    where = "" if not twice else ". Look at how assignment is remembered between sessions."
    return Check(name="One variant per user", passed=not twice, detail=detail + where)


def possible_check(users: pd.DataFrame) -> Check:
    """Can every count be: clicks within impressions, and no impression without a session?"""
    bad = int(((users["clicks"] > users["impressions"]) | (users["impressions"] < users["sessions"])).sum())
    detail = f"{bad:,} users with more clicks than impressions or more sessions than impressions"
    where = "" if not bad else ". Look for rows logged twice and for slate ids shared between users."
    return Check(name="Possible counts", passed=not bad, detail=detail + where)


def days_check(users: pd.DataFrame, daily: pd.DataFrame) -> Check:
    """Does every variant have impressions on every day of the test?"""
    days = sorted(daily.index.get_level_values("day").unique())
    n = days[-1] - days[0] + 1
    missing = [
        f"{v} day {d + 1}"
        for v in variants_of(users)
        for d in range(days[0], days[-1] + 1)
        if (v, d) not in daily.index
    ]
    detail = f"{n} days, each with impressions in every variant"
    if missing:
        detail = (
            f"{n} days; without impressions: {', '.join(missing[:5])}. Look for lost logs, or keep whole days only."
        )
    return Check(name="Days complete", passed=not missing, detail=detail)


def pre_period_check(users: pd.DataFrame) -> Check:
    """An A/A test of CTR on the pre-experiment period, when both variants had the same model."""
    spec = MetricSpec(
        name="pre", label="CTR before", kind="ratio", numerator="pre_clicks", denominator="pre_impressions"
    )
    statistics = sufficient_statistics(users, spec.columns)
    effects = [estimate(spec, statistics[CONTROL], s) for v, s in statistics.items() if v != CONTROL]
    p = min(1.0, min((e.p_value for e in effects if e.p_value == e.p_value), default=math.nan) * len(effects))
    if p != p:
        return Check(name="A/A before the test", passed=True, detail=f"not defined: {effects[0].reason}")
    passed = p >= GATE_ALPHA
    lifts = ", ".join(lift(e.lift) for e in effects)
    where = "" if passed else ". The variants differed before the test: look at assignment and at earlier experiments."
    return Check(
        name="A/A before the test", passed=passed, p_value=p, detail=f"CTR lift {lifts} before the test{where}"
    )


def balance_check(users: pd.DataFrame, columns: list[str]) -> Check:
    """Do the variants have alike means of what is known from before? Welch tests, Bonferroni over columns."""
    statistics = sufficient_statistics(users, columns)
    worst, n = (1.0, ""), 0
    for name in variants_of(users)[1:]:
        for column in columns:
            spec = MetricSpec(name=column, label=column, kind="mean", numerator=column)
            effect: Effect = estimate(spec, statistics[CONTROL], statistics[name])
            n += 1
            worst = min(worst, (effect.p_value, column)) if effect.p_value == effect.p_value else worst
    p = min(1.0, worst[0] * n)
    least = (worst[1] or columns[0]).removeprefix("pre_")
    detail = f"{len(columns)} counts from before the test, the least alike is {least}"
    where = "" if p >= GATE_ALPHA else ". The variants were unlike before the test: look at assignment."
    return Check(name="Balance of covariates", passed=p >= GATE_ALPHA, p_value=p, detail=detail + where)


def novelty_check(users: pd.DataFrame, daily: pd.DataFrame) -> Check:
    """Does the daily effect drift? A trend of daily log CTR ratios over days, weighted by clicks; a warning only."""
    name = "Steady effect (novelty)"
    ctr, clicks = daily["ctr"].unstack("variant"), daily["clicks"].unstack("variant")
    trends = []
    for treatment in [v for v in ctr if v != CONTROL]:
        defined = (clicks[treatment] > 0) & (clicks[CONTROL] > 0)
        if defined.sum() < 4:
            continue
        y = np.log(ctr.loc[defined, treatment] / ctr.loc[defined, CONTROL]).to_numpy()
        weight = 1 / (1 / clicks.loc[defined, treatment] + 1 / clicks.loc[defined, CONTROL]).to_numpy()
        x = np.arange(len(y)) - np.average(np.arange(len(y)), weights=weight)
        slope = np.sum(weight * x * y) / np.sum(weight * x**2)
        rest = y - np.average(y, weights=weight) - slope * x
        se = math.sqrt(np.sum(weight * rest**2) / (len(y) - 2) / np.sum(weight * x**2))
        trends.append((float(2 * stats.t.sf(abs(slope) / se, len(y) - 2)) if se > 0 else 1.0, slope))
    if not trends:
        return Check(name=name, passed=True, detail="too few days with clicks to tell", gate=False)
    p, slope = min(trends)
    p = min(1.0, p * len(trends))
    detail = f"the lift changes by {lift(float(np.expm1(slope)), 2)} of itself a day"
    where = "" if p >= NOVELTY_ALPHA else ". Run longer, and compare new with old users in the segments."
    return Check(name=name, passed=p >= NOVELTY_ALPHA, p_value=p, detail=detail + where, gate=False)


def size_check(users: pd.DataFrame) -> Check:
    """Are there users and clicks enough for normal intervals? A warning only."""
    by = users.groupby("variant", observed=True)
    n, clicked = int(by.size().min()), int(by["clicked_any"].sum().min())
    passed = n >= SMALL_N and clicked >= SMALL_CLICKED
    detail = f"the smallest variant has {n:,} users, and {clicked:,} who clicked"
    where = (
        "" if passed else f". Intervals are doubtful below {SMALL_N} users or {SMALL_CLICKED} who clicked: run longer."
    )
    return Check(name="Size for the method", passed=passed, detail=detail + where, gate=False)
