"""Content-Based recommendations: TF-IDF vectors of the items' text and cosine similarity to a user profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:  # this file travels with the model, so it loads nothing of recab at its top
    import pandas as pd

    from recab_helpers.data.dataset import Interactions
    from recab_helpers.parameters import TrainParams


@dataclass(frozen=True)
class Profiles:
    """Cosine of the user's profile and the item's vector, times a weight of the item."""

    likes: sparse.csr_array  # (n_users, n_items) weight of each item in the user's profile
    vectors: sparse.csr_array  # (n_items, n_words), rows of norm 1
    item_weight: np.ndarray  # (n_items,)

    def score(self, user: np.ndarray) -> np.ndarray:
        """Scores of all items for these user codes, shape (len(user), n_items)."""
        profile = (self.likes[user] @ self.vectors).toarray()
        profile /= np.maximum(np.linalg.norm(profile, axis=1, keepdims=True), 1e-12)
        by_item, scores = self.vectors @ profile.T, np.empty((len(user), len(self.item_weight)), dtype=np.float32)
        for start in range(0, len(by_item), 512):  # turned in pieces that stay in the cache
            part = slice(start, start + 512)
            scores[:, part] = by_item[part].T * self.item_weight[part]
        return scores


def fit_content(train: Interactions, catalog: pd.DataFrame, params: TrainParams) -> tuple[Profiles, np.ndarray]:
    """Score = cosine of the item's TF-IDF vector and the user's profile, times (1 + count)^content_popularity.

    The profile is the sum of item vectors weighted max(0, rating - user mean + .5), normalized
    (Pazzani and Billsus 2007). Users whose profile is empty are unknown.

    Raises:
        StepsAsideError: no item has a word in its text.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    from recab_helpers.data.dataset import has_words
    from recab_helpers.errors import StepsAsideError

    if not has_words(catalog):
        raise StepsAsideError(
            "no item has a word in its text; name the columns to read, such as data_columns={text: [title, genres]}"
        )

    vectors = TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(catalog["text"])
    count = np.bincount(train.user, minlength=train.n_users)
    mean = np.bincount(train.user, weights=train.rating, minlength=train.n_users) / np.maximum(count, 1)
    weight = np.maximum(0, train.rating - mean[train.user] + 0.5)
    likes = sparse.csr_array((weight, (train.user, train.item)), shape=(train.n_users, train.n_items))
    known = likes @ (np.asarray(vectors.sum(axis=1)).ravel() > 0) > 0
    popularity = np.bincount(train.item, minlength=train.n_items)
    item_weight = ((1.0 + popularity) ** params.content_popularity).astype(np.float32)
    return Profiles(likes.astype(np.float32), sparse.csr_array(vectors), item_weight), known
