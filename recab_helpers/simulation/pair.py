"""Two models and their users, drawn as thousands of small tests: sessions as arrays, and the exact truth of a design.

Nothing is served or logged: a test is some users of the population, drawn with replacement, and their clicks. Users are
units of their own, so that intervals may be graded as if the population were without end; its exact CTR is the truth.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from recab_helpers.simulation.clicks import CascadeModel, PositionModel
from recab_helpers.simulation.interleaving import team_draft
from recab_helpers.simulation.serving import Exploration, Test

ROUNDS = 8  # of a draft, whose coins are all gone through
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
class Explored:
    """Sessions of control, a share of them with a random slate, and what a log of them tells of the treatment.

    A row is a random session, or all others of a user, which show the same: `user`, (n_rows,), a number from 0,
    `sessions`, how many they are, and `after`, the clicks below the first position in those where that was clicked.
    By shown item, (n_rows, k): its code, its clicks, the chance that it was shown at its position, whether control has
    it there, and where it stands in the treatment's slate, from 1, 0 for not at all; `target`, (n_users, k), item codes
    of the treatment's slates.
    """

    user: np.ndarray
    sessions: np.ndarray
    after: np.ndarray
    items: np.ndarray
    clicked: np.ndarray
    propensity: np.ndarray
    home: np.ndarray
    there: np.ndarray
    target: np.ndarray


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
    exploration: Exploration | None = None  # what control's sessions may show at random

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
            exploration=test.exploration,
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
                found[shown, :, :, there] = _places(self.items[shown], self.items[there])
        return found

    def overlap(self) -> np.ndarray:
        """Items that both slates of a user share, (n_users,)."""
        return (self.places()[0, :, :, 1] > 0).sum(axis=1)

    def ctr(self) -> np.ndarray:
        """Exact CTR of control and of the treatment, (2,)."""
        each = [self.rate @ _expected(p, self.clicks).sum(axis=1) for p in self.p_click]
        return np.array(each) / (self.k * self.rate.sum())

    def drafted(self) -> tuple[float, float]:
        """The share of clicks on the treatment's picks in team drafts, and their CTR; exact up to 16 items.

        Of longer slates the coins are drawn, for every user anew, each with its opposite.
        """
        by_team, passes = np.zeros(2), 0
        for heads in self._coins():
            passes += 1
            team, p = self._draft(np.arange(len(self.rate)), heads)
            clicks = self.rate[:, None] * _expected(p, self.clicks)
            by_team += [clicks[team == 0].sum(), clicks[team == 1].sum()]
        shown = passes * self.k * self.rate.sum()
        return float(by_team[1] / by_team.sum()), float(by_team.sum() / shown)

    def _coins(self) -> Iterator[np.ndarray]:
        """Coins of team drafts, (n_users, rounds): all there are, or some and their opposites."""
        shape = (len(self.rate), (self.k + 1) // 2)
        if shape[1] <= ROUNDS:
            yield from (np.broadcast_to(coins, shape) for coins in product((False, True), repeat=shape[1]))
            return
        rng = np.random.default_rng(0)
        for _ in range(2 ** (ROUNDS - 1)):
            heads = rng.random(shape) < 0.5
            yield heads
            yield ~heads

    def explored_ctr(self) -> float:
        """Exact CTR of control whose sessions show random slates as often as `exploration` says."""
        e = self._explores()
        clicks = _expected_at_random(np.where(e.items < 0, np.nan, e.p_click), self.k, self.clicks)
        at_random = self.rate @ clicks / (self.k * self.rate.sum())
        return float((1 - e.share) * self.ctr()[0] + e.share * at_random)

    def draw(self, n: int, design: Design, rng: np.random.Generator, *, treated: float = 0.5) -> Sessions:
        """A test of `n` users drawn with replacement; of them, those who come.

        `treated` is the chance of a user, or of a session, to be in treatment.
        """
        of, count = self._come(n, rng)
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

    def explore(self, n: int, rng: np.random.Generator) -> Explored:
        """`n` users drawn with replacement, of them those who come, all with control or, by a coin, a random slate."""
        e = self._explores()
        of, count = self._come(n, rng)
        at_random = rng.binomial(count, e.share)
        lucky, usual = np.repeat(np.arange(len(of)), at_random), np.flatnonzero(count > at_random)
        order = np.where(e.items[of[lucky]] < 0, 2.0, rng.random((len(lucky), e.items.shape[1])))
        pick = np.argsort(order, axis=1)[:, : self.k]
        user, times = np.concatenate([lucky, usual]), (count - at_random)[usual]
        who = of[user]
        items = np.vstack([np.take_along_axis(e.items[of[lucky]], pick, axis=1), self.items[0, of[usual]]])
        p = np.take_along_axis(e.p_click[of[lucky]], pick, axis=1)
        once = _drawn(p, self.clicks, rng)
        often, after = _drawn_often(self.p_click[0, of[usual]], times, self.clicks, rng)
        home = _places(items, self.items[0, who]) == np.arange(1, self.k + 1)
        return Explored(
            user=user,
            sessions=np.concatenate([np.ones(len(lucky), dtype=np.int64), times]),
            after=np.concatenate([once[:, 0] * once[:, 1:].sum(axis=1), after]),
            items=items,
            clicked=np.vstack([once, often]),
            propensity=e.share / (e.items[of] >= 0).sum(axis=1)[user, None] + (1 - e.share) * home,
            home=home,
            there=_places(items, self.items[1, who]),
            target=self.items[1, of],
        )

    def _explores(self) -> Exploration:
        assert self.exploration is not None
        return self.exploration

    def _come(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Which users of the population those of `n` are who come, and how many sessions each has."""
        of = rng.integers(len(self.rate), size=n)
        count = rng.poisson(self.rate[of])
        return of[count > 0], count[count > 0]

    def _draft(self, who: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Team of every item of a draft for these users, and its chance of a click, (len(who), k) each."""
        team, place = team_draft(self.items[0, who], self.items[1, who], heads)
        return team, self.p_click[team, who[:, None], place]


def _places(shown: np.ndarray, slates: np.ndarray) -> np.ndarray:
    """Where each shown item stands in a slate, from 1, 0 for not at all; rows are slates of k items."""
    same = shown[:, :, None] == slates[:, None, :]
    return np.where(same.any(axis=2), same.argmax(axis=2) + 1, 0).astype(np.int16)


def _expected_at_random(p: np.ndarray, k: int, clicks: PositionModel | CascadeModel) -> np.ndarray:
    """Expected clicks of a slate of k candidates drawn at random, all orders alike, (n,); `p`, (n, m), nan for none.

    Under the cascade the mean over all draws grows by one candidate at a time: it is none of the first j of a slate,
    one that was gone past, or the j-th itself.
    """
    if isinstance(clicks, PositionModel):
        return np.nanmean(p, axis=1) * clicks.p_examine(k).sum()
    j = np.arange(k + 1)
    passed, ends = np.zeros((2, len(p), k + 1))  # means of the chances to go past j, and past j - 1 to click the j-th
    passed[:, 0] = 1
    for n, of in enumerate(p.T, 1):
        there, of = ~np.isnan(of)[:, None], np.nan_to_num(of)[:, None]
        goes_on = clicks.after_none * (1 - of) + clicks.after_click * of
        before, ended = (np.pad(x[:, :-1], ((0, 0), (1, 0))) for x in (passed, ends))
        more = ((n - j) * ends + of * before + np.maximum(j - 1, 0) * goes_on * ended) / n
        ends = np.where(there, more, ends)
        passed = np.where(there, ((n - j) * passed + j * goes_on * before) / n, passed)
    return ends.sum(axis=1)


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


def _drawn_often(
    p: np.ndarray, times: np.ndarray, clicks: PositionModel | CascadeModel, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """How often each item of a slate is clicked in so many sessions that show it, in the shape of `p`.

    Also the clicks below the first item in those sessions where that was clicked, (len(p),).
    """
    if isinstance(clicks, PositionModel):  # a click says nothing of the others, so that sessions are drawn in two lots
        chance = p * clicks.p_examine(p.shape[1])
        top = rng.binomial(times, chance[:, 0])
        with_top, without = (rng.binomial(n[:, None], chance[:, 1:]) for n in (top, times - top))
        return np.hstack([top[:, None], with_top + without]), with_top.sum(axis=1)
    if not len(times):
        return np.zeros(p.shape, dtype=np.int64), times
    drawn, first = _drawn(np.repeat(p, times, axis=0), clicks, rng), np.cumsum(times) - times
    after = drawn[:, 0] * drawn[:, 1:].sum(axis=1)
    return np.add.reduceat(drawn, first, axis=0, dtype=np.int64), np.add.reduceat(after, first)
