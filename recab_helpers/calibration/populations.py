"""Populations of users whose tests are drawn by the thousand, straight as aggregates; their truth is known.

Session rates are gamma (a few users come very often) and click rates beta, both shared with a period before the test.
No slates are drawn: a test is made of per-user counts by day.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.impressions.aggregates import Aggregates, Running, Users
from recab_helpers.references import CONTROL

BATCH = 50  # tests drawn at once
MOST_USERS = 2000  # of the tests that grade a report
MOST_LOOKS = 28  # of theirs; work and memory grow with looks, and the bands keep their error at any number of them
VARIANTS = (CONTROL, "treatment")


@dataclass(frozen=True, kw_only=True)
class Population:
    """Users of simulated tests; `ctr` is control's, `click_cv` the relative spread of users' click rates."""

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

    @property
    def planned(self) -> dict[str, float]:
        """Planned share of users by variant."""
        return dict(zip(VARIANTS, (1 - self.allocation, self.allocation), strict=True))

    @property
    def null(self) -> bool:
        """Whether there is nothing to find."""
        return self.lift == self.lift_sd == 0


def draw_tests(population: Population, n: int, seed: int) -> Iterator[tuple[float, Aggregates]]:
    """True lift and aggregates of `n` tests."""
    p = population
    rng = np.random.default_rng(seed)
    for start in range(0, n, BATCH):
        size = (min(BATCH, n - start), p.n_users)
        rate = rng.gamma(ACTIVITY_SHAPE, p.mean_sessions / ACTIVITY_SHAPE, size)
        concentration = max((1 - p.ctr) / p.ctr / p.click_cv**2 - 1, 0.1)
        shape = concentration * p.ctr, concentration * (1 - p.ctr)
        before, fresh = rng.beta(*shape, size), rng.beta(*shape, size)
        taste = np.where(rng.random(size) < p.retained, before, fresh)
        lift = p.lift + np.expm1(p.lift_sd * rng.standard_normal(size[0]))
        treated = rng.random(size) < p.allocation
        chance = np.clip(taste * (1 + lift[:, None] * treated), 0, 1)
        sessions = rng.poisson(rate[:, :, None] / p.n_days, (*size, p.n_days))
        clicks = rng.binomial(p.slate_size * sessions, chance[:, :, None])
        pre_sessions = rng.poisson(rate)
        pre_clicks = rng.binomial(p.slate_size * pre_sessions, before)
        for i in range(size[0]):
            seen = sessions[i].sum(axis=1) > 0
            daily = np.stack([clicks[i], p.slate_size * sessions[i]], axis=-1)[seen]
            known = pre_clicks[i][seen], pre_sessions[i][seen]
            yield float(lift[i]), _aggregates(treated[i][seen].astype(np.int64), daily, *known, p.slate_size)


def like(test: Aggregates, planned: dict[str, float]) -> Population:
    """The population of A/A tests of the size and click rates of this one, of at most MOST_USERS and MOST_LOOKS days.

    A day of a longer test stands for several, so that as much is seen in all.
    """
    control, whole = test.users.statistics[CONTROL], test.users.whole
    ctr = control.sum("clicks") / control.sum("impressions")
    return Population(
        n_users=min(whole.n, MOST_USERS),
        ctr=float(np.clip(ctr, 1e-4, 0.5)),
        mean_sessions=whole.sum("sessions") / whole.n,
        slate_size=max(1, round(whole.sum("impressions") / whole.sum("sessions"))),
        n_days=1 if test.running is None else min(len(test.running), MOST_LOOKS),
        allocation=1 - planned[CONTROL],
    )


def _aggregates(
    treated: np.ndarray, daily: np.ndarray, pre_clicks: np.ndarray, pre_sessions: np.ndarray, slate_size: int
) -> Aggregates:
    """Of users with the code of their variant, and clicks and impressions by day, shape (n_users, n_days, 2)."""
    clicks, shown = daily.sum(axis=1).T
    columns = {
        "impressions": shown,
        "clicks": clicks,
        "sessions": shown // slate_size,
        "clicked_any": clicks > 0,
        "pre_clicks": pre_clicks,
        "pre_impressions": pre_sessions * slate_size,
    }
    goal = ("clicks", "impressions")
    activity = np.where(pre_sessions > 4, "often", "seldom")
    users = Users.of(np.array(VARIANTS)[treated], columns, segments={"activity": activity}, histograms=(goal,))
    return Aggregates(users=users, running=Running.of(treated, daily, goal, users.variants, seen="impressions"))
