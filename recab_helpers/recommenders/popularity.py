"""Popularity, and what every fitted recommender shares: seen items and counts for cold users."""

import numpy as np
from scipy import sparse

from recab_helpers.data.dataset import Interactions
from recab_helpers.recommenders.fitted import FittedRecommender


def fit_popularity(train: Interactions) -> FittedRecommender:
    """Rank items by their number of training interactions, the same for every user."""
    counts = np.bincount(train.item, minlength=train.n_items).astype(np.float32)
    return assemble("popularity", train, np.ones((train.n_users, 1)), counts[:, None])


def assemble(name: str, train: Interactions, user_matrix, item_matrix, *, cold=None, **more) -> FittedRecommender:
    """A fitted recommender over these factors; `cold` defaults to no user."""
    shape = (train.n_users, train.n_items)
    seen = sparse.csr_array((np.ones(len(train.user), dtype=bool), (train.user, train.item)), shape=shape)
    defaults = {"item_weight": np.ones(train.n_items, dtype=np.float32)}
    return FittedRecommender(
        name=name,
        user_ids=train.user_ids,
        item_ids=train.item_ids,
        user_matrix=user_matrix.astype(np.float32),
        item_matrix=item_matrix.astype(np.float32),
        seen=seen,
        popularity=np.bincount(train.item, minlength=train.n_items).astype(np.float32),
        cold=np.zeros(train.n_users, dtype=bool) if cold is None else cold,
        **defaults | more,
    )
