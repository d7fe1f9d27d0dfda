"""The ways to test two models, read from drawn arrays: what a log of the same sessions gives."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis import read_both_slates
from recab_helpers.calibration.designs import VARIANTS, both_slates_of, read_interleaved, read_sessions, read_users
from recab_helpers.impressions import Reading, open_log, reduce, user_rows
from recab_helpers.references import POSITION_IN

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
