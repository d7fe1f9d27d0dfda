"""Before a test: the users it needs, the lift it can find, how long it runs, and what CUPED would save.

Normal approximation throughout, as in the analysis of large samples. Per-user variances, so that a metric's value
over n users has variance / n. Numbers of users are those first exposed during the test.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Required, TypedDict, Unpack

import pandas as pd
from scipy.optimize import brentq
from scipy.stats import norm

from recab_helpers.analysis.metrics import MetricSpec, covariates_of
from recab_helpers.analysis.statistics import ROUNDING, before, regression
from recab_helpers.assumptions import ACTIVITY_SHAPE
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.impressions.statistics import SufficientStatistics

Sides = Literal[1, 2]
MIN_LIFT = 1e-6  # below it the users needed leave the range of integers


class TwoGroups(TypedDict, total=False):
    """What the three functions on control and one treatment share; per-user variances."""

    control_variance: Required[float]
    treatment_variance: float | None  # as in control unless given
    null_variance: float | None  # as in Welch's test unless given; for proportions give the pooled p (1 - p)
    alpha: float  # 0.05 unless given
    sides: Sides  # 2 unless given; 1 for non-inferiority
    ratio: float  # users in treatment for each in control, 1 unless given


def users_per_variant(difference: float, *, power: float = 0.8, **groups: Unpack[TwoGroups]) -> float:
    """Users in control that find `difference` with this power, not rounded; treatment takes `ratio` times as many.

    n = (z(1 - alpha/sides) sqrt(V0 (1 + 1/ratio)) + z(power) sqrt(Vc + Vt/ratio))^2 / difference^2

    V0 defaults to the weighted mean of Vc and Vt at which both roots are equal. For non-inferiority give sides=1 and
    the difference from the margin, positive where it passes. The chance to reject on the wrong side is left out: at
    most 5e-5 at alpha 0.05.

    >>> rates = {"control_variance": 0.5 * 0.5, "treatment_variance": 0.75 * 0.25, "null_variance": 0.625 * 0.375}
    >>> round(users_per_variant(0.25, power=0.9, **rates), 1)  # power.prop.test(p1=.5, p2=.75, power=.9) of R
    76.7
    """
    if not (math.isfinite(difference) and (difference > 0 or (difference < 0 and groups.get("sides", 2) == 2))):
        raise ParameterError(f"difference is {difference}; give one other than 0, and above 0 when sides is 1.")
    return (detectable(1.0, power, **groups) / difference) ** 2


def detectable(n: float, power: float = 0.8, **groups: Unpack[TwoGroups]) -> float:
    """Smallest difference (MDE) that n users in control find with this power.

    difference = (z(1 - alpha/sides) sqrt(V0 (1 + 1/ratio)) + z(power) sqrt(Vc + Vt/ratio)) / sqrt(n)
    """
    critical, spread = _critical_and_spread(**groups)
    _check("n", n, 0, math.inf, "the users in control")
    lowest = max(0.5, groups.get("alpha", 0.05))
    _check("power", power, lowest, 1, "such as 0.8; below even odds a test is not worth its users", closed=True)
    return (critical + float(norm.isf(1 - power)) * spread) / math.sqrt(n)


def power_of(difference: float, n: float, **groups: Unpack[TwoGroups]) -> float:
    """Chance that n users in control reject equality when this is the true difference; both tails when two-sided.

    power = P(Z > (c - d sqrt(n)) / s) + P(Z > (c + d sqrt(n)) / s), the second for sides=2 only, where
    c = z(1 - alpha/sides) sqrt(V0 (1 + 1/ratio)) and s = sqrt(Vc + Vt/ratio)
    """
    critical, spread = _critical_and_spread(**groups)
    _check("n", n, 0, math.inf, "the users in control")
    _check("difference", difference, -math.inf, math.inf, "in units of the metric")
    signs = (1, -1)[: groups.get("sides", 2)]
    return float(sum(norm.sf((critical - sign * difference * math.sqrt(n)) / spread) for sign in signs))


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is decided before a test: every treatment is held against control.

    The treatments divide `allocation`, the planned share of users outside control, and `alpha` equally, as they do in
    the intervals of a goal. `power` is the chance to find the lift of one of them.
    """

    allocation: float = 0.5
    n_treatments: int = 1
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self):
        _check("allocation", self.allocation, 0, 1, "the share of users in treatment")
        _check("n_treatments", self.n_treatments, 1, math.inf, "the variants beside control", closed=True)
        _check("alpha", self.alpha, 0, 1, "such as 0.05 for a 95% interval")
        _check("power", self.power, 0.5, 1, "such as 0.8; below even odds a test is not worth its users", closed=True)

    @property
    def level(self) -> float:
        """Alpha of one comparison."""
        return self.alpha / self.n_treatments

    @property
    def ratio(self) -> float:
        """Users in one treatment for each in control."""
        return self.allocation / self.n_treatments / (1 - self.allocation)

    def groups(self, baseline: "Baseline") -> tuple[TwoGroups, ...]:
        """Control and one treatment, which vary alike, without and with CUPED."""
        return tuple(TwoGroups(control_variance=v, alpha=self.level, ratio=self.ratio) for v in baseline.variances)

    def in_control(self, users: float) -> float:
        """Of so many users in all variants, those in control."""
        return users * (1 - self.allocation)

    def in_all(self, control: float) -> int:
        """Users in all variants, whole ones and at least two in each, for so many in control."""
        return max(math.ceil(control), 2) + self.n_treatments * max(math.ceil(control * self.ratio), 2)


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What planning knows of a metric: its value in control and its per-user variance, var(value) = variance / n.

    `reduction` is the share of variance that CUPED would remove, 0 where unknown. A longer test shows each user
    more, which changes the variance: a pilot speaks for tests that watch users about as long as it did.
    """

    value: float
    variance: float
    reduction: float = 0.0
    label: str = "metric"

    def __post_init__(self):
        way_out = "a lift is a share of it. Give a longer pilot, or assumed rates to Baseline.from_rates"
        _check(f"{self.label} without treatment", self.value, 0, math.inf, way_out)
        _check(f"variance of {self.label}", self.variance, 0, math.inf, "from a pilot whose users differ")
        _check("reduction", self.reduction, 0, 1, "the share that CUPED removes, 0 if unknown", closed=True)

    @property
    def variances(self) -> tuple[float, float]:
        """Per-user variance without and with CUPED."""
        return self.variance, self.variance * (1 - self.reduction)

    @classmethod
    def from_statistics(cls, statistics: SufficientStatistics, metric: MetricSpec) -> "Baseline":
        """From a pilot's users as one group, such as `Users.whole`; variance by the delta method.

        The reduction is the squared correlation of the linearized metric and its covariate, where the pilot has it.

        Raises:
            DataError: the pilot lacks a column, or users, or a variance.
        """
        if missing := [c for c in metric.columns if c not in statistics.columns]:
            raise DataError(f"The pilot has no column {', '.join(missing)}; {metric.label} needs it. Add it.")
        if statistics.n < 2:
            raise DataError(f"The pilot has {statistics.n} users; a variance needs at least 2. Give a longer pilot.")
        value, gradient = statistics.gradient(metric.columns)
        variance, reduction = float(gradient @ statistics.cov @ gradient), 0.0
        variance = 0.0 if variance < ROUNDING * value**2 else variance
        covariates, theta = regression(statistics, gradient, covariates_of(metric, statistics.columns))
        if covariates and variance > 0:
            reduction = float(theta @ before(statistics, covariates)[1] @ statistics.cov @ gradient) / variance
        return cls(value=value, variance=variance, reduction=reduction, label=metric.label)

    @classmethod
    def from_rates(
        cls, ctr: float, *, slate_size: int, sessions_per_user: float, click_correlation: float
    ) -> "Baseline":
        """CTR's variance from assumed rates, when there is no pilot.

        Assumes that a user has m = slate_size x sessions impressions; that sessions are negative binomial with gamma
        shape 0.7, counted over users with at least one, whose mean is `sessions_per_user`; that a user's click rate
        is beta distributed, whatever m is, so that two impressions of a user correlate by rho = `click_correlation`.
        Given m, clicks have variance m p (1-p) (1 + (m-1) rho); linearized as (clicks - p m) / E[m], the variance is

            p (1-p) ((1-rho) E[m] + rho E[m^2]) / E[m]^2
        """
        _check("ctr", ctr, 0, 1, "a fraction such as 0.05")
        _check("slate_size", slate_size, 1, math.inf, "the items of a slate", closed=True)
        _check("sessions_per_user", sessions_per_user, 1, math.inf, "a mean over users with a session", closed=True)
        _check("click_correlation", click_correlation, 0, 1, "of two impressions of a user", closed=True)
        rate = rate_of_all_users(sessions_per_user)
        mean = slate_size * sessions_per_user
        mean_square = slate_size * mean * (1 + rate * (1 + 1 / ACTIVITY_SHAPE))
        spread = (1 - click_correlation) * mean + click_correlation * mean_square
        return cls(value=ctr, variance=ctr * (1 - ctr) * spread / mean**2, label="CTR")


def plan_table(baseline: Baseline, lifts: Iterable[float], design: Design, *, users_per_day: float) -> pd.DataFrame:
    """Users (all variants) and whole days to find each lift, without and with CUPED; all variants vary alike.

    Columns: lift, users, days, users_with_cuped, days_with_cuped. `users_per_day` come for the first time that day.

    >>> ctr = Baseline.from_rates(0.1, slate_size=10, sessions_per_user=7.5, click_correlation=0.1)
    >>> plan_table(ctr, [0.05, 0.1], Design(), users_per_day=500)[["lift", "users", "days"]]
       lift  users  days
    0  0.05  24636    50
    1  0.10   6160    13
    """
    _check("users_per_day", users_per_day, 0, math.inf, "the users who first come on a day of the test")
    rows = []
    for lift in map(_checked_lift, lifts):
        if abs(lift) < MIN_LIFT:
            raise ParameterError(f"lift is {lift}; give a fraction of at least {MIN_LIFT:f}, such as 0.05 for +5%.")
        row = [lift]
        for groups in design.groups(baseline):
            users = design.in_all(users_per_variant(baseline.value * lift, power=design.power, **groups))
            row += [users, math.ceil(users / users_per_day)]
        rows.append(row)
    return pd.DataFrame(rows, columns=["lift", "users", "days", "users_with_cuped", "days_with_cuped"])


def power_curve(baseline: Baseline, users: float, lifts: Iterable[float], design: Design) -> pd.DataFrame:
    """Chance that a test of `users` (all variants) finds each lift; columns lift, power, power_with_cuped.

    >>> ctr = Baseline(value=0.1, variance=0.004)
    >>> power_curve(ctr, 8000, [0.0, 0.04], Design())[["lift", "power"]].round(3)
       lift  power
    0  0.00  0.050
    1  0.04  0.807
    """
    _check("users", users, 0, math.inf, "the users of all variants")
    groups, n = design.groups(baseline), design.in_control(users)
    rows = [(lift, *(power_of(baseline.value * lift, n, **g) for g in groups)) for lift in map(_checked_lift, lifts)]
    return pd.DataFrame(rows, columns=["lift", "power", "power_with_cuped"])


def mde_table(baseline: Baseline, days: Iterable[float], design: Design, *, users_per_day: float) -> pd.DataFrame:
    """Smallest lift found after each number of days; columns days, users (all variants), mde, mde_with_cuped.

    >>> ctr = Baseline(value=0.1, variance=0.004)
    >>> mde_table(ctr, [7, 28], Design(), users_per_day=500)[["days", "users", "mde"]].round(3)
       days  users   mde
    0     7   3500  0.06
    1    28  14000  0.03
    """
    _check("users_per_day", users_per_day, 0, math.inf, "the users who first come on a day of the test")
    rows = []
    for day in days:
        _check("days", day, 0, math.inf, "the length of the test")
        users = day * users_per_day
        smallest = [detectable(design.in_control(users), design.power, **g) for g in design.groups(baseline)]
        rows.append((day, round(users), *(d / baseline.value for d in smallest)))
    return pd.DataFrame(rows, columns=["days", "users", "mde", "mde_with_cuped"])


def _critical_and_spread(
    *, control_variance, treatment_variance=None, null_variance=None, alpha=0.05, sides=2, ratio=1.0
) -> tuple[float, float]:
    """Difference that is just significant, and standard deviation of the estimated one, both times sqrt(n)."""
    treatment_variance = control_variance if treatment_variance is None else treatment_variance
    _check("ratio", ratio, 0, math.inf, "the users in treatment for each in control")
    if null_variance is None:
        null_variance = (ratio * control_variance + treatment_variance) / (1 + ratio)
    for name, value in (("control", control_variance), ("treatment", treatment_variance), ("null", null_variance)):
        _check(f"{name}_variance", value, 0, math.inf, "per user")
    _check("alpha", alpha, 0, 1, "such as 0.05 for a 95% interval")
    if sides not in (1, 2):
        raise ParameterError(f"sides is {sides}; give 2, or 1 for non-inferiority.")
    null_spread = math.sqrt(null_variance * (1 + 1 / ratio))
    return float(norm.isf(alpha / sides)) * null_spread, math.sqrt(control_variance + treatment_variance / ratio)


def rate_of_all_users(sessions: float) -> float:
    """Mean sessions over all users, those without one included, from the mean over users with at least one."""

    def excess(log_rate: float) -> float:
        none = -ACTIVITY_SHAPE * math.log1p(math.exp(log_rate) / ACTIVITY_SHAPE)  # log P(no session)
        return math.exp(log_rate) / -math.expm1(none) - sessions

    return 0.0 if excess(-20.0) >= 0 else math.exp(brentq(excess, -20.0, math.log(sessions) + 1))


def _checked_lift(lift: float) -> float:
    _check("lift", lift, -1, math.inf, "a fraction such as 0.05 for +5%")
    return lift


def _check(name: str, value: float, low: float, high: float, hint: str, *, closed: bool = False) -> None:
    """Refuse what is not above `low`, or at it if closed, and below `high`; nan too."""
    if not (low < value < high or (closed and value == low)):
        limits = f"{'from' if closed else 'above'} {low} and below {high}"
        raise ParameterError(f"{name} is {value}; give a number {limits}: {hint}.")
