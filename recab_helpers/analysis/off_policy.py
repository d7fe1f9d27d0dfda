"""Off-policy: what a model that was not served would have got, from a log of another with propensities.

Under the position model an item's clicks, over the chance that it was shown where it was, tell its appeal wherever it
was shown: summed over positions by how likely each is looked at, they tell the target's slate (inverse propensity
scores, Horvitz and Thompson 1952; position model for slates, Li and others 2018). Self-normalized scores (Swaminathan
and Joachims 2015), the direct method and the doubly robust one (Dudik, Langford and Li 2011) stand beside. Examination
is told by the same log, and its error is in every interval. A gate asks the log whether a place is looked at less after
a click above it, which the position model denies; where it is, none of them may be read.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from recab_helpers.analysis.both_slates import GATE_ALPHA, fewer_after
from recab_helpers.analysis.statistics import t_critical, t_tail, variance_of
from recab_helpers.brief import Brief
from recab_helpers.formats import lift, lift_interval, p_value, percent
from recab_helpers.impressions.off_policy import DIRECT, KINDS, OWN, SLATES, of_position
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.references import Comparison

Method = Literal["doubly robust", "inverse propensity", "self-normalized", "direct method"]
SUPPORTED = 0.95  # share of the target's slates, by examination, that the log's policy may show; below, no number
EFFECTIVE = 100  # users that weights leave of all, below which no number is given


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The target's CTR and its lift over the policy of the log, by one method; nan where they are not told.

    The direct method has no interval: how well appeals are known is not in the spread of users.
    """

    method: Method
    ctr: float
    lift: float = math.nan
    ci: tuple[float, float] = (math.nan, math.nan)
    log_se: float = math.nan
    p_value: float = math.nan


@dataclass(frozen=True, kw_only=True)
class OffPolicy(Brief):
    """What the log says of one target; `estimates` is empty where it cannot, and `refused` says why.

    `support` is the share of the target's slates, by how likely each place is looked at, that the policy of the log
    could have shown, with its interval; `effective` the users that the weights leave. `gate_p` tests that a click at
    the top of a slate does not lower the clicks below it, in requests of the same user with the same item there; nan
    where nobody has two that tell. `unknown` counts the users whom the target does not know and shows what it shows to
    those; None if it does not say.
    """

    comparison: Comparison
    alpha: float
    n_users: int
    own_ctr: float
    support: float
    support_ci: tuple[float, float]
    effective: float
    gate_p: float
    estimates: tuple[Estimate, ...]
    refused: str = ""
    unknown: int | None = None

    @property
    def main(self) -> Estimate | None:
        """The doubly robust estimate; None where no number is given."""
        return self.estimates[0] if self.estimates else None

    @property
    def better(self) -> str:
        """The variant that the doubly robust interval says is better; empty where it says none."""
        if self.main is None:
            return ""
        low, high = self.main.ci
        return self.comparison.variant if low > 0 else self.comparison.against if high < 0 else ""

    def in_words(self) -> str:
        """The doubly robust lift, or why there is none."""
        e = self.main
        return f"off-policy: {lift(e.lift)} ({lift_interval(e.ci)})" if e else f"off-policy: none, {self.refused}"


def read_off_policy(
    s: SufficientStatistics, comparison: Comparison, *, alpha: float = 0.05, unknown: int | None = None
) -> OffPolicy:
    """The readings of one target, from the sums of every user (`impressions.off_policy`)."""
    size = sum(c.startswith(f"{KINDS[0]} at ") for c in s.columns)
    at = {kind: [s.columns.index(of_position(kind, k)) for k in range(1, size + 1)] for kind in KINDS}
    slates, own = s.columns.index(SLATES), s.columns.index(OWN)
    looks = s.mean[at["looked at"]]
    support, by_support = _weighed(s, at["looked at"], at["weight"], slates)
    support, by_support = support / size, by_support / size
    se = math.sqrt(max(variance_of(s, by_support), 0.0)) if np.isfinite(support) else math.nan
    half = t_critical(alpha / 2, max(s.n - 1, 1)) * se
    weight = np.zeros(len(s.columns))
    if looks.sum() > 0:
        weight[at["weight"]] = looks / looks.sum()
    mean, spread = float(weight @ s.mean), float(weight @ s.cov @ weight)
    effective = s.n * mean**2 / (mean**2 + spread) if mean > 0 else 0.0
    gate_p = fewer_after([s])
    refused = _refusal(support, half, effective, gate_p, own_clicks=s.mean[own])
    found = () if refused else tuple(_estimates(s, at, slates, own, size, support, by_support, alpha))
    return OffPolicy(
        comparison=comparison,
        alpha=alpha,
        n_users=s.n,
        own_ctr=float(s.mean[own] / s.mean[slates] / size),
        support=support,
        support_ci=(max(support - half, 0.0), support + half),
        effective=effective,
        gate_p=gate_p,
        estimates=found,
        refused=refused,
        unknown=unknown,
    )


def _refusal(support: float, half: float, effective: float, gate_p: float, *, own_clicks: float) -> str:
    if not (math.isfinite(support) and own_clicks > 0):
        return "nobody clicked where the log's policy explored"
    if support + half < SUPPORTED:
        return (
            f"its policy could have shown only {percent(support, 0)} of what the target shows, and "
            f"{percent(SUPPORTED, 0)} are needed: explore among the target's items too"
        )
    if effective < EFFECTIVE:
        return (
            f"the weights leave {effective:,.0f} of its users, and {EFFECTIVE} are needed: explore in more sessions, "
            "or among fewer items"
        )
    if gate_p < GATE_ALPHA:
        return (
            f"users click less below an item that they clicked than below the same one when they did not (p "
            f"{p_value(gate_p)}): how likely a place is looked at depends on clicks above it, which no weight by place "
            "undoes"
        )
    return ""


def _weighed(s: SufficientStatistics, looks: list[int], values: list[int], slates: int) -> tuple[float, np.ndarray]:
    """Mean per slate of values by position, weighed by how likely each is looked at, and its derivative."""
    gradient = np.zeros(len(s.columns))
    a, v, n = s.mean[looks], s.mean[values], s.mean[slates]
    if not (a.sum() > 0 and n > 0):
        return math.nan, gradient
    value = float(a @ v / a.sum())
    gradient[values] += a / a.sum() / n
    gradient[looks] += (v - value) / a.sum() / n
    gradient[slates] -= value / n**2
    return value / n, gradient


def _estimates(
    s: SufficientStatistics,
    at: dict[str, list[int]],
    slates: int,
    own: int,
    size: int,
    support: float,
    by_support: np.ndarray,
    alpha: float,
) -> Iterator[Estimate]:
    own_ctr = s.mean[own] / s.mean[slates]
    by_own = np.zeros(len(s.columns))
    by_own[own], by_own[slates] = 1 / s.mean[slates], -own_ctr / s.mean[slates]
    scores, by_scores = _weighed(s, at["looked at"], at["clicked"], slates)
    robust = _weighed(s, at["looked at"], at["doubly robust"], slates)
    direct = s.gradient((DIRECT, SLATES))
    ways: dict[Method, tuple[float, np.ndarray]] = {
        "doubly robust": robust,
        "inverse propensity": (scores, by_scores),
        "self-normalized": (scores / support, by_scores / support - scores * by_support / support**2),
        "direct method": direct,
    }
    for method, (value, by) in ways.items():
        if not value > 0:
            yield Estimate(method=method, ctr=value / size)
            continue
        log_lift = math.log(value / own_ctr)
        if method == "direct method":
            yield Estimate(method=method, ctr=value / size, lift=math.expm1(log_lift))
            continue
        se = math.sqrt(max(variance_of(s, by / value - by_own / own_ctr), 0.0))
        half = t_critical(alpha / 2, s.n - 1) * se
        yield Estimate(
            method=method,
            ctr=value / size,
            lift=math.expm1(log_lift),
            ci=(math.expm1(log_lift - half), math.expm1(log_lift + half)),
            log_se=se,
            p_value=2 * t_tail(abs(log_lift) / se, s.n - 1) if se > 0 else math.nan,
        )
