"""When users come, whatever they are shown."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import gamma, poisson

from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.randomness import id_keys, uniform


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Sessions of the users over the days of the test."""

    session_rate: np.ndarray  # (n_users,) expected sessions over the horizon
    horizon_days: int

    def chance_of_session(self, number: int) -> np.ndarray:
        """P(the user has more than `number` sessions), (n_users,)."""
        return poisson.sf(number, self.session_rate)

    def discounted_sessions(self, factor: float) -> np.ndarray:
        """Expected sum of factor^(s-1) over a user's sessions s, (n_users,); the session rate when the factor is 1.

        E[(1 - f^S) / (1 - f)] for S ~ Poisson(rate), in closed form.
        """
        if factor == 1:
            return self.session_rate
        return -np.expm1(-self.session_rate * (1 - factor)) / (1 - factor)


def draw_session_rates(user_ids: np.ndarray, *, seed: int) -> np.ndarray:
    """Gamma session rates of MEAN_SESSIONS on average, one per user id."""
    draw = uniform(id_keys(user_ids, f"{seed} rate"))
    return gamma.ppf(draw, ACTIVITY_SHAPE, scale=MEAN_SESSIONS / ACTIVITY_SHAPE)


def draw_session_counts(user_ids: np.ndarray, rate: np.ndarray, *, seed: int | str) -> np.ndarray:
    """Poisson number of sessions per user over the horizon."""
    return poisson.ppf(uniform(id_keys(user_ids, f"{seed} sessions")), rate).astype(np.int64)
