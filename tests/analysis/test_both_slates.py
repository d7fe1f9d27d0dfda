"""Both slates known: exact on expected clicks, calibrated on clicks drawn here, not read where the model is wrong."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from recab_helpers.analysis import CLICKS_PER_USER, CTR, estimate, read_both_slates, read_goal_by
from recab_helpers.analysis.both_slates import GATE_ALPHA, harvest
from recab_helpers.impressions import Aggregates, SufficientStatistics, Users
from recab_helpers.impressions.both_slates import AFTER, CONTROL_ONLY, DIFFERING, TREATMENT_ONLY, moved

K = 6  # items of a slate


@dataclass
class World:
    """Two slates of every user and how likely each item is clicked where it is examined; theta by position."""

    control: np.ndarray  # (n_users, K) items
    treatment: np.ndarray
    appeal: np.ndarray  # (n_users, n_items)
    theta: np.ndarray  # (K,)

    @classmethod
    def drawn(cls, rng: np.random.Generator, n: int, *, shared: int, n_items: int = 12) -> "World":
        order = rng.permuted(np.tile(np.arange(n_items), (n, 1)), axis=1)
        control = order[:, :K]
        treatment = np.hstack([control[:, :shared], order[:, K : 2 * K - shared]])
        appeal = rng.beta(0.8, 3, (n, 1)) * rng.uniform(0.3, 1, (n, n_items))
        better = np.zeros(n_items)
        better[rng.permutation(n_items)[: n_items // 2]] = 1
        return cls(control, rng.permuted(treatment, axis=1), appeal * (1 + better), np.arange(1.0, K + 1) ** -0.8)

    def slates(self) -> tuple[np.ndarray, np.ndarray]:
        return self.control, self.treatment

    def appeals(self, arm: int) -> np.ndarray:
        return np.clip(np.take_along_axis(self.appeal, self.slates()[arm], axis=1), 0, 1)

    def places(self, arm: int) -> tuple[np.ndarray, np.ndarray]:
        """Position in control's and in treatment's slate of what this arm shows, 0 for none; (n_users, K) each."""
        shown = self.slates()[arm]
        both = []
        for slate in self.slates():
            same = shown[:, :, None] == slate[:, None, :]
            both.append(np.where(same.any(2), same.argmax(2) + 1, 0))
        return both[0], both[1]

    def true_lift(self) -> float:
        c, t = ((self.appeals(arm) @ self.theta).sum() for arm in (0, 1))
        return t / c - 1


COLUMNS = (
    "impressions",
    "clicks",
    CONTROL_ONLY,
    TREATMENT_ONLY,
    DIFFERING,
    AFTER,
    *(moved(i, j) for i in range(1, K + 1) for j in range(1, K + 1) if i != j),
)


def columns_of(world: World, arm: int, clicks: np.ndarray, sessions: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What `impressions.both_slates` counts, from a user's clicks by position of the slate that this arm shows."""
    i, j = world.places(arm)
    own = np.arange(1, K + 1)
    first = np.where(i != j, own, K + 1).min(axis=1)
    of = {
        "impressions": sessions * K,
        "clicks": clicks.sum(1),
        CONTROL_ONLY: (clicks * (j == 0)).sum(1),
        TREATMENT_ONLY: (clicks * (i == 0)).sum(1),
        DIFFERING: (clicks * (own >= first[:, None])).sum(1),
        AFTER: after,
    }
    for a in range(1, K + 1):
        for b in range(1, K + 1):
            if a != b:
                of[moved(a, b)] = (clicks * ((i == a) & (j == b))).sum(1)
    return np.column_stack([of[c] for c in COLUMNS])


def expected(world: World) -> dict[str, SufficientStatistics]:
    """Every user in both variants, with the clicks that are expected of one session."""
    n, made = len(world.control), {}
    for arm, name in enumerate(("control", "treatment")):
        clicks = world.appeals(arm) * world.theta
        made[name] = SufficientStatistics.of(columns_of(world, arm, clicks, np.ones(n), np.zeros(n)), COLUMNS)
    return made


def drawn(
    rng: np.random.Generator, world: World, *, share: float = 0.5, click_ends: bool = False
) -> dict[str, SufficientStatistics]:
    """A test of these users; where `click_ends` is set, half of those who click look no further."""
    n, made = len(world.control), {}
    treated = rng.random(n) < share
    sessions = 1 + rng.poisson(4, n)
    for arm, name in enumerate(("control", "treatment")):
        mine = np.flatnonzero(treated == bool(arm))
        row = np.repeat(mine, sessions[mine])
        click = rng.random((len(row), K)) < world.appeals(arm)[row] * world.theta
        if click_ends:
            ended = click & (rng.random(click.shape) < 0.5)
            click[:, 1:] &= ~np.logical_or.accumulate(ended, axis=1)[:, :-1]
        top, below = click[:, 0], click[:, 1:].sum(1)
        sums = [np.bincount(row, w, n) for w in (top * below, top, below)]
        after = sums[0] - sums[1] * sums[2] / sessions
        clicks = np.column_stack([np.bincount(row, click[:, k], n) for k in range(K)])
        values = columns_of(world, arm, clicks, sessions, after)[mine]
        made[name] = SufficientStatistics.of(values, COLUMNS)
    return made


@pytest.mark.parametrize("shared", [0, 3, 6])
def test_on_expected_clicks_the_estimate_is_the_exact_lift_and_examination_the_true_one(rng, shared):
    world = World.drawn(rng, 3000, shared=shared)
    of = expected(world)
    found = read_both_slates({"treatment": of})["treatment"]
    for reading in (found.plain, found.triggered, found.both):
        assert reading.lift == pytest.approx(world.true_lift(), rel=1e-6)
    if shared:
        log_theta, _, positions = harvest(of["control"], of["treatment"])
        assert positions == list(range(1, K + 1))
        np.testing.assert_allclose(np.exp(log_theta - log_theta[0]), world.theta / world.theta[0], rtol=1e-3)
        np.testing.assert_allclose(found.examination.theta, world.theta, rtol=1e-3)


def test_items_at_the_same_place_say_nothing_about_the_lift(rng):
    """Slates that are the same but for the last item: clicks on the others are noise that both variants share."""
    world = World.drawn(rng, 4000, shared=5)
    world.treatment = np.hstack([world.control[:, :5], (world.treatment.max(1, keepdims=True) + 1) % 12])
    found = read_both_slates({"treatment": drawn(rng, world)})["treatment"]
    assert found.same > 0.7
    assert found.both.log_se < 0.5 * found.plain.log_se
    assert found.triggered.log_se < 0.5 * found.plain.log_se


def test_a_test_without_clicks_on_one_side_has_no_reading(rng):
    of = expected(World.drawn(rng, 50, shared=3))
    nobody = SufficientStatistics.of(np.zeros((50, len(COLUMNS))), COLUMNS)
    assert read_both_slates({"treatment": {"control": of["control"], "treatment": nobody}}) == {}


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_intervals_hold_the_truth_and_the_gate_rarely_speaks_where_clicks_follow_positions(rng, share):
    world = World.drawn(rng, 1200, shared=4)
    n, held, stopped, z = 300, 0, 0, []
    for _ in range(n):
        found = read_both_slates({"treatment": drawn(rng, world, share=share)})["treatment"]
        held += found.both.lift_ci[0] <= world.true_lift() <= found.both.lift_ci[1]
        stopped += not found.holds
        z.append((np.log1p(found.both.lift) - np.log1p(world.true_lift())) / found.both.log_se)
    assert held / n > 0.95 - 3 * np.sqrt(0.05 * 0.95 / n)  # the users are the same in all, so intervals are wide
    assert abs(np.mean(z)) < 3 / np.sqrt(n) + 0.1
    assert stopped / n < GATE_ALPHA + 3 * np.sqrt(GATE_ALPHA * (1 - GATE_ALPHA) / n)


def test_the_gate_speaks_where_a_click_ends_the_look(rng):
    """A model of clicks that both slates cannot be read by."""
    world = World.drawn(rng, 1200, shared=4)
    stopped = [
        not read_both_slates({"treatment": drawn(rng, world, click_ends=True)})["treatment"].holds for _ in range(30)
    ]
    assert np.mean(stopped) > 0.9


def test_the_goal_is_read_by_both_slates_only_where_that_was_chosen_and_the_gate_holds(rng):
    world = World.drawn(rng, 4000, shared=4)
    for click_ends in (False, True):
        of = drawn(rng, world, click_ends=click_ends)
        test = Aggregates(users=Users(statistics=of), both_slates={"treatment": of})
        effects = [estimate(m, of["control"], of["treatment"]) for m in (CTR, CLICKS_PER_USER)]
        assert read_goal_by("plain", effects, test) is effects
        goal, clicks = read_goal_by("both_slates", effects, test)
        found = read_both_slates(test.both_slates)["treatment"]
        assert found.holds == (not click_ends)
        expected = effects[0] if click_ends else found.both
        assert (goal.lift, goal.lift_ci, goal.p_value) == (expected.lift, expected.lift_ci, expected.p_value)
        assert clicks.lift == effects[1].lift
        assert goal.difference == pytest.approx(goal.control * goal.lift)
        capped = replace(test, users=replace(test.users, caps={"clicks": 9.0}))
        assert read_goal_by("both_slates", effects, capped)[0].lift == effects[0].lift
