"""Ranking is exact, bounded in memory and total: every user gets k items."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from recab_helpers.data import encode, ids_of
from recab_helpers.recommenders import FittedRecommender, fit_collaborative, fit_content, fit_popularity, top_k
from recab_helpers.recommenders import fitted as fitted_module


@pytest.fixture(scope="module")
def train(world_data):
    users, items = ids_of(world_data)
    return encode(world_data.interactions, user_ids=users, item_ids=items)


@pytest.fixture(scope="module", params=["collaborative", "content", "popularity"])
def fitted(request, train, world_data) -> FittedRecommender:
    fits = {
        "collaborative": lambda: fit_collaborative(train, relevant_rating=4, seed=1),
        "content": lambda: fit_content(train, world_data.catalog),
        "popularity": lambda: fit_popularity(train),
    }
    return fits[request.param]()


@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 2, -np.inf])),
    st.integers(1, 12),
)
def test_top_k_is_a_stable_sort_even_where_scores_tie(scores, k):
    k = min(k, scores.shape[1])
    assert np.array_equal(top_k(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


def test_seen_items_come_after_all_unseen_ones(fitted, train):
    users = np.arange(train.n_users)
    items, _ = fitted.top_k(users, train.n_items)
    seen = fitted.seen.toarray()[users[:, None], items]
    assert np.all(np.diff(seen.astype(int), axis=1) >= 0)
    assert np.array_equal(np.sort(items, axis=1), np.broadcast_to(np.arange(train.n_items), items.shape))


def test_the_block_size_does_not_change_the_ranking(fitted, train, monkeypatch):
    users = np.arange(train.n_users)
    whole = fitted.top_k(users, 10)[0]
    monkeypatch.setattr(fitted_module, "BLOCK_CELLS", 3 * train.n_items)
    assert np.array_equal(fitted.top_k(users, 10)[0], whole)


def test_saved_and_loaded_it_recommends_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "arrays.npz")
    users = [*fitted.user_ids[:20], "nobody"]
    again = FittedRecommender.load(tmp_path / "arrays.npz").recommend(users, 5)
    assert again.equals(fitted.recommend(users, 5))


def test_unknown_users_are_cold_and_get_the_most_popular_items(fitted):
    table = fitted.recommend([fitted.user_ids[0], "nobody"], 4)
    cold = table[table["user_id"] == "nobody"]
    best = fitted.item_ids[np.argsort(-fitted.popularity, kind="stable")[:4]]
    assert cold["cold"].all()
    assert list(cold["item_id"]) == list(best)
    assert not table.loc[table["user_id"] == fitted.user_ids[0], "cold"].any()


@pytest.mark.parametrize("k", [0, 201])
def test_k_outside_the_catalog_is_refused(fitted, k):
    with pytest.raises(ValueError, match=f"k is {k}; the catalog has 200 items"):
        fitted.top_k(np.array([0]), k)
