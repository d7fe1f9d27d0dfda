"""The models are what they say: Surprise's own estimates, cosine similarity, published accuracy."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import KFold

from recab_helpers.data import Interactions, encode, ids_of, split_interactions
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import (
    fit_all,
    fit_collaborative,
    fit_content,
    fit_svd,
    implicit_targets,
    svd_factors,
)
from recab_helpers.recommenders.collaborative import NEGATIVES


@pytest.fixture(scope="module")
def train(world_data) -> Interactions:
    users, items = ids_of(world_data)
    return encode(world_data.interactions, user_ids=users, item_ids=items)


@pytest.mark.parametrize("options", [{}, {"biased": False, "init_mean": 0.1}])
def test_vectorized_scores_equal_surprise_estimates(train, options):
    algo = fit_svd(train, seed=1, n_epochs=5, **options)
    users, items = svd_factors(algo)
    scores = users @ items.T
    for user, item in zip(train.user[::97], train.item[::89], strict=False):
        assert scores[user, item] == pytest.approx(algo.estimate(int(user), int(item)), abs=1e-9)


def test_implicit_targets_hold_liked_items_and_unseen_ones_only(train):
    targets = implicit_targets(train, relevant_rating=4, seed=1)
    seen = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    negative = targets.rating == 0
    drawn = zip(targets.user[negative].tolist(), targets.item[negative].tolist(), strict=True)
    assert not seen & set(drawn)
    assert negative.sum() == NEGATIVES * (train.rating >= 4).sum()


def test_the_row_order_of_the_data_does_not_change_the_model(world_data, train):
    users, items = ids_of(world_data)
    shuffled = encode(world_data.interactions.sample(frac=1, random_state=1), user_ids=users, item_ids=items)
    one, two = (fit_collaborative(t, relevant_rating=4, seed=1) for t in (train, shuffled))
    assert np.array_equal(one.user_matrix, two.user_matrix)


def test_no_liked_item_is_refused(train):
    with pytest.raises(ValueError, match="relevant_rating=9; the highest is 5"):
        fit_collaborative(train, relevant_rating=9, seed=1)


def test_content_scores_are_the_cosine_of_profile_and_item(world_data, train):
    fitted = fit_content(train, world_data.catalog)
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform(world_data.catalog["text"])
    user = 11
    rows = train.user == user
    weight = np.maximum(0, train.rating[rows] - train.rating[rows].mean() + 0.5)
    profile = weight @ vectors[train.item[rows]].toarray()
    expected = cosine_similarity(profile[None], vectors)[0]
    assert fitted.score(np.array([user]))[0] == pytest.approx(expected, abs=1e-5)


def test_each_model_beats_a_random_ranking(world_data):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    _, quality = fit_all(world_data, train, held_out, TrainParams(seed=1))
    liked = (held_out["rating"] >= 4).groupby(held_out["user_id"]).sum()
    random_precision = liked[liked > 0].mean() / 180  # liked items over unseen ones, roughly
    assert (quality["precision_at_10"] > 1.3 * random_precision).all()
    assert quality["rmse"].notna().sum() == 1


@pytest.mark.slow
def test_surprise_svd_reproduces_its_published_rmse_on_movielens_100k(ml_100k):
    """SVD .934 over 5 random folds (surpriselib.com, benchmarks)."""
    users, items = ids_of(ml_100k)
    data = encode(ml_100k.interactions, user_ids=users, item_ids=items)
    errors = []
    for fold, (fit, test) in enumerate(KFold(5, shuffle=True, random_state=0).split(data.rating)):
        part = [
            Interactions(user_ids=users, item_ids=items, user=data.user[r], item=data.item[r], rating=data.rating[r])
            for r in (fit, test)
        ]
        algo = fit_svd(part[0], seed=fold)
        p, q = svd_factors(algo)
        predicted = np.clip(np.einsum("nd,nd->n", p[part[1].user], q[part[1].item]), 1, 5)
        errors.append(np.sqrt(np.mean((predicted - part[1].rating) ** 2)))
    assert np.mean(errors) == pytest.approx(0.934, abs=0.004)


@pytest.mark.slow
def test_ranking_quality_on_movielens_100k(ml_100k):
    """Random 20% per user, relevant = 4 or more: collaborative .33 or better, popularity about .17."""
    train, held_out = split_interactions(ml_100k, split="per_user", seed=1)
    models, quality = fit_all(ml_100k, train, held_out, TrainParams())
    ndcg = quality["ndcg_at_10"]
    assert ndcg["collaborative"] >= 0.33
    assert ndcg["popularity"] == pytest.approx(0.17, abs=0.015)
    unseen = models["content"].seen.shape[1] - models["content"].seen.sum(axis=1).mean()
    liked = (held_out["rating"] >= 4).groupby(held_out["user_id"]).sum()
    assert ndcg["content"] >= 3 * liked[liked > 0].mean() / unseen  # a random ranking's precision bounds its NDCG
