"""The click model: what of a slate is examined and clicked, drawn one by one or as an exact CTR.

Position-based model (Craswell et al. 2008): P(click at position k) = k^-decay x P(click | examined).
"""

from dataclasses import dataclass

import numpy as np

from recab_helpers.randomness import id_keys, uniform
from recab_helpers.simulation.traffic import Traffic


@dataclass(frozen=True, kw_only=True)
class PositionModel:
    """How slates become clicks; `p_click` everywhere is P(click | examined), one row a slate, best position first."""

    decay: float = 1.0  # P(examined) at position k is k^-decay
    fatigue: float = 1.0  # factor on P(click) with each further session of a user; 1 is none

    def p_examine(self, slate_size: int) -> np.ndarray:
        """P(examined) per position, shape (slate_size,)."""
        return np.arange(1.0, slate_size + 1) ** -self.decay

    def draw(
        self, p_click: np.ndarray, user_ids: np.ndarray, row: np.ndarray, session: np.ndarray, *, seed: int | str
    ) -> np.ndarray:
        """Clicks of sessions, True or False in the shape of `p_click`, (n_sessions, slate_size).

        Session i is the user's `session[i]`-th (from 0), the user being `user_ids[row[i]]`. A draw depends on the
        seed, the user, the session and the position only.
        """
        slate_size = p_click.shape[1]
        at = session[:, None], np.arange(1, slate_size + 1)
        examine, click = (id_keys(user_ids, f"{seed} {purpose}")[row][:, None] for purpose in ("examine", "click"))
        examined = uniform(examine, *at) < self.p_examine(slate_size)
        return examined & (uniform(click, *at) < p_click * self.fatigue ** session[:, None])

    def true_ctr(self, p_click: np.ndarray, traffic: Traffic) -> float:
        """Exact CTR when every user always gets this slate; `p_click` has shape (n_users, slate_size).

        The population is these users with their session rates: expected clicks over expected impressions.
        """
        slate_size = p_click.shape[1]
        clicks = traffic.discounted_sessions(self.fatigue) @ (p_click @ self.p_examine(slate_size))
        return float(clicks / (slate_size * traffic.session_rate.sum()))
