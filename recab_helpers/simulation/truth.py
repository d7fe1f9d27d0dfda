"""What is true in a simulated test: P(click | examined) of every user and item.

A synthetic world states it. Recorded data do not know their clicks, so two definitions are offered, which can
disagree on the winner: `held_out` grades only what users rated in the held-out part, `completed` fills the
whole preference matrix with a model that is independent of the two under test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import nnls
from scipy.special import expit
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from recab_helpers.blocks import blocks
from recab_helpers.data.dataset import Interactions, has_words
from recab_helpers.data.scale import HIGHEST
from recab_helpers.data.split import TrainedOn
from recab_helpers.data.world import World

BASE_CLICK = 0.02  # P(click | examined) of an unrated item in recorded data
N_NEIGHBORS = 40
N_TEXT_FEATURES = 30
RIDGE = 5.0
BLOCK_USERS = 1024
SHRINKAGE = 5.0  # ratings' worth of prior in an item's or user's mean


class Truth(Protocol):
    """What is true of every user and item."""

    def p_click(self, user: slice | np.ndarray) -> np.ndarray:
        """P(click | examined) of all items for some users, shape (number of users, n_items)."""
        ...


def truths_of(data: TrainedOn, *, seed: int) -> dict[str, Truth]:
    """The definitions of truth that these data offer, by name."""
    if data.world is not None:
        return {"synthetic world": WorldTruth(data.world)}
    whole = data.coded(pd.concat([data.train, data.held_out]))
    truths: dict[str, Truth] = {"held_out": HeldOutTruth.of(data.coded(data.held_out))}
    if not untold_truths(data):
        truths["completed"] = CompletedTruth.of(whole, data.catalog, seed=seed)
    return truths


def untold_truths(data: TrainedOn, wanted: str = "completed") -> dict[str, str]:
    """The wanted truth, where these data cannot tell it, with the reason."""
    grades = pd.concat([data.train["grade"], data.held_out["grade"]])
    if data.world is not None or wanted != "completed" or grades.min() < grades.max():
        return {}
    return {
        "completed": "cannot tell: all ratings are equal, so that it would grade every item alike; held_out is drawn"
    }


def drawn_truth(truths: Mapping[str, Truth], wanted: str) -> str:
    """The name of the truth that clicks are drawn from: the wanted one, or the only one that there is."""
    return wanted if wanted in truths else next(iter(truths))


def p_click_of(truth: Truth, slates: list[np.ndarray], n_items: int) -> list[np.ndarray]:
    """P(click | examined) of each slate's items, shapes (n_users, slate_size), a block of users at a time."""
    out = [np.empty(s.shape) for s in slates]
    for users in blocks(len(slates[0]), n_items, desc="truth"):
        p_click = truth.p_click(users)
        for slate, values in zip(slates, out, strict=True):
            values[users] = np.take_along_axis(p_click, slate[users], axis=1)
    return out


@dataclass(frozen=True)
class WorldTruth:
    """The synthetic world's own probabilities."""

    world: World

    def p_click(self, user: slice | np.ndarray) -> np.ndarray:
        w = self.world
        return expit(w.user_taste[user] @ w.item_taste.T + w.item_bias + w.user_bias[user, None])


@dataclass(frozen=True)
class HeldOutTruth:
    """Graded by held-out feedback: base + (1 - 2 base)(2^grade - 1)/(2^5 - 1), and base where unrated.

    The grade is the gain of expected reciprocal rank (Chapelle et al. 2009).
    """

    ratings: sparse.csr_array  # (n_users, n_items) held-out grades

    @classmethod
    def of(cls, held_out: Interactions) -> "HeldOutTruth":
        shape = (held_out.n_users, held_out.n_items)
        ratings = sparse.csr_array((held_out.rating, (held_out.user, held_out.item)), shape=shape)
        return cls(ratings)

    def p_click(self, user: slice | np.ndarray) -> np.ndarray:
        return graded(self.ratings[user].toarray())


@dataclass(frozen=True)
class CompletedTruth:
    """Graded by completed grades: item means, user neighbors and item text, blended and clipped to the scale."""

    item_mean: np.ndarray  # (n_items,)
    user_mean: np.ndarray  # (n_users,) deviation from the item means
    residuals: sparse.csr_array  # (n_users, n_items)
    similarity: sparse.csr_array  # (n_users, n_users), N_NEIGHBORS a row
    text: np.ndarray  # (n_items, N_TEXT_FEATURES)
    taste: np.ndarray  # (n_users, N_TEXT_FEATURES)
    blend: np.ndarray  # (2,) weights of neighbors and text

    @classmethod
    def of(cls, all_interactions: Interactions, catalog: pd.DataFrame, *, seed: int) -> "CompletedTruth":
        """Fit on all interactions; the blend is fitted on a fifth of them that the parts did not see."""
        data = all_interactions
        held = np.random.default_rng(seed).random(len(data.rating)) < 0.2
        text = _text_features(catalog, seed)
        parts = _completion_parts(data, ~held, text)
        rows = data.user[held], data.item[held]
        target = data.rating[held] - parts["item_mean"][rows[1]] - parts["user_mean"][rows[0]]
        predicted = _at(parts, text, *rows)
        blend = nnls(predicted.T @ predicted, np.maximum(predicted.T @ target, 0))[0]
        whole = _completion_parts(data, np.ones_like(held), text)
        return cls(**whole, text=text, blend=blend)

    def p_click(self, user: slice | np.ndarray) -> np.ndarray:
        neighbors = _neighbor_scores(self.similarity, self.residuals, user)
        text = self.taste[user] @ self.text.T
        ratings = self.item_mean + self.user_mean[user, None] + self.blend[0] * neighbors + self.blend[1] * text
        return graded(np.clip(ratings, 0, HIGHEST))


def graded(grades: np.ndarray, *, base: float = BASE_CLICK) -> np.ndarray:
    """P(click | examined) of a grade; 0 (none) gives `base`, the highest 1 - base."""
    return base + (1 - 2 * base) * np.expm1(grades * np.log(2)) / (2.0**HIGHEST - 1)


def _text_features(catalog: pd.DataFrame, seed: int) -> np.ndarray:
    if not has_words(catalog):
        return np.zeros((len(catalog), 1))
    vectors = TfidfVectorizer().fit_transform(catalog["text"])
    n = min(N_TEXT_FEATURES, min(vectors.shape) - 1)
    return TruncatedSVD(n, random_state=seed).fit_transform(vectors)


def _completion_parts(data: Interactions, rows: np.ndarray, text: np.ndarray) -> dict[str, np.ndarray]:
    user, item, rating = data.user[rows], data.item[rows], data.rating[rows]
    item_mean = rating.mean() + _shrunk_mean(item, rating - rating.mean(), data.n_items)
    user_mean = _shrunk_mean(user, rating - item_mean[item], data.n_users)
    residual = rating - item_mean[item] - user_mean[user]
    residuals = sparse.csr_array((residual, (user, item)), shape=(data.n_users, data.n_items))
    norms = np.sqrt(residuals.multiply(residuals).sum(axis=1))
    similarity = _nearest_users(residuals.multiply(1 / np.maximum(norms, 1e-12)[:, None]).tocsr())
    return {
        "item_mean": item_mean,
        "user_mean": user_mean,
        "residuals": residuals,
        "similarity": similarity,
        "taste": _ridge_per_user(residuals, text),
    }


def _shrunk_mean(group: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(group, values, n) / (np.bincount(group, minlength=n) + SHRINKAGE)


def _nearest_users(unit_rows: sparse.csr_array) -> sparse.csr_array:
    """The N_NEIGHBORS most similar users (cosine) of each, a block of users at a time."""
    n = unit_rows.shape[0]
    blocks = []
    for start in range(0, n, BLOCK_USERS):
        cosine = (unit_rows[start : start + BLOCK_USERS] @ unit_rows.T).toarray()
        cosine[np.arange(len(cosine)), np.arange(start, start + len(cosine))] = 0
        if n > N_NEIGHBORS:
            cosine[cosine < np.partition(cosine, -N_NEIGHBORS, axis=1)[:, -N_NEIGHBORS, None]] = 0
        blocks.append(sparse.csr_array(np.maximum(cosine, 0)))
    return sparse.csr_array(sparse.vstack(blocks))


def _ridge_per_user(residuals: sparse.csr_array, text: np.ndarray) -> np.ndarray:
    """Every user's ridge regression of residuals on item features, shape (n_users, d), solved in batches."""
    d = text.shape[1]
    products = (text[:, :, None] * text[:, None, :]).reshape(len(text), d * d)
    taste = np.empty((residuals.shape[0], d))
    for start in range(0, len(taste), BLOCK_USERS):
        block = residuals[start : start + BLOCK_USERS]
        gram = ((block != 0).astype(np.float64) @ products).reshape(-1, d, d) + RIDGE * np.eye(d)
        taste[start : start + BLOCK_USERS] = np.linalg.solve(gram, (block @ text)[:, :, None])[:, :, 0]
    return taste


def _neighbor_scores(similarity, residuals, user: slice | np.ndarray) -> np.ndarray:
    """Similarity-weighted mean residual of the neighbors who rated the item, shrunk to 0 where few did."""
    near = similarity[user]
    mass = (near @ (residuals != 0).astype(np.float64)).toarray()
    return (near @ residuals).toarray() / (mass + 0.5)


def _at(parts: dict, text: np.ndarray, user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Both predictions for given pairs, shape (n, 2), a block of users at a time."""
    out = np.empty((len(user), 2))
    out[:, 1] = np.einsum("nd,nd->n", parts["taste"][user], text[item])
    for start in range(0, len(parts["taste"]), BLOCK_USERS):
        block = np.arange(start, min(start + BLOCK_USERS, len(parts["taste"])))
        rows = (user >= start) & (user < start + BLOCK_USERS)
        scores = _neighbor_scores(parts["similarity"], parts["residuals"], block)
        out[rows, 0] = scores[user[rows] - start, item[rows]]
    return out
