"""What lift a test of this size finds, and the users it would take to find another."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.statistics import normal_critical


def mde(effect: Effect, *, power: float = 0.8) -> float:
    """Smallest lift that this test finds with the given power: (z(1 - alpha/2) + z(power)) x se / control.

    Normal approximation, two-sided, at the level of the effect's interval; a fraction of the control value; nan where
    the effect has none. Of an effect that is a lift and no difference, the error of its logarithm takes the place of
    se / control.

    >>> from recab_helpers.analysis import estimate, mean_of
    >>> from recab_helpers.impressions import SufficientStatistics
    >>> users = SufficientStatistics(n=1000, columns=("clicks",), mean=np.array([2.0]), cov=np.array([[4.0]]))
    >>> f"{mde(estimate(mean_of('clicks'), users, users)):.1%}"
    '12.5%'
    """
    if not effect.control > 0:
        return math.nan
    relative = effect.log_se if math.isnan(effect.se) else effect.se / effect.control
    return (normal_critical(effect.alpha / 2) + normal_critical(1 - power)) * relative


def users_for_lift(effect: Effect, lift: float, *, power: float = 0.8) -> float:
    """Users, all variants together, that would find `lift` with the given power: n (MDE / lift)^2."""
    return effect.n * (mde(effect, power=power) / lift) ** 2 if lift else math.inf


POWER_COLUMNS = {
    "metric": "label of the metric",
    "variant": "the treatment",
    "against": "what it is held against",
    "users": "users of both variants",
    "mde": "smallest lift that is found with the wanted power, a fraction",
    "users_for_estimate": "users that would find a lift as large as the estimate",
    "variance_reduction": "share of variance that CUPED removed",
}


def power_table(effects: list[Effect], *, power: float = 0.8) -> pd.DataFrame:
    """MDE reached by every metric that has a lift, and the users that its estimate would take: POWER_COLUMNS."""
    rows = [
        {
            "metric": e.metric.label,
            "variant": e.comparison.variant,
            "against": e.comparison.against,
            "users": e.n,
            "mde": mde(e, power=power),
            "users_for_estimate": users_for_lift(e, e.lift, power=power),
            "variance_reduction": e.variance_reduction,
        }
        for e in effects
        if e.defined
    ]
    return pd.DataFrame(rows, columns=list(POWER_COLUMNS))


def power_by_lift(effects: list[Effect], *, points: int = 61) -> pd.DataFrame:
    """Chance that this test finds each true lift of the goal; index lift, column power. Empty without a goal lift.

    Of several comparisons, the least precise. Normal approximation, two-sided; lifts from 0 to 1.5 times the one that
    is found 9 times in 10.
    """
    goals = [e for e in effects if e.metric.role == "goal" and e.defined]
    if not goals:
        return pd.DataFrame({"power": []}, index=pd.Index([], name="lift"))
    worst = max(goals, key=lambda e: e.se / e.control)
    z, se = stats.norm.isf(worst.alpha / 2), worst.se / worst.control
    lifts = np.linspace(0, 1.5 * (z + stats.norm.isf(0.1)) * se, points)
    power = stats.norm.sf(z - lifts / se) + stats.norm.sf(z + lifts / se)
    return pd.DataFrame({"power": power}, index=pd.Index(lifts, name="lift"))
