"""The ways to test two models, read from drawn arrays: what a log of the same sessions gives."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis import read_both_slates, read_off_policy
from recab_helpers.calibration.designs import (
    VARIANTS,
    both_slates_of,
    off_policy_of,
    read_explored,
    read_interleaved,
    read_sessions,
    read_users,
)
from recab_helpers.impressions import Reading, off_policy, open_log, open_table, reduce, user_rows
from recab_helpers.references import POSITION_IN, Comparison
from recab_helpers.stages.designs import made_up_pair

K, N = 4, 300


@pytest.fixture
def drawn(rng):
    """A small test of two groups: sessions as arrays, and the same as a log."""
    items = [rng.permuted(np.tile(np.arange(7), (N, 1)), axis=1)[:, :K] for _ in range(2)]
    user = np.repeat(np.arange(N), 1 + rng.poisson(3, N))
    arm_of = rng.integers(0, 2, N)
    arm = arm_of[user]
    shown = np.where(arm[:, None] == 1, items[1][user], items[0][user])
    clicked = rng.random((len(user), K)) < 0.5 / np.arange(1, K + 1)
    same = [shown[:, :, None] == items[a][user][:, None, :] for a in (0, 1)]
    there = np.stack([np.where(s.any(2), s.argmax(2) + 1, 0) for s in same], axis=2)
    first = np.unique(user, return_index=True)[1]
    places = there[first]
    log = pd.DataFrame(
        {
            "user_id": np.repeat(user, K).astype(str),
            "slate_id": np.repeat(np.arange(len(user)), K),
            "position": np.tile(np.arange(1, K + 1), len(user)),
            "variant": np.repeat(np.array(VARIANTS)[arm], K),
            "item_id": shown.ravel().astype(str),
            "clicked": clicked.ravel().astype(int),
            "day": 0,
            **{f"{POSITION_IN}{v}": there[:, :, a].ravel() for a, v in enumerate(VARIANTS)},
        }
    )
    return user, arm, clicked, places, log


def test_drawn_arrays_give_the_aggregates_and_the_reading_of_the_log(drawn):
    user, arm, clicked, places, log = drawn
    zero = {"pre_clicks": np.zeros(N), "pre_impressions": np.zeros(N)}
    ours = both_slates_of(user, arm, clicked, zero, places)
    theirs = reduce(user_rows(open_log(log))).both_slates["treatment"]
    for v in VARIANTS:
        columns = [c for c in theirs[v].columns if c in ours[v].columns]
        assert set(ours[v].columns) - set(columns) == set(zero)
        mine, its = ([s[v].columns.index(c) for c in columns] for s in (ours, theirs))
        np.testing.assert_allclose(ours[v].mean[mine], theirs[v].mean[its])
        np.testing.assert_allclose(ours[v].cov[np.ix_(mine, mine)], theirs[v].cov[np.ix_(its, its)], atol=1e-9)
    reads = read_users(user, arm, clicked, zero, places)
    both = read_both_slates({"treatment": theirs})["treatment"].both
    assert reads["both"].value == pytest.approx(np.log1p(both.lift))


def test_sessions_and_teams_are_read_as_the_log_of_them_is(drawn, rng):
    user, _, clicked, _, log = drawn
    arm = rng.integers(0, 2, len(user))
    places = [f"{POSITION_IN}{v}" for v in VARIANTS]
    switched = log.drop(columns=places).assign(variant=np.repeat(np.array(VARIANTS)[arm], K))
    of = reduce(user_rows(open_log(switched), design="sessions"))
    from recab_helpers.analysis import CTR, estimate_effects

    (effect,) = estimate_effects(of.users, (CTR,))
    assert read_sessions(user, arm, clicked).value == pytest.approx(np.log1p(effect.lift))
    team = rng.integers(0, 2, clicked.shape)
    drafted = log.assign(variant=np.array(VARIANTS)[team.ravel()])
    from recab_helpers.analysis import read_preference

    within = reduce(user_rows(open_log(drafted, how=Reading(design="interleaved")), design="interleaved")).users.within
    preference = read_preference(within, VARIANTS)
    read = read_interleaved(user, team, clicked)
    assert read.value == pytest.approx(preference.share - 0.5)
    assert (read.low, read.high) == pytest.approx(tuple(x - 0.5 for x in preference.ci))


def test_explored_sessions_are_read_as_the_log_of_them_is(rng):
    e = made_up_pair(0.4, seed=3, n_users=200, k=K).explore(N, rng)
    e = replace(e, after=np.minimum(e.clicked[:, 1:], e.clicked[:, :1]).sum(axis=1))  # first sessions have the clicks
    position = np.arange(1, K + 1)
    names = np.char.zfill(np.arange(len(e.target)).astype(str), 4)  # in the order of their numbers
    row = np.repeat(np.arange(len(e.user)), e.sessions)  # a slate each
    nth = np.arange(len(row)) - np.repeat(np.cumsum(e.sessions) - e.sessions, e.sessions)
    log = pd.DataFrame(
        {
            "user_id": np.repeat(names[e.user[row]], K),
            "slate_id": np.repeat(np.arange(len(row)), K),
            "position": np.tile(position, len(row)),
            "variant": "control",
            "item_id": e.items[row].ravel().astype(str),
            "clicked": (nth[:, None] < e.clicked[row]).ravel().astype(int),
            "propensity": e.propensity[row].ravel(),
            "position_in_control": np.where(e.home[row], position, 0).ravel(),
            "day": 0,
        }
    )
    slates = {"user_id": np.repeat(names, K), "position": np.tile(position, len(names))}
    target = open_table(pd.DataFrame({**slates, "item_id": e.target.ravel().astype(str)}))
    theirs = off_policy(open_log(log, how=Reading(design="off_policy")), target, K)
    ours = off_policy_of(**vars(e))
    at = [ours.columns.index(c) for c in theirs.columns]
    assert len(at) == len(ours.columns)
    np.testing.assert_allclose(ours.mean[at], theirs.mean)
    np.testing.assert_allclose(ours.cov[np.ix_(at, at)], theirs.cov, atol=1e-9)
    read, found = read_explored(ours), read_off_policy(theirs, Comparison("treatment"))
    assert read.value == pytest.approx(np.log1p(found.main.lift))
    assert read.effective == pytest.approx(found.effective)
