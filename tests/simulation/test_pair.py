"""Drawn tests of two models: their clicks add up to the exact truth of every design."""

from itertools import permutations

import numpy as np
import pytest

from recab_helpers.simulation import CascadeModel, Exploration, Pair, PositionModel
from recab_helpers.simulation.pair import _expected, _expected_at_random

N, K = 300, 6


@pytest.fixture
def pair(rng) -> Pair:
    order = rng.random((2, N, 9))
    order[:, 1::2, 8] = 2.0  # every second user has 8 candidates only
    items = np.argsort(order, axis=2)[:, :, :K]
    appeal = rng.beta(1, 4, (N, 9))
    p_click = np.take_along_axis(np.stack([appeal] * 2), items, axis=2)
    rate = rng.gamma(0.7, 6, N)
    candidates = np.tile(np.arange(9), (N, 1))
    candidates[1::2, 8] = -1
    return Pair(
        items=items,
        p_click=p_click,
        rate=rate,
        p_before=p_click[0],
        rate_before=rate,
        clicks=PositionModel(),
        exploration=Exploration(share=0.4, items=candidates, p_click=appeal),
    )


@pytest.mark.parametrize("clicks", [PositionModel(), CascadeModel()])
def test_drawn_clicks_have_the_exact_ctr_of_both_variants_and_of_drafts(pair, clicks, rng):
    pair = pair.with_clicks(clicks)
    s = pair.draw(40_000, "sessions", rng)
    for arm, ctr in enumerate(pair.ctr()):
        assert s.clicked[s.arm == arm].mean() == pytest.approx(ctr, rel=0.03)
    share, ctr = pair.drafted()
    d = pair.draw(40_000, "interleaved", rng)
    assert d.clicked.mean() == pytest.approx(ctr, rel=0.03)
    assert d.clicked[d.arm == 1].sum() / d.clicked.sum() == pytest.approx(share, rel=0.02)


def test_the_exact_ctr_is_that_of_the_click_model(pair):
    from recab_helpers.simulation.traffic import Traffic

    traffic = Traffic(session_rate=pair.rate, horizon_days=14)
    for clicks in (PositionModel(), CascadeModel()):
        expected = [clicks.true_ctr(p, traffic) for p in pair.p_click]
        np.testing.assert_allclose(pair.with_clicks(clicks).ctr(), expected)


def test_users_keep_their_arm_and_places_say_where_items_stand(pair, rng):
    s = pair.draw(2000, "users", rng)
    assert all(len(set(s.arm[s.user == u])) == 1 for u in range(50))
    assert (np.diff(s.user) >= 0).all()
    assert set(s.user) == set(range(len(s.of)))
    places = pair.places()
    assert (places[0, :, :, 0] == np.arange(1, K + 1)).all()
    user, at = 7, 2
    there = int(places[0, user, at, 1])
    if there:
        assert pair.items[1, user, there - 1] == pair.items[0, user, at]
    assert pair.overlap()[user] == len(set(pair.items[0, user]) & set(pair.items[1, user]))


@pytest.mark.parametrize("clicks", [PositionModel(), CascadeModel()])
def test_a_random_slate_has_the_expected_clicks_of_all_its_orders(clicks):
    p = np.array([[0.1, 0.5, 0.3, 0.9], [0.2, 0.7, 0.4, np.nan]])
    for row in p:
        told = row[~np.isnan(row)]
        orders = np.array(list(permutations(told, 3)))
        assert _expected_at_random(row[None], 3, clicks)[0] == pytest.approx(_expected(orders, clicks).sum(1).mean())


@pytest.mark.parametrize("clicks", [PositionModel(), CascadeModel()])
def test_explored_sessions_have_the_exact_ctr_and_their_propensities(pair, clicks, rng):
    pair = pair.with_clicks(clicks)
    e = pair.explore(20_000, rng)
    sessions, shown = e.sessions[:, None], e.sessions.sum() * K
    assert e.clicked.sum() / shown == pytest.approx(pair.explored_ctr(), rel=0.03)
    assert (e.clicked <= sessions).all()
    assert (sessions / e.propensity).sum() / shown == pytest.approx(8.5, rel=0.03)  # items that can be at a position
    assert (sessions * e.home / e.propensity).sum() / shown == pytest.approx(1, rel=0.03)
    top, below = e.clicked[:, 0], e.clicked[:, 1:].sum(axis=1)
    apart = e.after - top * below / e.sessions  # its mean is (n - 1) times the covariance in one session, over all
    apart = apart.sum() / (e.sessions - 1).sum()
    assert apart == pytest.approx(0, abs=0.004) if isinstance(clicks, PositionModel) else apart < -0.01
    assert e.sessions[e.sessions == 1].sum() > 0.39 * e.sessions.sum()  # two in five are random, each in its own row
    assert (np.sort(e.items, axis=1)[:, 1:] != np.sort(e.items, axis=1)[:, :-1]).all()
