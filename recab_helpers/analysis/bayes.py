"""A Bayesian reading of the same estimates: the chance to be better, and the loss expected if it is not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import optimize, stats

from recab_helpers.analysis.effect import Effect
from recab_helpers.assumptions import PRIOR_SD

ENOUGH_TESTS = 10  # past tests from which a prior is fitted
LEAST_SD = 1e-3  # of a prior: past lifts that are alike do not prove that the next one is zero
BAYES_COLUMNS = {
    "metric": "label of the metric",
    "variant": "the treatment",
    "against": "what it is held against",
    "chance_to_be_better": "P(lift > 0) in the metric's good direction",
    "false_positive_risk": "least chance that there is no effect, were that as likely as one before the test",
    "shrunken_lift": "median of the posterior of the lift, in the metric's good direction",
    "loss_if_shipped": "expected lift lost by shipping a worse treatment",
    "loss_if_kept": "expected lift forgone by keeping control",
    "low": "low end of the central 95% credible interval of the lift",
    "high": "high end of it",
}


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Normal(0, sd^2) prior of log(1 + lift); `tests` counts the past tests that it was fitted to, 0 where stated."""

    sd: float = PRIOR_SD
    tests: int = 0


def fit_prior(log_lifts: Sequence[float] | np.ndarray, se: Sequence[float] | np.ndarray) -> Prior:
    """The spread of true log(1 + lift) that past estimates with these standard errors show; shapes (n,) and (n,).

    The equation of Paule and Mandel (1982), sum lift^2 / (se^2 + sd^2) = n, for a mean of zero: which variant is
    control is a convention. The stated prior where there are fewer than ENOUGH_TESTS; never below LEAST_SD.

    >>> fit_prior([0.1, -0.1] * 10, [0.01] * 20)
    Prior(sd=0.0994..., tests=20)
    """
    y, se = np.asarray(log_lifts, dtype=float), np.asarray(se, dtype=float)
    usable = np.isfinite(y) & np.isfinite(se) & (se > 0)
    y, variance, n = y[usable] ** 2, se[usable] ** 2, int(usable.sum())
    if n < ENOUGH_TESTS:
        return Prior()

    def excess(spread: float) -> float:
        return float((y / (variance + spread)).sum()) - n

    least = LEAST_SD**2
    spread = least if excess(least) <= 0 else optimize.brentq(excess, least, float(y.sum()) + least, xtol=1e-15)
    return Prior(sd=math.sqrt(spread), tests=n)


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Normal posterior of a lift (a fraction), or of log(1 + lift), under a stated Normal(0, prior_sd^2) prior."""

    mean: float
    sd: float
    prior_sd: float
    log_scale: bool = False

    @property
    def chance_to_be_better(self) -> float:
        """P(lift > 0)."""
        return float(stats.norm.sf(0, self.mean, self.sd))

    def expected_loss(self, *, ship: bool) -> float:
        """Mean lift forgone by shipping a worse treatment, or by keeping control when it is worse."""
        if self.log_scale:
            sign = 1 if ship else -1  # E max(0, 1 - e^x) or E max(0, e^x - 1), in closed form
            below = stats.norm.cdf(-sign * self.mean / self.sd)
            tilted = stats.norm.cdf(-sign * (self.mean + self.sd**2) / self.sd)
            return float(sign * (below - math.exp(self.mean + self.sd**2 / 2) * tilted))
        mean = self.mean if ship else -self.mean
        z = mean / self.sd
        return float(self.sd * stats.norm.pdf(z) - mean * stats.norm.sf(z))

    @property
    def median(self) -> float:
        """Median of the lift: the estimate, shrunken to zero."""
        return math.expm1(self.mean) if self.log_scale else self.mean

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Central credible interval of the lift."""
        low, high = (float(end) for end in stats.norm.interval(level, self.mean, self.sd))
        return (math.expm1(low), math.expm1(high)) if self.log_scale else (low, high)


def posterior(lift: float, se: float, *, prior_sd: float = PRIOR_SD) -> Posterior:
    """Combine a normal estimate of a lift with the prior; an infinite prior_sd is the flat prior.

    Raises:
        ValueError: a standard error or prior that is not positive.
    """
    if not (se > 0 and prior_sd > 0):
        raise ValueError(f"se is {se} and prior_sd {prior_sd}; both must be above 0.")
    weight = 1.0 if math.isinf(prior_sd) else prior_sd**2 / (prior_sd**2 + se**2)
    return Posterior(mean=weight * lift, sd=math.sqrt(weight) * se, prior_sd=prior_sd)


def posterior_of(effect: Effect, *, prior_sd: float = PRIOR_SD) -> Posterior | None:
    """The posterior of an effect's lift in its good direction, on the log scale of its interval; None if undefined."""
    if not effect.log_se > 0:
        return None
    log_ratio = effect.metric.direction * math.log1p(effect.lift)
    return replace(posterior(log_ratio, effect.log_se, prior_sd=prior_sd), log_scale=True)


def false_positive_risk(p: float) -> float:
    """Least chance that there is no effect, given this p, were both as likely before the test.

    From the bound -e p log(p) on the odds that any prior of the effect gives (Sellke, Bayarri and Berger 2001). From
    p = 1/e on, nothing is learned.

    >>> round(false_positive_risk(0.05), 3), round(false_positive_risk(0.005), 3)
    (0.289, 0.067)
    """
    if math.isnan(p):
        return math.nan
    odds = -math.e * p * math.log(p) if 0 < p < 1 / math.e else float(p > 0)
    return odds / (1 + odds)


def bayes_table(effects: list[Effect], prior: Prior = Prior()) -> pd.DataFrame:  # it is frozen
    """Every defined goal and secondary lift read the Bayesian way, as BAYES_COLUMNS says."""
    rows = [
        (
            e.metric.label,
            e.comparison.variant,
            e.comparison.against,
            reading.chance_to_be_better,
            false_positive_risk(e.p_value),
            reading.median,
            reading.expected_loss(ship=True),
            reading.expected_loss(ship=False),
            *reading.interval(),
        )
        for e in effects
        if e.metric.role in ("goal", "secondary") and (reading := posterior_of(e, prior_sd=prior.sd))
    ]
    return pd.DataFrame(rows, columns=list(BAYES_COLUMNS))
