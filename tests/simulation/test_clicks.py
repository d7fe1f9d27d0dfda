"""What is drawn agrees with what is exact, position by position and over a whole test."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from recab_helpers.simulation import CascadeModel, PositionModel, Traffic


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fatigue": 0.7},
        {"effect_dial": 0.3},
        {"click_model": "cascade"},
        {"click_model": "cascade", "fatigue": 0.7},
    ],
    ids=str,
)
def test_drawn_ctr_agrees_with_the_exact_truth(plan, changes):
    test = plan(**changes)
    exact = test.true_ctr()
    for code, variant in enumerate(test.variants):
        everyone = replace(test, assignment=np.full(len(test.user_ids), code))
        drawn = []
        for seed in range(60):
            clicked = pa.concat_tables(replace(everyone, seed=seed).impressions())["clicked"].to_numpy()
            drawn.append((clicked.sum(), len(clicked)))
        clicks, shown = np.array(drawn, dtype=float).T
        ratio = clicks.sum() / shown.sum()
        error = np.std(clicks - ratio * shown, ddof=1) / shown.mean() / np.sqrt(len(drawn))
        assert abs(ratio - exact[variant.name]) < 4 * error


def test_a_click_at_position_k_is_k_to_the_decay_times_rarer_and_falls_with_the_sessions_before():
    model = PositionModel(decay=0.5, fatigue=0.6)
    user_ids = np.array([f"u{i}" for i in range(40_000)])
    row = np.arange(len(user_ids))
    for session in (0, 2):
        clicks = model.draw(np.full((len(row), 4), 0.5), user_ids, row, np.full(len(row), session), seed=1)
        expected = 0.5 * 0.6**session * np.arange(1, 5) ** -0.5
        error = np.sqrt(expected * (1 - expected) / len(row))
        assert np.all(np.abs(clicks.mean(0) - expected) < 4 * error)


def test_exact_ctr_by_hand():
    """One user with 2 sessions and one with 6; of the two positions, the second is examined half of the time."""
    traffic = Traffic(session_rate=np.array([2.0, 6.0]), horizon_days=1)
    p_click = np.array([[0.4, 0.2], [0.1, 0.6]])
    by_hand = (2 * (0.4 + 0.2 / 2) + 6 * (0.1 + 0.6 / 2)) / (2 * (2 + 6))
    assert PositionModel().true_ctr(p_click, traffic) == pytest.approx(by_hand)


def test_the_cascade_by_hand():
    """The second of two positions is examined after .9 of the slates without a click on the first, .2 of those with."""
    model = CascadeModel(after_none=0.9, after_click=0.2)
    p_click = np.array([[0.4, 0.5]])
    assert model.clicks(p_click) == pytest.approx([0.4 + (0.6 * 0.9 + 0.4 * 0.2) * 0.5])
    one_session = Traffic(session_rate=np.array([3.0]), horizon_days=1)
    assert model.true_ctr(p_click, one_session) == pytest.approx(model.clicks(p_click)[0] / 2)


def test_below_a_position_that_was_not_examined_nothing_is_clicked():
    model = CascadeModel(after_none=0.0, after_click=1.0)
    row = np.arange(2000)
    clicks = model.draw(np.full((2000, 5), 0.5), np.array([f"u{i}" for i in row]), row, 0 * row, seed=1)
    assert np.array_equal(clicks, np.logical_and.accumulate(clicks, axis=1))
    assert abs(clicks[:, 0].mean() - 0.5) < 4 * 0.5 / np.sqrt(2000)
