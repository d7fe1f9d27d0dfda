"""Collaborative Filtering is Surprise's SVD: its own estimates, its published accuracy, on liked and unseen items."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold
from surprise import SVD, Dataset, Reader

from recab_helpers.data import Interactions, encode, ids_of
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import collaborative, fit
from recab_helpers.recommenders.collaborative import fit_svd, implicit_targets, svd_factors


@pytest.mark.parametrize("options", [{}, {"biased": False, "init_mean": 0.1}])
def test_vectorized_scores_equal_surprise_estimates(train, options):
    algo = fit_svd(train, seed=1, n_epochs=5, **options)
    users, items = svd_factors(algo)
    scores = users @ items.T
    for user, item in zip(train.user[::97], train.item[::89], strict=False):
        assert scores[user, item] == pytest.approx(algo.estimate(int(user), int(item)), abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), n_users=st.integers(2, 12), n_items=st.integers(2, 12), biased=st.booleans())
@settings(max_examples=40, deadline=None)
def test_arrays_give_the_factors_of_a_training_set_that_surprise_built_itself(seed, n_users, n_items, biased):
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.choice(n_users * n_items, size=rng.integers(2, n_users * n_items + 1), replace=False))
    user, item = (pd.factorize(c)[0] for c in np.divmod(cells, n_items))  # codes in order of first appearance, as there
    rating = rng.integers(1, 6, len(cells)).astype(float)
    rows = pd.DataFrame({"user": user, "item": item, "rating": rating})
    own = Dataset.load_from_df(rows, Reader(rating_scale=(1, 5))).build_full_trainset()
    ids = [np.arange(c.max() + 1).astype(str) for c in (user, item)]
    train = Interactions(user_ids=ids[0], item_ids=ids[1], user=user, item=item, rating=rating, liked=rating > 3)
    options = {"n_factors": 3, "n_epochs": 4, "biased": biased}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collaborative, "CHUNK", int(rng.integers(1, 9)))
        ours = fit_svd(train, seed=seed, **options)
    theirs = SVD(random_state=seed, **options).fit(own)
    for name in ("pu", "qi", "bu", "bi"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-9)
    assert ours.trainset.global_mean == pytest.approx(theirs.trainset.global_mean, abs=1e-12)


def test_implicit_targets_hold_liked_items_and_unseen_ones_only(train):
    targets = implicit_targets(train, negatives=8, seed=1)
    seen = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    negative = targets.rating == 0
    drawn = zip(targets.user[negative].tolist(), targets.item[negative].tolist(), strict=True)
    assert not seen & set(drawn)
    assert negative.sum() == 8 * (train.rating >= 4).sum()


def test_the_row_order_of_the_data_does_not_change_the_model(world_data, train):
    users, items = ids_of(world_data)
    shuffled = encode(world_data.interactions.sample(frac=1, random_state=1), user_ids=users, item_ids=items)
    one, two = (fit("collaborative", t, world_data.catalog, TrainParams(seed=1)) for t in (train, shuffled))
    assert np.array_equal(one.scorer.users, two.scorer.users)


def test_no_liked_item_is_refused(world_data, train):
    nothing = replace(train, liked=np.zeros_like(train.liked))
    with pytest.raises(DataError, match="None of the interactions to train on is liked"):
        fit("collaborative", nothing, world_data.catalog, TrainParams())


def test_users_without_a_liked_item_are_cold(train, models):
    liked = np.bincount(train.user[train.rating >= 4], minlength=train.n_users)
    assert np.array_equal(models["collaborative"].cold, liked == 0)
    assert models["collaborative"].cold.any()
    assert not models["collaborative_ratings"].cold.any()


@pytest.mark.slow
def test_surprise_svd_reproduces_its_published_rmse_on_movielens_100k(ml_100k):
    """SVD .934 over 5 random folds (surpriselib.com, benchmarks)."""
    users, items = ids_of(ml_100k)
    data = encode(ml_100k.interactions, user_ids=users, item_ids=items)
    errors = []
    for fold, (rows, test) in enumerate(KFold(5, shuffle=True, random_state=0).split(data.rating)):
        part = [
            replace(data, user=data.user[r], item=data.item[r], rating=data.rating[r], liked=data.liked[r])
            for r in (rows, test)
        ]
        algo = fit_svd(part[0], seed=fold)
        p, q = svd_factors(algo)
        predicted = np.clip(np.einsum("nd,nd->n", p[part[1].user], q[part[1].item]), 1, 5)
        errors.append(np.sqrt(np.mean((predicted - part[1].rating) ** 2)))
    assert np.mean(errors) == pytest.approx(0.934, abs=0.004)
