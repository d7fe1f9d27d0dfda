"""Collaborative Filtering by Surprise's SVD, on implicit targets (ranking) or on ratings (RMSE)."""

import numpy as np
import pandas as pd
from surprise import SVD, Trainset

from recab_helpers.data.dataset import Interactions
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders.fitted import Factors

INIT_MEAN = 0.1  # of the factors, so that scores start above 0
CHUNK = 100_000  # ratings held as Python numbers at once, which take 15 times what they take in an array


class _ArrayTrainset(Trainset):
    """Surprise's training set over arrays, a chunk of Python numbers at a time; its own holds a Python list a user."""

    def __init__(self, user, item, rating, n_users: int, n_items: int, scale):
        super().__init__(
            ur=dict.fromkeys(np.unique(user).tolist()),
            ir=dict.fromkeys(np.unique(item).tolist()),
            n_users=n_users,
            n_items=n_items,
            n_ratings=len(rating),
            rating_scale=scale,
            raw2inner_id_users={},
            raw2inner_id_items={},
        )
        self._columns = user, item, rating
        self._global_mean = float(rating.mean(dtype=np.float64))

    def all_ratings(self):
        for start in range(0, self.n_ratings, CHUNK):
            yield from zip(*(c[start : start + CHUNK].tolist() for c in self._columns), strict=True)


def fit_svd(train: Interactions, *, seed: int, **options) -> SVD:
    """Surprise's SVD, with its own defaults or the given options; inner ids are the codes."""
    scale = (float(train.rating.min()), float(train.rating.max()))
    trainset = _ArrayTrainset(train.user, train.item, train.rating, train.n_users, train.n_items, scale)
    return SVD(random_state=seed, **options).fit(trainset)


def svd_factors(algo: SVD) -> tuple[np.ndarray, np.ndarray]:
    """User and item factors, float64, whose product equals `algo.estimate` for all pairs."""
    if not algo.biased:
        return algo.pu, algo.qi
    ones_users, ones_items = np.ones((len(algo.bu), 1)), np.ones((len(algo.bi), 1))
    mean = algo.trainset.global_mean
    users = np.hstack([algo.pu, mean + algo.bu[:, None], ones_users])
    return users, np.hstack([algo.qi, ones_items, algo.bi[:, None]])


def fit_collaborative(train: Interactions, _: pd.DataFrame, params: TrainParams) -> tuple[Factors, np.ndarray]:
    """SVD on implicit targets: 1 for a liked item, 0 for sampled unseen ones; users who like none are unknown."""
    targets = implicit_targets(train, negatives=params.collaborative_negatives, seed=params.seed)
    svd = fit_svd(
        targets,
        seed=params.seed,
        n_factors=params.collaborative_factors,
        n_epochs=params.collaborative_epochs,
        lr_all=params.collaborative_learning_rate,
        reg_all=params.collaborative_regularization,
        biased=False,
        init_mean=INIT_MEAN,
    )
    users, items = svd_factors(svd)
    known = np.bincount(targets.user, minlength=train.n_users) > 0
    return Factors(users.astype(np.float32), items.astype(np.float32)), known


def fit_collaborative_ratings(train: Interactions, _: pd.DataFrame, params: TrainParams) -> tuple[Factors, np.ndarray]:
    """SVD on the ratings themselves (Koren 2009, as in Surprise): a rating predictor, weak at ranking."""
    users, items = svd_factors(
        fit_svd(
            train,
            seed=params.seed,
            n_factors=params.ratings_factors,
            n_epochs=params.ratings_epochs,
            lr_all=params.ratings_learning_rate,
            reg_all=params.ratings_regularization,
        )
    )
    known = np.bincount(train.user, minlength=train.n_users) > 0
    return Factors(users.astype(np.float32), items.astype(np.float32), are_ratings=True), known


def implicit_targets(train: Interactions, *, negatives: int, seed: int) -> Interactions:
    """Liked interactions as 1 and `negatives` unseen items per liked one as 0, in sorted order.

    The unseen ones are drawn uniformly (Pan et al. 2008, one-class CF).

    Raises:
        DataError: no interaction is liked.
    """
    if not train.liked.any():
        raise DataError("None of the interactions to train on is liked. Lower relevant_rating.")
    pairs = train.user.astype(np.int64) * train.n_items + train.item
    has_unseen = np.bincount(train.user, minlength=train.n_users) < train.n_items
    user = np.repeat(train.user[train.liked].astype(np.int32), negatives)
    user = user[has_unseen[user]]
    item = _draw_unseen(user, np.unique(pairs), train.n_items, np.random.default_rng(seed))
    n_liked = int(train.liked.sum())
    keys = np.empty(n_liked + len(user), dtype=np.int64)  # user, item and 0 or 1 as one number, sorted in its place
    keys[:n_liked] = 2 * pairs[train.liked] + 1
    np.multiply(user, 2 * train.n_items, out=keys[n_liked:], dtype=np.int64)
    keys[n_liked:] += 2 * item
    keys.sort()
    users, items = np.empty(len(keys), dtype=np.int32), np.empty(len(keys), dtype=np.int32)
    for start in range(0, len(keys), CHUNK):
        rows = slice(start, start + CHUNK)
        users[rows], items[rows] = np.divmod(keys[rows] >> 1, train.n_items)
    liked = (keys & 1).astype(bool)
    return Interactions(
        user_ids=train.user_ids,
        item_ids=train.item_ids,
        user=users,
        item=items,
        rating=liked.astype(np.float32),
        liked=liked,
    )


def _draw_unseen(user, seen, n_items: int, rng: np.random.Generator) -> np.ndarray:
    """One uniform item per row that its user has not seen, by redrawing the seen ones, a chunk of rows at a time."""
    item = rng.integers(n_items, size=len(user), dtype=np.int32)

    def met(rows: np.ndarray) -> np.ndarray:
        """Those of the rows whose user has seen their item."""
        pair = user[rows].astype(np.int64) * n_items + item[rows]
        at = np.minimum(np.searchsorted(seen, pair), len(seen) - 1)
        return rows[seen[at] == pair]

    again = np.concatenate([met(np.arange(s, min(s + CHUNK, len(user)))) for s in range(0, len(user), CHUNK)] or [user])
    while len(again):
        item[again] = rng.integers(n_items, size=len(again), dtype=np.int32)
        again = met(again)
    return item
