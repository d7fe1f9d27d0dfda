"""A hybrid is the mean of standardized scores, of those parts that know the user."""

import numpy as np
import pytest

from recab_helpers.errors import ParameterError
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import fit


def test_scores_are_the_mean_of_z_scores_where_both_parts_know_the_user(train, world_data, models):
    hybrid = fit("hybrid", train, world_data.catalog, TrainParams(seed=1, hybrid_of=["content", "ease"]))
    both = np.flatnonzero(~models["content"].cold & ~models["ease"].cold)[:20]
    parts = [models[name].scorer.score(both) for name in ("content", "ease")]
    expected = np.mean([(s - s.mean(1, keepdims=True)) / s.std(1, keepdims=True) for s in parts], axis=0)
    assert hybrid.scorer.score(both) == pytest.approx(expected, abs=1e-3)


def test_a_user_whom_one_part_knows_gets_its_ranking(train, world_data, models):
    hybrid = fit("hybrid", train, world_data.catalog, TrainParams(seed=1, hybrid_of=["content", "ease"]))
    only = np.flatnonzero(models["ease"].cold & ~models["content"].cold)
    assert len(only)
    assert np.array_equal(hybrid.top_k(only, 5)[0], models["content"].top_k(only, 5)[0])
    assert np.array_equal(hybrid.cold, models["ease"].cold & models["content"].cold)


def test_a_hybrid_of_itself_is_refused():
    with pytest.raises(ParameterError, match="name two or more other models"):
        TrainParams(hybrid_of=["content", "hybrid"])
