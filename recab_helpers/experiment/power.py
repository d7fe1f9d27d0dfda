"""What lift a test of this size finds, and the users it would take to find another."""

import math

import numpy as np
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


def power_by_lift(effects: list[Effect], *, alpha: float = 0.05, points: int = 61) -> pd.DataFrame:
    """Chance that this test finds each true lift of the goal, from zero to 1.5 times the lift found 9 times in 10.

    Index lift; one column per comparison that has a lift. Normal approximation, two-sided.
    """
    goals = {e.comparison: e.se / e.control for e in effects if e.role == "goal" and math.isfinite(e.lift)}
    z = stats.norm.isf(alpha / 2)
    lifts = np.linspace(0, 1.5 * (z + stats.norm.isf(0.1)) * max(goals.values(), default=0.0), points)
    curves = {c: stats.norm.sf(z - lifts / se) + stats.norm.sf(z + lifts / se) for c, se in goals.items()}
    return pd.DataFrame(curves, index=pd.Index(lifts, name="lift"))
