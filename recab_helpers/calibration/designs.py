"""Ways to test two models, read from drawn sessions by the code of the report: what `make designs` grades.

Every function takes one drawn test as arrays: `user`, (n_sessions,), a number from 0; `arm`, 0 for control and 1 for
treatment, by session, (n_sessions,), or by item, (n_sessions, k); `clicked`, (n_sessions, k).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recab_helpers.analysis import CTR, Effect, estimate, read_both_slates, read_off_policy, read_preference
from recab_helpers.analysis.estimating import estimate_within
from recab_helpers.impressions.aggregates import Within
from recab_helpers.impressions.both_slates import AFTER, CONTROL_ONLY, DIFFERING, TREATMENT_ONLY, moved
from recab_helpers.impressions.off_policy import DIRECT, KINDS, OWN, PRIOR_LOOKS, SLATES, of_position
from recab_helpers.impressions.statistics import ByVariant, SufficientStatistics
from recab_helpers.impressions.within import PREFERS, TIED, WON, at
from recab_helpers.references import CONTROL, Comparison

VARIANTS = (CONTROL, "treatment")
OF_CTR = ("impressions", "clicks", "pre_impressions", "pre_clicks")


@dataclass(frozen=True, kw_only=True)
class Read:
    """One reading of one drawn test: log(1 + lift), or a share less one half, with its interval.

    `trusted` is False where its own gate says that it may not be read. Off-policy has `support`, the share of the
    target's slates that the log could have shown, and `effective`, the users that its weights leave.
    """

    value: float
    low: float
    high: float
    trusted: bool = True
    support: float = math.nan
    effective: float = math.nan

    @classmethod
    def of(cls, effect: Effect, *, trusted: bool = True) -> "Read":
        """The lift of an effect on the log scale; nan where there is none."""
        value, low, high = (math.log1p(x) if x > -1 else math.nan for x in (effect.lift, *effect.lift_ci))
        return cls(value=value, low=low, high=high, trusted=trusted)


def by_position(user: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """A user's clicks at each position, (n_users, k)."""
    n, k = int(user.max()) + 1, clicked.shape[1]
    cell = user[:, None] * k + np.arange(k)
    return np.bincount(cell.ravel(), clicked.ravel(), n * k).reshape(n, k)


def read_users(
    user: np.ndarray,
    arm: np.ndarray,
    clicked: np.ndarray,
    before: Mapping[str, np.ndarray],
    places: np.ndarray,
    *,
    alpha: float = 0.05,
) -> dict[str, Read]:
    """Two groups of users, as counted, with CUPED, from the first difference on, and by both slates.

    `before` has pre_clicks and pre_impressions, (n_users,); `places`, (n_users, k, 2), where what the user was shown
    stands in both slates, from 1. `both` is the reading where its gate is not asked, `gated` that of a test which
    falls back on CUPED where the gate does not hold.
    """
    of = both_slates_of(user, arm, clicked, before, places)
    control, treatment = (of[v] for v in VARIANTS)
    counted = estimate(CTR, control, treatment, alpha=alpha, cuped=False)
    cuped = estimate(CTR, control, treatment, alpha=alpha)
    found = {"counted": Read.of(counted), "cuped": Read.of(cuped)}
    slates = read_both_slates({VARIANTS[1]: of}, alpha=alpha).get(VARIANTS[1])
    if slates is None:
        nothing = Read(value=math.nan, low=math.nan, high=math.nan)
        return found | {"triggered": nothing, "both": nothing, "gated": found["cuped"]}
    trusted = slates.holds and slates.both.defined
    return found | {
        "triggered": Read.of(slates.triggered),
        "both": Read.of(slates.both, trusted=slates.holds),
        "gated": Read.of(slates.both if trusted else cuped, trusted=slates.holds),
    }


def both_slates_of(
    user: np.ndarray, arm: np.ndarray, clicked: np.ndarray, before: Mapping[str, np.ndarray], places: np.ndarray
) -> ByVariant:
    """What `impressions.both_slates` counts in a log of these sessions; a user always has the same slate."""
    k = clicked.shape[1]
    clicks = by_position(user, clicked)
    n = len(clicks)
    sessions = np.bincount(user, minlength=n)
    arm_of = np.zeros(n, dtype=np.int64)
    arm_of[user] = arm
    i, j = places[:, :, 0].astype(np.int64), places[:, :, 1].astype(np.int64)
    own = np.arange(1, k + 1)
    first = np.where(i != j, own, k + 1).min(axis=1)
    top, below = clicked[:, 0].astype(float), clicked[:, 1:].sum(axis=1).astype(float)
    product, tops, belows = (np.bincount(user, w, n) for w in (top * below, top, below))
    fixed = {
        "impressions": sessions * k,
        "clicks": clicks.sum(axis=1),
        **{c: np.asarray(before[c], dtype=float) for c in OF_CTR[2:]},
        CONTROL_ONLY: (clicks * (j == 0)).sum(axis=1),
        TREATMENT_ONLY: (clicks * (i == 0)).sum(axis=1),
        DIFFERING: (clicks * (own >= first[:, None])).sum(axis=1),
        AFTER: product - tops * belows / np.maximum(sessions, 1),
    }
    at_moved = (i > 0) & (j > 0) & (i != j) & (clicks > 0)
    row, _ = np.nonzero(at_moved)
    cell = i[at_moved] * (k + 1) + j[at_moved]
    there, which = np.unique(cell, return_inverse=True)
    cells = np.bincount(row * max(len(there), 1) + which, clicks[at_moved], n * max(len(there), 1))
    values = np.column_stack([*fixed.values(), *cells.reshape(n, -1)[:, : len(there)].T])
    names = (*fixed, *(moved(*divmod(int(c), k + 1)) for c in there))
    return {v: SufficientStatistics.of(values[arm_of == a], names) for a, v in enumerate(VARIANTS)}


def read_sessions(user: np.ndarray, arm: np.ndarray, clicked: np.ndarray, *, alpha: float = 0.05) -> Read:
    """Sessions with a variant of their own, compared within users."""
    n, k = int(user.max()) + 1, clicked.shape[1]
    clicks = clicked.sum(axis=1)
    columns = {}
    for a, v in enumerate(VARIANTS):
        columns[at("impressions", v)] = k * np.bincount(user[arm == a], minlength=n)
        columns[at("clicks", v)] = np.bincount(user[arm == a], clicks[arm == a], n)
    of = _within(columns, "sessions")
    return Read.of(estimate_within(CTR, of, Comparison(VARIANTS[1]), alpha=alpha))


def read_interleaved(user: np.ndarray, team: np.ndarray, clicked: np.ndarray, *, alpha: float = 0.05) -> Read:
    """Team drafts: the share of clicks on the treatment's picks, less one half."""
    n = int(user.max()) + 1
    by_team = [(clicked & (team == a)).sum(axis=1) for a in (0, 1)]
    clicks = [np.bincount(user, c, n) for c in by_team]
    columns: dict[str, np.ndarray] = {at("clicks", v): c for v, c in zip(VARIANTS, clicks, strict=True)}
    for a, v in enumerate(VARIANTS):
        columns[at(WON, v)] = np.bincount(user, by_team[a] > by_team[1 - a], n)
        columns[at(PREFERS, v)] = clicks[a] > clicks[1 - a]
    columns[TIED] = np.bincount(user, (by_team[0] == by_team[1]) & (by_team[0] > 0), n)
    p = read_preference(_within(columns, "interleaved"), VARIANTS, alpha=alpha)
    return Read(value=p.share - 0.5, low=p.ci[0] - 0.5, high=p.ci[1] - 0.5)


def read_explored(sums: SufficientStatistics, *, alpha: float = 0.05) -> Read:
    """Off-policy, from `off_policy_of`: the lift of a target that nobody was shown; nan where a gate gives none."""
    found = read_off_policy(sums, Comparison(VARIANTS[1]), alpha=alpha)
    value, low, high = math.nan, math.nan, math.nan
    if (e := found.main) is not None:
        value, low, high = math.log1p(e.lift), *(math.log1p(x) for x in e.ci)
    return Read(
        value=value,
        low=low,
        high=high,
        trusted=not found.refused,
        support=found.support,
        effective=found.effective,
    )


def off_policy_of(
    user: np.ndarray,
    sessions: np.ndarray,
    after: np.ndarray,
    items: np.ndarray,
    clicked: np.ndarray,
    propensity: np.ndarray,
    home: np.ndarray,
    there: np.ndarray,
    target: np.ndarray,
) -> SufficientStatistics:
    """What `impressions.off_policy` counts in a log of sessions of control, some of which showed random items.

    A row is so many `sessions` of a user that showed the same, (n_rows,), in which so many clicks came `after` one at
    the top. By shown item, (n_rows, k): its code, its
    clicks, its propensity, whether it is where control has it, and its place in the target's slate, from 1, 0 for not
    at all; `target`, (n_users, k), item codes. Every second user is of the other half.
    """
    n, k = target.shape
    over = 1 / propensity
    weighed = clicked * over
    looks = weighed.sum(axis=0)
    theta = looks / looks[0] if looks[0] > 0 else np.ones(k)
    cell = 2 * items.astype(np.int64) + (user % 2)[:, None]
    size = 2 * int(max(items.max(), target.max()) + 1)
    clicks_of = np.bincount(cell.ravel(), clicked.ravel(), size)
    looks_of = np.bincount(cell.ravel(), (sessions[:, None] * theta).ravel(), size)
    mean = clicks_of.sum() / looks_of.sum()
    appeal = ((clicks_of + PRIOR_LOOKS * mean) / (looks_of + PRIOR_LOOKS)).reshape(-1, 2)[:, ::-1].ravel()
    told = appeal[2 * target.astype(np.int64) + (np.arange(n) % 2)[:, None]]
    slates = np.bincount(user, sessions, n)
    met = there > 0
    at = (user[:, None] * k + there - 1)[met]
    often = sessions[:, None] * over
    gained = weighed - often * theta * appeal[cell]
    shown, weight, robust = (np.bincount(at, x[met], n * k).reshape(n, k) for x in (weighed, often, gained))
    kinds = by_position(user, weighed), shown, weight, robust + theta.sum() * slates[:, None] * told
    columns = {SLATES: slates, OWN: np.bincount(user, (home * weighed).sum(axis=1), n), DIRECT: slates * (told @ theta)}
    tops, top = np.unique(user * size + items[:, 0], return_inverse=True)
    of, first, below, after = (
        np.bincount(top, x) for x in (sessions, clicked[:, 0], clicked[:, 1:].sum(axis=1), after)
    )
    columns[AFTER] = np.bincount(tops // size, after - first * below / of, n)
    for kind, values in zip(KINDS, kinds, strict=True):
        columns |= {of_position(kind, position): of for position, of in enumerate(values.T, 1)}
    return SufficientStatistics.of(np.column_stack(list(columns.values())).astype(float), tuple(columns))


def _within(columns: Mapping[str, np.ndarray], design: str) -> Within:
    values = np.column_stack(list(columns.values())).astype(float)
    return Within(design=design, statistics=SufficientStatistics.of(values, tuple(columns)))
