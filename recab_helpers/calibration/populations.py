"""Populations of users whose tests are drawn by the thousand, straight as aggregates; their truth is known.

Session rates are gamma or Pareto (a few users come very often) and click rates beta, both shared with a period before
the test. No slates are drawn: a test is made of per-user counts by day. The users of a log are a population too, whose
tests assign them anew.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from recab_helpers.analysis.metrics import CTR, MetricSpec
from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.calibration.assigning import VARIANTS, Assigner, assigned
from recab_helpers.impressions.aggregates import Aggregates, Sample

BATCH = 50  # tests drawn at once
PARETO_SHAPE = 1.5  # of the session rates: their mean is finite, their variance is not
BOT_SESSIONS = 1000  # of ten impressions each
CERTAIN = 1 - 2.0**-53  # the chance of a click is no larger, so that its logarithm below is a number
WEEK = 7  # every seventh day a shop that closes has no traffic


class Tests(Protocol):
    """What tests are drawn from."""

    @property
    def planned(self) -> dict[str, float]:
        """Planned share of users by variant."""

    @property
    def null(self) -> bool:
        """Whether there is nothing to find."""

    @property
    def goal(self) -> MetricSpec:
        """The metric that decides."""

    @property
    def rate(self) -> float:
        """CTR of control in truth; nan where it is not known."""

    def draw(self, n: int, seed: int) -> Iterator[tuple[float, Aggregates]]:
        """True lift and aggregates of `n` tests."""


@dataclass(frozen=True, kw_only=True)
class Population:
    """Users of simulated tests; `ctr` is control's, `click_cv` the relative spread of users' click rates.

    `bots` users make ten thousand impressions each. Where the shop is `closed` on one day of the week nobody comes, and
    where users are `late` each comes for the first time on some day of the test, all as likely. `away` is the share of
    their sessions that a treatment takes from the more active half of the users, in the test only.
    """

    n_users: int = 2000
    ctr: float = 0.06
    lift: float = 0.0
    lift_sd: float = 0.0  # spread of log(1 + lift) from test to test
    mean_sessions: float = MEAN_SESSIONS
    slate_size: int = 10
    n_days: int = 14
    click_cv: float = 0.5
    retained: float = 0.7  # chance that a user's click rate was the same before the test
    allocation: float = 0.5
    activity: Literal["gamma", "pareto"] = "gamma"
    bots: int = 0
    closed: bool = False
    late: bool = False
    away: float = 0.0

    @property
    def planned(self) -> dict[str, float]:
        """Planned share of users by variant."""
        return _shares(self.allocation)

    @property
    def null(self) -> bool:
        """Whether there is nothing to find."""
        return self.lift == self.lift_sd == self.away == 0

    @property
    def goal(self) -> MetricSpec:
        """CTR."""
        return CTR

    @property
    def rate(self) -> float:
        """CTR of control."""
        return self.ctr

    def draw(self, n: int, seed: int) -> Iterator[tuple[float, Aggregates]]:
        """True lift and aggregates of `n` tests."""
        rng = np.random.default_rng(seed)
        for start in range(0, n, BATCH):
            yield from self._drawn((min(BATCH, n - start), self.n_users), rng)

    def _drawn(self, size: tuple[int, int], rng: np.random.Generator) -> Iterator[tuple[float, Aggregates]]:
        rate = self._session_rates(size, rng)
        concentration = max((1 - self.ctr) / self.ctr / self.click_cv**2 - 1, 0.1)
        shape = concentration * self.ctr, concentration * (1 - self.ctr)
        before, fresh = rng.beta(*shape, size), rng.beta(*shape, size)
        taste = np.where(rng.random(size) < self.retained, before, fresh)
        lift = self.lift + np.expm1(self.lift_sd * rng.standard_normal(size[0]))
        treated = rng.random(size) < self.allocation
        chance = np.clip(taste * (1 + lift[:, None] * treated), 0, CERTAIN)
        came = rate * np.where(treated & (rate > np.median(rate)), 1 - self.away, 1.0) if self.away else rate
        day = np.arange(self.n_days)
        days = day[day % WEEK != WEEK - 1] if self.closed else day
        first = np.searchsorted(days, rng.integers(0, self.n_days, size)) if self.late else np.zeros(size, dtype=int)
        sessions = rng.poisson(came * (len(days) - first) / self.n_days)
        pre_sessions = rng.poisson(rate)
        pre_clicks = rng.binomial(self.slate_size * pre_sessions, before)
        for i in range(size[0]):
            seen = np.flatnonzero(sessions[i])
            code = treated[i, seen].astype(np.int64)
            if not 0 < code.sum() < len(code):
                continue
            came_at = self._spread(sessions[i, seen], days, first[i, seen], rng)
            daily = self._counted(sessions[i, seen], came_at, chance[i, seen], rng)
            clicks, shown = daily.sum(axis=1)
            was = pre_sessions[i, seen]
            people = Sample(
                columns={
                    "impressions": shown,
                    "clicks": clicks,
                    "sessions": sessions[i, seen],
                    "clicked_any": clicks > 0,
                    "pre_clicks": pre_clicks[i, seen],
                    "pre_impressions": self.slate_size * was,
                },
                segments={"activity": np.array(["seldom", "often"], dtype=object)[(was > 4).astype(np.intp)]},
                daily=daily.transpose(2, 1, 0),
                daily_columns=("clicks", "impressions"),
            )
            yield float(lift[i]), assigned(people, code, CTR)

    def _spread(
        self, sessions: np.ndarray, days: np.ndarray, first: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """The day of every session, those of a user together: any of `days` from the user's first on, all as likely."""
        first = np.repeat(first, sessions)
        return days[first + (rng.random(len(first)) * (len(days) - first)).astype(np.int64)]

    def _counted(
        self, sessions: np.ndarray, day: np.ndarray, chance: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Clicks and impressions by day and user, shape (2, n_days, n_users), of sessions on these days.

        An impression is clicked that is hit at least once, by a Poisson number of hits of mean -log(1 - chance). So the
        hits on all impressions of a user are one number, and each strikes any of them, all as likely.
        """
        cell = day * len(sessions) + np.repeat(np.arange(len(sessions)), sessions)
        shown = self.slate_size * sessions
        hits = rng.poisson(shown * -np.log1p(-chance))
        struck = np.repeat(np.cumsum(shown) - shown, hits)
        struck += (rng.random(len(struck)) * np.repeat(shown, hits)).astype(np.int64)
        clicked = np.zeros(self.slate_size * len(day), dtype=bool)
        clicked[struck] = True
        of_click = cell[np.flatnonzero(clicked) // self.slate_size]
        size = self.n_days * len(sessions)
        counts = np.bincount(of_click, minlength=size), self.slate_size * np.bincount(cell, minlength=size)
        return np.stack(counts).reshape(2, self.n_days, -1)

    def _session_rates(self, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Sessions that each user is expected to have, shape `size`."""
        if self.activity == "gamma":
            rate = rng.gamma(ACTIVITY_SHAPE, self.mean_sessions / ACTIVITY_SHAPE, size)
        else:
            rate = self.mean_sessions * (1 - 1 / PARETO_SHAPE) * (1 + rng.pareto(PARETO_SHAPE, size))
        rate[:, : self.bots] = BOT_SESSIONS
        return rate


@dataclass(frozen=True, kw_only=True)
class Own:
    """The users of one log, whom every drawn test assigns to two variants anew: there is nothing to find.

    Whatever fooled the analysis in this log, a few heavy users, rare clicks or days without any, is in all its tests.
    """

    people: Sample
    goal: MetricSpec = field(default=CTR)
    allocation: float = 0.5

    @property
    def planned(self) -> dict[str, float]:
        """Planned share of users by variant."""
        return _shares(self.allocation)

    @property
    def null(self) -> bool:
        """Nothing is to be found."""
        return True

    @property
    def rate(self) -> float:
        """Not known."""
        return math.nan

    def draw(self, n: int, seed: int) -> Iterator[tuple[float, Aggregates]]:
        """Zero, and the aggregates of `n` tests."""
        rng, users = np.random.default_rng(seed), Assigner(self.people, self.goal)
        for _ in range(n):
            code = (rng.random(len(self.people)) < self.allocation).astype(np.int64)
            if 0 < code.sum() < len(code):
                yield 0.0, users.test(code)


def draw_tests(population: Tests, n: int, seed: int) -> Iterator[tuple[float, Aggregates]]:
    """True lift and aggregates of `n` tests; one with nobody in a variant is left out."""
    return population.draw(n, seed)


def _shares(allocation: float) -> dict[str, float]:
    return dict(zip(VARIANTS, (1 - allocation, allocation), strict=True))
