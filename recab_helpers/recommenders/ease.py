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

MAX_SIDE = 20_000  # the inverse then takes 3.2 GB, and its time grows with the cube


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
        kernel = _inverse(liked, params.ease_regularization)
        explained, by_item = np.empty(train.n_items), liked.T.tocsr()
        for items in blocks(train.n_items, train.n_users, desc="EASE"):
            explained[items] = by_item[items].multiply(by_item[items] @ kernel).sum(axis=1)
        return UserKernel(liked, kernel.astype(np.float32), (1 / (1 - explained)).astype(np.float32)), known
    inverse = _inverse(liked.T.tocsr(), params.ease_regularization)
    diagonal, single = inverse.diagonal().copy(), inverse.reshape(-1).view(np.float32)
    for items in blocks(train.n_items, train.n_items, desc="EASE"):  # each row ends before the place of the next begins
        single[items.start * train.n_items : items.stop * train.n_items] = (inverse[items] / -diagonal).ravel()
    weights = single[: train.n_items**2].reshape(train.n_items, train.n_items)
    np.fill_diagonal(weights, 0)
    return ItemWeights(liked, weights), known


def _inverse(rows: sparse.csr_array, regularization: float) -> np.ndarray:
    """Of the positive definite rows @ rows.T + regularization I, by Cholesky, all in the place of one matrix."""
    from recab_helpers.blocks import blocks

    n, columns = rows.shape[0], rows.T.tocsr()
    square = np.empty((n, n))
    for part in blocks(n, n, desc="EASE"):
        square[part] = (rows[part] @ columns).toarray()
    square[np.diag_indices(n)] += regularization
    factor, _ = linalg.lapack.dpotrf(square.T, lower=1, overwrite_a=1, clean=0)  # a transpose is in LAPACK's order
    linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    for part in blocks(n, n, desc="EASE"):  # below the diagonal it is what it is above
        square[part, : part.start] = square[: part.start, part].T
        square[part, part] = np.triu(square[part, part]) + np.triu(square[part, part], 1).T
    return square
