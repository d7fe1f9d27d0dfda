"""Click models: what of a slate is examined and clicked, drawn one by one or as an exact CTR.

`p_click` everywhere is P(click | examined), one row a slate, best position first.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recab_helpers.randomness import id_keys, uniform
from recab_helpers.simulation.traffic import Traffic


class ClickModel(Protocol):
    """How slates become clicks."""

    def draw(
        self, p_click: np.ndarray, user_ids: np.ndarray, row: np.ndarray, session: np.ndarray, *, seed: int | str
    ) -> np.ndarray:
        """Clicks of sessions, True or False in the shape of `p_click`, (n_sessions, slate_size).

        Session i is the user's `session[i]`-th (from 0), the user being `user_ids[row[i]]`. A draw depends on the
        seed, the user, the session and the position only.
        """
        ...

    def true_ctr(self, p_click: np.ndarray, traffic: Traffic) -> float:
        """Exact CTR when every user always gets this slate; `p_click` has shape (n_users, slate_size).

        The population is these users with their session rates: expected clicks over expected impressions.
        """
        ...


def click_model(name: str, *, fatigue: float) -> ClickModel:
    """The click model of that name."""
    return PositionModel(fatigue=fatigue) if name == "position" else CascadeModel(fatigue=fatigue)


@dataclass(frozen=True, kw_only=True)
class PositionModel:
    """Position-based model (Craswell et al. 2008): P(click at position k) = k^-decay x P(click | examined)."""

    decay: float = 1.0  # P(examined) at position k is k^-decay
    fatigue: float = 1.0  # factor on P(click) with each further session of a user; 1 is none

    def p_examine(self, slate_size: int) -> np.ndarray:
        """P(examined) per position, shape (slate_size,)."""
        return np.arange(1.0, slate_size + 1) ** -self.decay

    def draw(
        self, p_click: np.ndarray, user_ids: np.ndarray, row: np.ndarray, session: np.ndarray, *, seed: int | str
    ) -> np.ndarray:
        """One draw decides examination and liking together."""
        chance = p_click * self.p_examine(p_click.shape[1])
        if self.fatigue != 1:
            chance *= self.fatigue ** session[:, None]
        return _draw("click", p_click, user_ids, row, session, seed) < chance

    def true_ctr(self, p_click: np.ndarray, traffic: Traffic) -> float:
        """Clicks are linear in the chances, so that fatigue only discounts the sessions."""
        slate_size = p_click.shape[1]
        clicks = traffic.discounted_sessions(self.fatigue) @ (p_click @ self.p_examine(slate_size))
        return float(clicks / (slate_size * traffic.session_rate.sum()))


@dataclass(frozen=True, kw_only=True)
class CascadeModel:
    """Cascade with persistence (Guo et al., click chain model, WWW 2009): the next position is examined more seldom
    after a click than without one, and nothing is examined below a position that was not."""

    after_none: float = 0.8  # P(next position examined | this one examined, not clicked)
    after_click: float = 0.4  # the same after a click
    fatigue: float = 1.0  # factor on P(click) with each further session of a user; 1 is none

    def draw(
        self, p_click: np.ndarray, user_ids: np.ndarray, row: np.ndarray, session: np.ndarray, *, seed: int | str
    ) -> np.ndarray:
        """The draw of examination at a position says whether the user goes on to the next."""
        go_on, click = (_draw(purpose, p_click, user_ids, row, session, seed) for purpose in ("examine", "click"))
        would_click = click < p_click * self.fatigue ** session[:, None]
        goes_on = go_on < np.where(would_click, self.after_click, self.after_none)
        examined = np.ones_like(would_click)
        examined[:, 1:] = np.logical_and.accumulate(goes_on, axis=1)[:, :-1]
        return examined & would_click

    def clicks(self, p_click: np.ndarray) -> np.ndarray:
        """Expected clicks of a slate, (n_slates,), by recursion over its positions.

        P(examine k + 1) = P(examine k) [after_none (1 - p_k) + after_click p_k].
        """
        goes_on = self.after_none * (1 - p_click) + self.after_click * p_click
        examined = np.cumprod(np.hstack([np.ones((len(p_click), 1)), goes_on[:, :-1]]), axis=1)
        return (examined * p_click).sum(axis=1)

    def true_ctr(self, p_click: np.ndarray, traffic: Traffic) -> float:
        """Summed over sessions where fatigue makes each another: the s-th comes with P(sessions >= s)."""
        shown = p_click.shape[1] * traffic.session_rate.sum()
        if self.fatigue == 1:
            return float(traffic.session_rate @ self.clicks(p_click) / shown)
        total, session = 0.0, 0
        while (chance := traffic.chance_of_session(session)).max() > TAIL:
            total += chance @ self.clicks(p_click * self.fatigue**session)
            session += 1
        return float(total / shown)


TAIL = 1e-12  # chance of a further session that an exact sum leaves out


def _draw(purpose: str, p_click, user_ids, row, session, seed) -> np.ndarray:
    """A uniform draw for every position of every session, in the shape of `p_click`."""
    keys = id_keys(user_ids, f"{seed} {purpose}")[row][:, None]
    return uniform(keys, session[:, None], np.arange(1, p_click.shape[1] + 1))
