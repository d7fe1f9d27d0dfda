"""Offline quality on held-out interactions: ranking metrics, coverage, novelty, and RMSE where it exists."""

import time
from collections.abc import Callable

import numpy as np

from recab_helpers.blocks import blocks
from recab_helpers.data.dataset import Interactions
from recab_helpers.data.split import TrainedOn
from recab_helpers.errors import DataError
from recab_helpers.recommenders.checked import checked_slates
from recab_helpers.recommenders.fitted import FittedRecommender, Scorer
from recab_helpers.recommenders.protocol import Served

Lists = Callable[[np.ndarray, int], np.ndarray]


def offline_quality(fitted: FittedRecommender, test: Interactions, *, k: int = 10) -> dict[str, float]:
    """`ranking` of a model that recab fitted, and RMSE of grades, nan where it predicts none or all are equal."""

    def lists(users: np.ndarray, k: int) -> np.ndarray:
        return fitted.top_k(users, k)[0]

    quality = ranking(lists, fitted.popularity, test, k=k)
    predicts = getattr(fitted.scorer, "are_ratings", False)
    return quality | {"rmse": rmse(fitted.scorer, test) if predicts and np.ptp(test.rating) else np.nan}


def quality_of(model: Served, data: TrainedOn, *, k: int = 10) -> dict[str, float]:
    """`ranking` of any model on the held-out part of the data, its lists held to their contract.

    Raises:
        DataError: the model returns something else than k items of the catalog for every user.
    """

    def lists(users: np.ndarray, k: int) -> np.ndarray:
        asked = data.user_ids[users]
        return checked_slates(model.recommend(asked, k), asked, data.item_ids, k, source=str(model.address))

    popularity = np.bincount(data.coded(data.train).item, minlength=len(data.item_ids))
    return ranking(lists, popularity, data.coded(data.held_out), k=k) | {"rmse": np.nan}


def ranking(lists: Lists, popularity: np.ndarray, test: Interactions, *, k: int = 10) -> dict[str, float]:
    """Metrics over users with at least one liked held-out item; `lists` gives the items of user codes, (n, k).

    NDCG@k with binary gains (Jarvelin and Kekalainen 2002), recall@k, precision@k; catalog coverage is the
    share of items recommended to anyone; novelty is the mean -log2 share of training interactions (Vargas
    and Castells 2011). `recommend_s` is in seconds.

    Raises:
        DataError: no held-out interaction is liked.
    """
    pairs = np.unique(test.user[test.liked].astype(np.int64) * test.n_items + test.item[test.liked])
    users, n_relevant = np.unique(test.user[test.liked], return_counts=True)
    if not len(users):
        raise DataError("None of the held-out interactions is liked; lower relevant_rating or give more interactions.")
    start = time.perf_counter()
    items = lists(users, min(k, test.n_items))
    recommend_s = time.perf_counter() - start
    hits = np.isin(users[:, None].astype(np.int64) * test.n_items + items, pairs)
    discount = 1 / np.log2(np.arange(items.shape[1]) + 2)
    ideal = np.cumsum(discount)[np.minimum(n_relevant, items.shape[1]) - 1]
    share = np.maximum(popularity, 1) / popularity.sum()
    return {
        f"ndcg_at_{k}": float(np.mean(hits @ discount / ideal)),
        f"recall_at_{k}": float(np.mean(hits.sum(1) / n_relevant)),
        f"precision_at_{k}": float(hits.mean()),
        "coverage": len(np.unique(items)) / test.n_items,
        "novelty_bits": float(-np.log2(share[items]).mean()),
        "recommend_s": recommend_s,
    }


def rmse(scorer: Scorer, test: Interactions) -> float:
    """Root mean squared error of predicted ratings, clipped to the scale of the test ratings as Surprise does."""
    users, row = np.unique(test.user, return_inverse=True)
    predicted = np.empty(len(row))
    for block in blocks(len(users), test.n_items, desc="ratings"):
        pairs = slice(*np.searchsorted(row, [block.start, block.stop]))  # rows are sorted by user
        predicted[pairs] = scorer.score(users[block])[row[pairs] - block.start, test.item[pairs]]
    clipped = np.clip(predicted, test.rating.min(), test.rating.max())
    return float(np.sqrt(np.mean((clipped - test.rating) ** 2)))
