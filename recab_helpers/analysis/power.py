"""What lift a test of this size finds, and the users it would take to find another."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.analysis.effects import Effect


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


def alpha_of(effect: Effect, effects: list[Effect], alpha: float) -> float:
    """The level that the effect's interval has: several treatments share alpha on a goal metric (Bonferroni)."""
    return alpha / max(1, sum(e.role == "goal" and e.metric == effect.metric for e in effects))


def power_table(effects: list[Effect], *, alpha: float = 0.05, power: float = 0.8) -> pd.DataFrame:
    """MDE reached by every metric that has a lift, and the users that its estimate would take; index metric."""
    rows = []
    for e in effects:
        if math.isfinite(e.lift):
            design = {"alpha": alpha_of(e, effects, alpha), "power": power}
            row = {"metric": e.label, "comparison": e.comparison, "users": e.n_control + e.n_treatment}
            row |= {"mde": mde(e, **design), "users_for_estimate": users_for_lift(e, e.lift, **design)}
            rows.append(row | {"variance_reduction": e.variance_reduction})
    names = ["metric", "comparison", "users", "mde", "users_for_estimate", "variance_reduction"]
    return pd.DataFrame(rows, columns=names).set_index("metric")


def power_by_lift(effects: list[Effect], *, alpha: float = 0.05, points: int = 61) -> pd.DataFrame:
    """Chance that this test finds each true lift of the goal; index lift, column power. Empty without a goal lift.

    Of several comparisons, the least precise. Normal approximation, two-sided; lifts from 0 to 1.5 times the one that
    is found 9 times in 10.
    """
    goals = [e for e in effects if e.role == "goal" and math.isfinite(e.lift)]
    if not goals:
        return pd.DataFrame({"power": []}, index=pd.Index([], name="lift"))
    worst = max(goals, key=lambda e: e.se / e.control)
    z, se = stats.norm.isf(alpha_of(worst, effects, alpha) / 2), worst.se / worst.control
    lifts = np.linspace(0, 1.5 * (z + stats.norm.isf(0.1)) * se, points)
    power = stats.norm.sf(z - lifts / se) + stats.norm.sf(z + lifts / se)
    return pd.DataFrame({"power": power}, index=pd.Index(lifts, name="lift"))
