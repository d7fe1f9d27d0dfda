"""EASE: a linear item-item model in closed form (Steck, Embarrassingly Shallow Autoencoders, WWW 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, sparse

if TYPE_CHECKING:  # this file travels with the model, so it loads nothing of recab at its top
    import pandas as pd

    from recab_helpers.data.dataset import Interactions
    from recab_helpers.parameters import TrainParams

MAX_SIDE = 15_000  # the inverse then takes 1.8 GB, twice while it is made


@dataclass(frozen=True)
class ItemWeights:
    """Sums of the weights from the items that the user liked."""

    liked: sparse.csr_array  # (n_users, n_items)
    weights: np.ndarray  # (n_items, n_items), zero on the diagonal

    def score(self, user: np.ndarray) -> np.ndarray:
        """Scores of all items for these user codes, shape (len(user), n_items)."""
        return self.liked[user] @ self.weights


@dataclass(frozen=True)
class UserKernel:
    """The same scores from a matrix of users, which is smaller where users are fewer than items."""

    liked: sparse.csr_array  # (n_users, n_items)
    kernel: np.ndarray  # (n_users, n_users), the inverse of XX' + regularization I
    scale: np.ndarray  # (n_items,) 1 / (regularization diag(P))

    def score(self, user: np.ndarray) -> np.ndarray:
        """Scores of all items for these user codes, shape (len(user), n_items)."""
        own = self.liked[user]
        through = ((own @ self.liked.T) @ self.kernel) @ self.liked
        return own.toarray() * (1 - self.scale) + through * self.scale


def fit_ease(train: Interactions, _: pd.DataFrame, params: TrainParams) -> tuple[ItemWeights | UserKernel, np.ndarray]:
    """Weights B = I - P / diag(P), P the inverse of X'X + regularization I, X the liked interactions.

    Where users are fewer than items, P = (I - X' K X) / regularization with K the inverse of XX' + regularization I
    (Woodbury). Users who like none are unknown.

    Raises:
        StepsAsideError: there are more than MAX_SIDE items, and users.
    """
    from recab_helpers.blocks import blocks
    from recab_helpers.errors import StepsAsideError

    if min(train.n_users, train.n_items) > MAX_SIDE:
        raise StepsAsideError(
            f"it inverts users x users or items x items, at most {MAX_SIDE:,} of them, and there are {train.n_users:,} "
            f"users and {train.n_items:,} items"
        )
    shape = (train.n_users, train.n_items)
    ones = np.ones(int(train.liked.sum()), dtype=np.float32)
    liked = sparse.csr_array((ones, (train.user[train.liked], train.item[train.liked])), shape=shape)
    known = np.diff(liked.indptr) > 0
    if train.n_users < train.n_items:
        kernel = _inverse(liked @ liked.T, params.ease_regularization)
        explained, by_item = np.empty(train.n_items), liked.T.tocsr()
        for items in blocks(train.n_items, train.n_users, desc="EASE"):
            explained[items] = by_item[items].multiply(by_item[items] @ kernel).sum(axis=1)
        return UserKernel(liked, kernel.astype(np.float32), (1 / (1 - explained)).astype(np.float32)), known
    inverse = _inverse(liked.T @ liked, params.ease_regularization)
    weights = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return ItemWeights(liked, weights), known


def _inverse(gram: sparse.csr_array, regularization: float) -> np.ndarray:
    """Of the positive definite gram + regularization I, by Cholesky."""
    dense = gram.toarray().astype(np.float64)
    dense[np.diag_indices_from(dense)] += regularization
    factor, _ = linalg.cho_factor(dense, lower=True, overwrite_a=True, check_finite=False)
    lower, _ = linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    lower = np.tril(lower)
    return lower + np.tril(lower, -1).T
