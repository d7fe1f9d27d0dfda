"""Two models and their users, drawn as thousands of small tests: sessions as arrays, and the exact truth of a design.

Nothing is served or logged: a test is some users of the population, drawn with replacement, and their clicks. Users are
units of their own, so that intervals may be graded as if the population were without end; its exact CTR is the truth.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from recab_helpers.simulation.clicks import CascadeModel, PositionModel
from recab_helpers.simulation.interleaving import team_draft
from recab_helpers.simulation.serving import Test

Design = Literal["users", "sessions", "interleaved"]


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Sessions of one drawn test; a user is a number from 0, and comes at least once.

    `user`, (n_sessions,), ascending; `arm` 0 for control and 1 for treatment, by session, or by item of interleaved
    slates, (n_sessions, k); `clicked` (n_sessions, k); `of`, (n_users,), which user of the population each is;
    `pre_clicks` and `pre_impressions`, (n_users,), of the period before.
    """

    user: np.ndarray
    arm: np.ndarray
    clicked: np.ndarray
    of: np.ndarray
    pre_clicks: np.ndarray
    pre_impressions: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Control's and the treatment's slates of every user of a population, and how likely each item is clicked.

    `items` and `p_click` have shape (2, n_users, k); `clicks` is the click model.
    """

    items: np.ndarray
    p_click: np.ndarray
    rate: np.ndarray  # (n_users,) sessions of a test
    p_before: np.ndarray  # (n_users, k) of control's slate, in the period before
    rate_before: np.ndarray
    clicks: PositionModel | CascadeModel

    @classmethod
    def of(cls, test: Test) -> "Pair":
        """The first two variants of a simulated test."""
        assert isinstance(test.clicks, (PositionModel, CascadeModel))
        return cls(
            items=np.stack([v.items for v in test.variants[:2]]),
            p_click=np.stack([v.p_click for v in test.variants[:2]]),
            rate=test.traffic.session_rate,
            p_before=test.before.p_click,
            rate_before=test.before.session_rate,
            clicks=test.clicks,
        )

    @property
    def k(self) -> int:
        """Items of a slate."""
        return self.items.shape[2]

    def with_clicks(self, clicks: PositionModel | CascadeModel) -> "Pair":
        """The same users and slates, whose clicks follow another model."""
        return replace(self, clicks=clicks)

    def places(self) -> np.ndarray:
        """Where each item of both slates stands in control's and in the treatment's, from 1, 0 for not at all.

        Shape (2, n_users, k, 2): by slate, user, position and which slate's place.
        """
        found = np.empty((*self.items.shape, 2), dtype=np.int16)
        for shown in (0, 1):
            for there in (0, 1):
                same = self.items[shown][:, :, None] == self.items[there][:, None, :]
                found[shown, :, :, there] = np.where(same.any(axis=2), same.argmax(axis=2) + 1, 0)
        return found

    def overlap(self) -> np.ndarray:
        """Items that both slates of a user share, (n_users,)."""
        return (self.places()[0, :, :, 1] > 0).sum(axis=1)

    def ctr(self) -> np.ndarray:
        """Exact CTR of control and of the treatment, (2,)."""
        each = [self.rate @ _expected(p, self.clicks).sum(axis=1) for p in self.p_click]
        return np.array(each) / (self.k * self.rate.sum())

    def drafted(self) -> tuple[float, float]:
        """Exactly, over all coins: the share of clicks on the treatment's picks in team drafts, and their CTR."""
        by_team = np.zeros(2)
        rounds = (self.k + 1) // 2
        for coins in product((False, True), repeat=rounds):
            heads = np.tile(coins, (len(self.rate), 1))
            team, p = self._draft(np.arange(len(self.rate)), heads)
            clicks = self.rate[:, None] * _expected(p, self.clicks)
            by_team += [clicks[team == 0].sum(), clicks[team == 1].sum()]
        shown = 2.0**rounds * self.k * self.rate.sum()
        return float(by_team[1] / by_team.sum()), float(by_team.sum() / shown)

    def draw(self, n: int, design: Design, rng: np.random.Generator, *, treated: float = 0.5) -> Sessions:
        """A test of `n` users drawn with replacement; of them, those who come.

        `treated` is the chance of a user, or of a session, to be in treatment.
        """
        of = rng.integers(len(self.rate), size=n)
        count = rng.poisson(self.rate[of])
        of, count = of[count > 0], count[count > 0]
        user = np.repeat(np.arange(len(of)), count)
        who = of[user]
        if design == "interleaved":
            heads = rng.random((len(who), (self.k + 1) // 2)) < 0.5
            arm, p = self._draft(who, heads)
        else:
            arm = (rng.random(len(of)) < treated)[user] if design == "users" else rng.random(len(who)) < treated
            arm = arm.astype(np.int64)
            p = self.p_click[arm, who]
        before = rng.poisson(self.rate_before[of])
        row = np.repeat(np.arange(len(of)), before)
        clicked_before = _drawn(self.p_before[of[row]], self.clicks, rng).sum(axis=1)
        return Sessions(
            user=user,
            arm=arm,
            clicked=_drawn(p, self.clicks, rng),
            of=of,
            pre_clicks=np.bincount(row, clicked_before, len(of)),
            pre_impressions=before * self.k,
        )

    def _draft(self, who: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Team of every item of a draft for these users, and its chance of a click, (len(who), k) each."""
        team, place = team_draft(self.items[0, who], self.items[1, who], heads)
        return team, self.p_click[team, who[:, None], place]


def _expected(p: np.ndarray, clicks: PositionModel | CascadeModel) -> np.ndarray:
    """Expected clicks by position of a slate of a first session, in the shape of `p`."""
    if isinstance(clicks, PositionModel):
        return p * clicks.p_examine(p.shape[1])
    goes_on = clicks.after_none * (1 - p) + clicks.after_click * p
    examined = np.cumprod(np.hstack([np.ones((len(p), 1)), goes_on[:, :-1]]), axis=1)
    return examined * p


def _drawn(p: np.ndarray, clicks: PositionModel | CascadeModel, rng: np.random.Generator) -> np.ndarray:
    """Clicks of slates, True or False in the shape of `p`; sessions of a user are alike (no fatigue)."""
    if isinstance(clicks, PositionModel):
        return rng.random(p.shape) < p * clicks.p_examine(p.shape[1])
    would = rng.random(p.shape) < p
    goes_on = rng.random(p.shape) < np.where(would, clicks.after_click, clicks.after_none)
    examined = np.ones_like(would)
    examined[:, 1:] = np.logical_and.accumulate(goes_on, axis=1)[:, :-1]
    return examined & would
