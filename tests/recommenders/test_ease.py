"""EASE is the regression that it claims to be, whichever of its two squares is inverted."""

from dataclasses import replace

import numpy as np
import pytest

from recab_helpers.errors import StepsAsideError
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import ease, fit


def first_users(train, n: int):
    """Interactions of the first users only."""
    rows = train.user < n
    cut = {name: getattr(train, name)[rows] for name in ("user", "item", "rating", "liked")}
    return replace(train, user_ids=train.user_ids[:n], **cut)


@pytest.mark.parametrize("n_users", [500, 90], ids=["items fewer", "users fewer"])
def test_each_item_is_the_ridge_regression_on_all_others(train, world_data, n_users):
    some = first_users(train, n_users)
    model = fit("ease", some, world_data.catalog, TrainParams(ease_regularization=50))
    x = np.zeros((n_users, some.n_items))
    x[some.user[some.liked], some.item[some.liked]] = 1
    scores = model.scorer.score(np.arange(n_users))
    for item in (0, 17, 123):
        others = np.delete(x, item, axis=1)
        weights = np.linalg.solve(others.T @ others + 50 * np.eye(some.n_items - 1), others.T @ x[:, item])
        assert scores[:, item] == pytest.approx(others @ weights, abs=1e-4)


def test_it_steps_aside_where_both_squares_are_too_large(train, world_data, monkeypatch):
    monkeypatch.setattr(ease, "MAX_SIDE", 199)
    with pytest.raises(StepsAsideError, match="at most 199 of them, and there are 500 users and 200 items"):
        fit("ease", train, world_data.catalog, TrainParams())
