"""Off-policy: exact on expected clicks, as sure as it says on drawn ones, and silent without support."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis import read_off_policy
from recab_helpers.analysis.both_slates import GATE_ALPHA
from recab_helpers.calibration.designs import off_policy_of
from recab_helpers.errors import DataError
from recab_helpers.impressions import Reading, off_policy, open_log, open_table
from recab_helpers.references import Comparison
from recab_helpers.stages.designs import made_up_pair

K, M, SHARE = 3, 6, 0.4  # items of a slate, candidates of a user, share of random sessions
THETA = np.arange(1.0, K + 1) ** -0.9
OFF_POLICY = Reading(design="off_policy")
TARGET = Comparison("treatment")


def drawn(rng, n: int, *, support: float = 1.0):
    """A log of control with random sessions over six candidates, the target's slates, and its true lift.

    Of the target's items, this share are candidates at all.
    """
    appeal = rng.beta(1, 3, (n, 12)) * np.linspace(0.4, 1, 12)
    items = rng.permuted(np.tile(np.arange(12), (n, 1)), axis=1)
    control, candidates = items[:, :K], items[:, :M]
    target = rng.permuted(np.hstack([items[:, 2 : 2 + K - 1], items[:, 5:6]]), axis=1)
    outside = rng.random((n, K)) > support
    target = np.where(outside, items[:, M : M + K], target)
    user = np.repeat(np.arange(n), 1 + rng.poisson(5, n))
    explored = rng.random(len(user)) < SHARE
    at_random = np.take_along_axis(
        candidates[user], rng.permuted(np.tile(np.arange(M), (len(user), 1)), axis=1)[:, :K], axis=1
    )
    shown = np.where(explored[:, None], at_random, control[user])
    home = shown == control[user]
    p = SHARE / M + (1 - SHARE) * home
    clicked = rng.random(shown.shape) < THETA * appeal[user[:, None], shown]
    log = pd.DataFrame(
        {
            "user_id": np.repeat(user, K).astype(str),
            "slate_id": np.repeat(np.arange(len(user)), K),
            "position": np.tile(np.arange(1, K + 1), len(user)),
            "variant": "control",
            "item_id": shown.ravel().astype(str),
            "clicked": clicked.ravel().astype(int),
            "propensity": p.ravel(),
            "position_in_control": np.where(home, np.arange(1, K + 1), 0).ravel(),
            "day": 0,
        }
    )
    slates = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(n), K).astype(str),
            "position": np.tile(np.arange(1, K + 1), n),
            "item_id": target.ravel().astype(str),
        }
    )
    row = np.arange(n)[:, None]
    sessions = np.bincount(user, minlength=n)
    own, other = (sessions @ ((appeal[row, s] * THETA).sum(1)) for s in (control, target))
    return log, slates, other / own - 1


def read(log, slates):
    rows = open_log(log, how=OFF_POLICY)
    return read_off_policy(off_policy(rows, open_table(slates), K), TARGET)


def test_every_method_finds_the_true_lift_of_a_target_that_nobody_saw(rng):
    log, slates, true = drawn(rng, 6000)
    found = read(log, slates)
    assert found.support == pytest.approx(1.0, abs=0.04)
    assert not found.refused
    for e in found.estimates[:3]:
        assert abs(np.log1p(e.lift) - np.log1p(true)) < 4 * e.log_se
        assert e.log_se < 0.1
    assert found.main.method == "doubly robust"


@pytest.mark.slow
def test_the_intervals_hold_the_true_lift_as_often_as_they_say(rng):
    held, refused = np.zeros(2), 0
    for _ in range(60):
        log, slates, true = drawn(rng, 500)
        found = read(log, slates)
        if found.estimates:
            held += [e.ci[0] <= true <= e.ci[1] for e in found.estimates[:2]]
        else:
            assert "click less below" in found.refused  # the gate, in one of twenty
            refused += 1
    assert (held >= 51 - refused).all()  # of 60, at .95 each: fewer have a chance below 1 in 2,000
    assert refused <= 9


def test_without_support_no_number_is_given_and_the_reason_is(rng):
    log, slates, _ = drawn(rng, 2000, support=0.5)
    found = read(log, slates)
    assert found.support == pytest.approx(0.5, abs=0.1)
    assert not found.estimates
    assert found.main is None
    assert "could have shown only" in found.refused


def test_few_random_sessions_leave_too_few_users(rng):
    log, slates, _ = drawn(rng, 60)
    assert "weights leave" in read(log, slates).refused


@pytest.mark.parametrize("value", [0.0, 1.2, np.nan])
def test_a_propensity_that_is_none_is_refused(rng, value):
    log, slates, _ = drawn(rng, 50)
    log.loc[3, "propensity"] = value
    with pytest.raises(DataError, match=r"propensity .* in row 4"):
        read(log, slates)


def test_a_user_without_a_slate_of_the_target_is_not_dropped(rng):
    log, slates, _ = drawn(rng, 50)
    with pytest.raises(DataError, match="no slates for 1 user"):
        read(log, slates[slates["user_id"] != "7"])


def test_clicks_that_end_the_search_are_seen_and_give_no_number(rng):
    log, slates, _ = drawn(rng, 1500)
    assert read(log, slates).gate_p > 0.001
    top = log["clicked"].where(log["position"] == 1, 0).groupby(log["slate_id"]).transform("max")
    ended = (top > 0) & (log["position"] > 1) & (rng.random(len(log)) < 0.6)
    found = read(log.assign(clicked=log["clicked"].where(~ended, 0)), slates)
    assert found.gate_p < 1e-6
    assert not found.estimates
    assert "depends on clicks above it" in found.refused


def test_the_gate_of_a_log_of_one_visit_each_is_not_asked(rng):
    log, slates, _ = drawn(rng, 600)
    once = log[log["slate_id"] == log.groupby("user_id")["slate_id"].transform("min")]
    assert np.isnan(read(once, slates).gate_p)


@pytest.mark.slow
def test_the_gate_says_no_by_chance_as_often_as_its_level(rng):
    pair = made_up_pair(0.4, seed=3)
    of = [read_off_policy(off_policy_of(**vars(pair.explore(400, rng))), TARGET).gate_p for _ in range(1000)]
    assert 0.03 < (np.array(of) < GATE_ALPHA).mean() < 0.07


def test_a_target_of_another_catalog_is_refused(rng):
    log, slates, _ = drawn(rng, 50)
    with pytest.raises(DataError, match=r"shows no item of the log: it has items such as sku_.*, the log such as \d"):
        read(log, slates.assign(item_id="sku_" + slates["item_id"]))


def test_a_log_without_propensities_is_refused(rng):
    log, slates, _ = drawn(rng, 50)
    with pytest.raises(DataError, match="lacks the column propensity"):
        off_policy(open_log(log.drop(columns="propensity"), how=OFF_POLICY), open_table(slates), K)


def test_slates_of_which_a_part_is_logged_are_refused_and_not_read_as_never_shown(rng):
    log, slates, _ = drawn(rng, 50)
    one_of_each = log.groupby("slate_id").sample(1, random_state=1)
    with pytest.raises(DataError, match=r"A slate of the log has .* on average, but positions go up to 3"):
        read(one_of_each, slates)
