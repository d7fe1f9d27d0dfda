"""Offline quality on held-out interactions: ranking metrics, coverage, novelty, and RMSE where it exists."""

import time

import numpy as np

from recab_helpers.blocks import blocks
from recab_helpers.data.dataset import Interactions
from recab_helpers.errors import DataError
from recab_helpers.recommenders.fitted import FittedRecommender, Scorer


def offline_quality(
    fitted: FittedRecommender, test: Interactions, *, k: int = 10
) -> dict[str, float]:
    """Metrics over users with at least one relevant held-out item.

    NDCG@k with binary gains (Jarvelin and Kekalainen 2002), recall@k, precision@k; catalog coverage is the
    share of items recommended to anyone; novelty is the mean -log2 share of training interactions (Vargas
    and Castells 2011). RMSE is of grades, and nan for
    models that do not predict them and where all held-out ones are equal. `recommend_s` is in seconds.
    """
    relevant = test.liked
    pairs = np.unique(test.user[relevant].astype(np.int64) * test.n_items + test.item[relevant])
    users, n_relevant = np.unique(test.user[relevant], return_counts=True)
    if not len(users):
        raise DataError("None of the held-out interactions is liked; lower relevant_rating or give more interactions.")
    start = time.perf_counter()
    items, _ = fitted.top_k(users, min(k, test.n_items))
    recommend_s = time.perf_counter() - start
    hits = np.isin(users[:, None].astype(np.int64) * test.n_items + items, pairs)
    discount = 1 / np.log2(np.arange(items.shape[1]) + 2)
    ideal = np.cumsum(discount)[np.minimum(n_relevant, items.shape[1]) - 1]
    predicts = getattr(fitted.scorer, "are_ratings", False)
    share = np.maximum(fitted.popularity, 1) / fitted.popularity.sum()
    return {
        f"ndcg_at_{k}": float(np.mean(hits @ discount / ideal)),
        f"recall_at_{k}": float(np.mean(hits.sum(1) / n_relevant)),
        f"precision_at_{k}": float(hits.mean()),
        "coverage": len(np.unique(items)) / test.n_items,
        "novelty_bits": float(-np.log2(share[items]).mean()),
        "rmse": rmse(fitted.scorer, test) if predicts and np.ptp(test.rating) else np.nan,
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
