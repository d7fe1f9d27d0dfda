"""Offline metrics against their definitions on a case small enough to do by hand."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers import blocks
from recab_helpers.data import Interactions
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import Factors, fit, offline_quality
from recab_helpers.recommenders.quality import rmse


def interactions(user, item, rating) -> Interactions:
    users, items = np.array(["a", "b", "c"]), np.array(["v", "w", "x", "y", "z"])
    return Interactions(
        user_ids=users,
        item_ids=items,
        user=np.array(user),
        item=np.array(item),
        rating=np.array(rating, float),
        liked=np.array(rating) >= 4,
    )


def popular(train: Interactions):
    return fit("popularity", train, pd.DataFrame(), TrainParams())


def test_ranking_metrics_by_hand():
    """Counts 3, 2, 1, 0, 0; user a has seen v, so its list is w, x, y, z, v."""
    train = interactions([0, 1, 1, 2, 2, 2], [0, 0, 1, 0, 1, 2], [5, 5, 5, 5, 5, 5])
    test = interactions([0, 0, 0], [2, 4, 1], [4, 5, 1])
    quality = offline_quality(popular(train), test, k=3)
    assert quality["ndcg_at_3"] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))  # x at rank 2 of x, z
    assert quality["recall_at_3"] == 1 / 2
    assert quality["precision_at_3"] == 1 / 3
    assert quality["coverage"] == 3 / 5
    assert quality["novelty_bits"] == pytest.approx(np.mean([-np.log2(2 / 6), -np.log2(1 / 6), -np.log2(1 / 6)]))
    assert np.isnan(quality["rmse"])


def test_nothing_relevant_is_refused():
    train = interactions([0, 1], [0, 1], [5, 5])
    with pytest.raises(ValueError, match="None of the held-out interactions is liked"):
        offline_quality(popular(train), interactions([0], [2], [1]))


def test_rmse_by_hand_clips_to_the_scale_and_does_not_depend_on_blocks(monkeypatch):
    """Predictions 1, 6 and 6 against 2, 5 and 3, whose scale is 2 to 5: errors 0, 0 and 2."""
    scorer = Factors(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [3.0], [4.0], [5.0]]), are_ratings=True)
    test = interactions([0, 1, 2], [0, 2, 1], [2, 5, 3])
    assert rmse(scorer, test) == pytest.approx(np.sqrt(4 / 3))
    monkeypatch.setattr(blocks, "BLOCK_CELLS", 5)
    assert rmse(scorer, test) == pytest.approx(np.sqrt(4 / 3))
