"""One effect: a variant against another on one metric, in numbers, and what they say."""

import math
from dataclasses import dataclass
from typing import Any

from recab_helpers.analysis.metrics import MetricSpec
from recab_helpers.brief import Brief
from recab_helpers.formats import lift, lift_interval
from recab_helpers.references import Comparison

Interval = tuple[float, float]
UNDEFINED: Interval = (math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class Effect(Brief):
    """One variant against another on one metric; lifts are fractions; undefined numbers are nan, `reason` says why.

    `alpha` is the level of its intervals. `se` is of the difference, `log_se` of log(treatment / control), and
    `log_freedom` are the degrees of freedom with which the latter is known.
    `variance_reduction` is the share of variance that CUPED removed. `noninferiority_p` tests that a guardrail is
    worse than its margin. Where heavy users are capped, `uncapped_lift` and `uncapped_ci` are those of a goal with
    every user counted whole; nan elsewhere.
    """

    metric: MetricSpec
    comparison: Comparison
    method: str
    alpha: float
    n_control: int
    n_treatment: int
    same_users: bool = False  # whether they are the same users, each in both variants
    control: float
    treatment: float
    difference: float = math.nan
    difference_ci: Interval = UNDEFINED
    lift: float = math.nan
    lift_ci: Interval = UNDEFINED
    p_value: float = math.nan
    adjusted_p_value: float = math.nan
    se: float = math.nan
    log_se: float = math.nan
    log_freedom: float = math.nan
    variance_reduction: float = math.nan
    noninferiority_p: float = math.nan
    uncapped_lift: float = math.nan
    uncapped_ci: Interval = UNDEFINED
    reason: str = ""

    def in_words(self) -> str:
        """Lift and interval."""
        of = f"{self.metric.label}, {self.comparison.variant} against {self.comparison.against}: "
        return of + (f"{lift(self.lift)} ({lift_interval(self.lift_ci)})" if self.defined else self.reason)

    @property
    def n(self) -> int:
        """Users of both variants."""
        return self.n_control if self.same_users else self.n_control + self.n_treatment

    @property
    def defined(self) -> bool:
        """Whether there is a lift."""
        return math.isfinite(self.lift)

    @property
    def good_ci(self) -> Interval:
        """The interval of the lift in the metric's good direction, low end first."""
        low, high = self.lift_ci
        return (low, high) if self.metric.direction > 0 else (-high, -low)

    @property
    def better(self) -> bool:
        """Whether the whole interval lies on the good side of zero."""
        return self.good_ci[0] > 0

    @property
    def worse(self) -> bool:
        """Whether the whole interval lies on the bad side of zero."""
        return self.good_ci[1] < 0

    @property
    def hangs_on_heavy(self) -> bool:
        """Whether the interval lies elsewhere than on its side of zero with heavy users counted whole."""
        return math.isfinite(self.uncapped_ci[0]) and _side(self.lift_ci) != _side(self.uncapped_ci)

    @property
    def contradicted(self) -> bool:
        """Whether that interval lies wholly on the other side of zero."""
        return _side(self.lift_ci) * _side(self.uncapped_ci) < 0

    @property
    def margin(self) -> float:
        """The worst relative change that is accepted; nan for a metric that is no guardrail."""
        return self.metric.margin if self.metric.role == "guardrail" else math.nan

    def without_numbers(self, reason: str, **changes: Any) -> "Effect":
        """The effect as undefined, and why."""
        kept = ["metric", "comparison", "method", "alpha", "n_control", "n_treatment", "same_users"]
        kept += ["control", "treatment"]
        return Effect(**{name: getattr(self, name) for name in kept} | changes, reason=reason)


def _side(ci: Interval) -> int:
    """Side of zero on which the whole interval lies; 0 where it covers zero, or is not defined."""
    return int(ci[0] > 0) - int(ci[1] < 0)
