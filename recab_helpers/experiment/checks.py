"""Checks that gate the verdict: a test that fails one of them names no winner."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from recab_helpers.experiment.metrics import variants_of

SRM_ALPHA = 5e-4  # one false alarm in two thousand healthy experiments


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check; `detail` gives the counts behind it and, when it failed, where to look."""

    name: str
    passed: bool
    detail: str
    p_value: float = math.nan


def srm_p_value(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Chance of a split this uneven or worse, had assignment followed `weights`.

    Pearson chi-squared on counts of users, never of impressions (Fabijan et al., KDD 2019).
    """
    total, mass = sum(counts), sum(weights)
    return float(stats.chisquare(counts, [total * w / mass for w in weights]).pvalue)


def srm_check(users: pd.DataFrame, planned: dict[str, float]) -> Check:
    """Do the users per variant fit the planned shares?"""
    counts = users["variant"].value_counts().reindex(list(planned), fill_value=0)
    p = srm_p_value(counts.to_list(), list(planned.values()))
    split = ", ".join(f"{v} {n:,} users ({n / counts.sum():.2%}, planned {planned[v]:.2%})" for v, n in counts.items())
    passed = p >= SRM_ALPHA
    where = "" if passed else ". Look for users lost or filtered in one variant, redirects, bots and late logging."
    return Check(name="Sample ratio (SRM)", passed=passed, p_value=p, detail=split + where)


def one_variant_check(users: pd.DataFrame) -> Check:
    """Was every user seen in one variant only?"""
    twice = int(users["user_id"].duplicated().sum())
    detail = f"{twice:,} of {users['user_id'].nunique():,} users were seen in more than one variant"
    where = "" if not twice else ". Look at how assignment is remembered between sessions."
    return Check(name="One variant per user", passed=not twice, detail=detail + where)


def days_check(users: pd.DataFrame, daily: pd.DataFrame) -> Check:
    """Does every variant have impressions on every day of the test?"""
    days = sorted(daily.index.get_level_values("day").unique())
    missing = [
        f"{v} day {d + 1}"
        for v in variants_of(users)
        for d in range(days[0], days[-1] + 1)
        if (v, d) not in daily.index
    ]
    detail = f"{days[-1] - days[0] + 1} days" + (
        f", without impressions: {', '.join(missing[:5])}" if missing else ", each with impressions in every variant"
    )
    return Check(name="Days complete", passed=not missing, detail=detail)


def run_checks(users: pd.DataFrame, daily: pd.DataFrame, planned: dict[str, float]) -> list[Check]:
    """All checks on a users table and its daily totals."""
    return [srm_check(users, planned), one_variant_check(users), days_check(users, daily)]
