"""Content-Based recommendations: TF-IDF vectors of the items' text and cosine similarity to a user profile."""

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from recab_helpers.data.dataset import Interactions
from recab_helpers.recommenders.fitted import FittedRecommender
from recab_helpers.recommenders.popularity import assemble


def fit_content(train: Interactions, catalog: pd.DataFrame, *, popularity_weight: float = 0.0) -> FittedRecommender:
    """Score = cosine of the item's TF-IDF vector and the user's profile, times (1 + count)^popularity_weight.

    The profile is the sum of item vectors weighted max(0, rating - user mean + .5), normalized
    (Pazzani and Billsus 2007). Users whose profile is empty are cold. `catalog` is sorted by item_id and has
    one row per `train.item_ids`.
    """
    vectors = TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(catalog["text"])
    count = np.bincount(train.user, minlength=train.n_users)
    mean = np.bincount(train.user, weights=train.rating, minlength=train.n_users) / np.maximum(count, 1)
    weight = np.maximum(0, train.rating - mean[train.user] + 0.5)
    shape = (train.n_users, train.n_items)
    weights = sparse.csr_array((weight, (train.user, train.item)), shape=shape)
    profile_mass = weights @ (np.asarray(vectors.sum(axis=1)).ravel() > 0)
    popularity = np.bincount(train.item, minlength=train.n_items)
    return assemble(
        "content",
        train,
        weights,
        sparse.csr_array(vectors),
        cold=profile_mass == 0,
        normalize_users=True,
        item_weight=((1.0 + popularity) ** popularity_weight).astype(np.float32),
    )
