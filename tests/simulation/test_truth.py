"""Definitions of truth: the world's own, and two that recorded ratings allow."""

import numpy as np
import pytest
from scipy import stats

from recab_helpers.simulation import HeldOutTruth, graded, truths_of


def test_grades_run_from_base_to_one_less_base():
    assert graded(np.array([0.0, 5.0])) == pytest.approx([0.02, 0.98])
    middle = 0.02 + 0.96 * (2**3 - 1) / (2**5 - 1)
    assert graded(np.array([3.0])) == pytest.approx([middle])


def test_completed_truth_predicts_ratings_better_than_item_means(world_data, recorded):
    """Its clicks rise with what the synthetic world really likes, within a user."""
    completed = truths_of(recorded, seed=29)["completed"]
    users = np.arange(200)
    world = world_data.world
    liking = world.user_taste[users] @ world.item_taste.T + world.item_bias
    graded_clicks = completed.p_click(users)
    personal = np.mean([stats.spearmanr(a, b)[0] for a, b in zip(liking, graded_clicks, strict=True)])
    means = np.mean([stats.spearmanr(a, completed.item_mean)[0] for a in liking])
    assert personal > means > 0


def test_unrated_items_are_clicked_at_the_base_rate(trained):
    truth = HeldOutTruth.of(trained.coded(trained.held_out))
    p = truth.p_click(np.arange(5))
    assert (p == 0.02).mean() > 0.9
    assert p.max() > 0.4


def test_a_block_of_users_has_the_chances_of_the_same_users_named(trained, recorded):
    for truth in (*truths_of(trained, seed=1).values(), *truths_of(recorded, seed=1).values()):
        assert truth.p_click(slice(7, 19)) == pytest.approx(truth.p_click(np.arange(7, 19)))
