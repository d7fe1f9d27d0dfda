"""When users come, what they examine and click, and the exact true CTR of a policy.

Position-based click model (Craswell et al. 2008): P(click at position k) = k^-decay x P(click | examined).
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import gamma, poisson

from recab_helpers.randomness import id_keys, uniform

ACTIVITY_SHAPE = 0.7  # gamma shape of session rates: a few users come often (Ehrenberg 1959)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """How users behave over the test, whatever they are shown."""

    session_rate: np.ndarray  # (n_users,) expected sessions over the horizon
    horizon_days: int
    slate_size: int
    examination_decay: float
    fatigue: float  # factor on P(click) with each further session of a user; 1 is none

    @property
    def p_examine(self) -> np.ndarray:
        """P(examined) per position, shape (slate_size,)."""
        return np.arange(1.0, self.slate_size + 1) ** -self.examination_decay

    def effective_sessions(self) -> np.ndarray:
        """Expected sum of fatigue^(s-1) over a user's sessions s; the session rate when there is no fatigue.

        E[(1 - f^S) / (1 - f)] for S ~ Poisson(rate), in closed form.
        """
        if self.fatigue == 1:
            return self.session_rate
        return -np.expm1(-self.session_rate * (1 - self.fatigue)) / (1 - self.fatigue)

    def true_ctr(self, p_click: np.ndarray) -> float:
        """Exact CTR of slates with these P(click | examined), shape (n_users, slate_size).

        The population is these users with their session rates: expected clicks over expected impressions.
        """
        clicks = self.effective_sessions() @ (p_click @ self.p_examine)
        return float(clicks / (self.slate_size * self.session_rate.sum()))


def draw_session_rates(user_ids: np.ndarray, *, mean: float, seed: int) -> np.ndarray:
    """Gamma session rates with the given mean, one per user id."""
    draw = uniform(id_keys(user_ids, f"{seed} rate"))
    return gamma.ppf(draw, ACTIVITY_SHAPE, scale=mean / ACTIVITY_SHAPE)


def draw_session_counts(user_ids: np.ndarray, rate: np.ndarray, *, seed: int | str) -> np.ndarray:
    """Poisson number of sessions per user over the horizon."""
    return poisson.ppf(uniform(id_keys(user_ids, f"{seed} sessions")), rate).astype(np.int64)
