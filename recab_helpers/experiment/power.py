"""What lift a test of this size finds, and the users it would take to find another."""

import math

import pandas as pd
from scipy import stats

from recab_helpers.experiment.effects import Effect


def mde(effect: Effect, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest lift that this test finds with the given power: (z(1 - alpha/2) + z(power)) x se / control.

    Normal approximation, two-sided; a fraction of the control value; nan where the effect has none.
    """
    if not effect.control > 0:
        return math.nan
    return (stats.norm.isf(alpha / 2) + stats.norm.isf(1 - power)) * effect.se / effect.control


def users_for_lift(effect: Effect, lift: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Users, all variants together, that would find `lift` with the given power: n (MDE / lift)^2."""
    n = effect.n_control + effect.n_treatment
    return n * (mde(effect, alpha=alpha, power=power) / lift) ** 2 if lift else math.inf


def power_table(effects: list[Effect], *, alpha: float = 0.05, power: float = 0.8) -> pd.DataFrame:
    """MDE reached by every metric that has a lift, and the users that its estimate would take; index metric."""
    rows = [
        {
            "metric": e.label,
            "comparison": e.comparison,
            "users": e.n_control + e.n_treatment,
            "mde": mde(e, alpha=alpha, power=power),
            "users_for_estimate": users_for_lift(e, e.lift, alpha=alpha, power=power),
            "variance_reduction": e.variance_reduction,
        }
        for e in effects
        if math.isfinite(e.lift)
    ]
    names = ["metric", "comparison", "users", "mde", "users_for_estimate", "variance_reduction"]
    return pd.DataFrame(rows, columns=names).set_index("metric")
