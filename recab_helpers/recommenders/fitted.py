"""A fitted recommender: plain arrays that score all users at once and rank exactly, in bounded memory.

This one file also travels with every registered model, where MLflow runs it to rebuild the model. It
therefore imports nothing from the rest of the package.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

BLOCK_CELLS = 4_000_000  # scores held at once: users of a block x items
MATRICES = ("user_matrix", "item_matrix", "seen")


@dataclass(frozen=True, kw_only=True)
class FittedRecommender:
    """Scores are `user_matrix @ item_matrix.T`; ids are sorted strings.

    With `normalize_users` the rows of `user_matrix` are weights over items instead, and a user's vector is
    the normalized weighted sum of item vectors (the profile of a content-based model). `item_weight`
    multiplies the scores. Cold users, who have no vector, get the most popular items.
    """

    name: str
    user_ids: np.ndarray  # (n_users,)
    item_ids: np.ndarray  # (n_items,)
    user_matrix: np.ndarray | sparse.csr_array  # (n_users, d), or (n_users, n_items) with normalize_users
    item_matrix: np.ndarray | sparse.csr_array  # (n_items, d)
    seen: sparse.csr_array  # (n_users, n_items), nonzero where the user met the item in training
    popularity: np.ndarray  # (n_items,) interactions in training
    cold: np.ndarray  # (n_users,) True where the model knows nothing of the user
    item_weight: np.ndarray  # (n_items,)
    normalize_users: bool = False

    def score(self, user: np.ndarray) -> np.ndarray:
        """Scores of all items for the given user codes, shape (len(user), n_items), never clipped."""
        rows = self.user_matrix[user]
        if self.normalize_users:
            rows = (rows @ self.item_matrix).toarray()
            rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        scores = (self.item_matrix @ rows.T).T if sparse.issparse(self.item_matrix) else rows @ self.item_matrix.T
        scores = scores * self.item_weight
        scores[self.cold[user]] = self.popularity
        return scores

    def top_k(self, user: np.ndarray, k: int, *, exclude_seen: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Item codes and scores of the k best items per user, both (len(user), k), best first.

        Ties go to the earlier item. Seen items rank after all unseen ones (with score -inf).

        Raises:
            ValueError: k is larger than the catalog.
        """
        n_items = len(self.item_ids)
        if not 1 <= k <= n_items:
            raise ValueError(f"k is {k}; the catalog has {n_items:,} items, so give a value from 1 to {n_items}.")
        items = np.empty((len(user), k), dtype=np.int32)
        scores = np.empty((len(user), k), dtype=np.float32)
        block = max(1, BLOCK_CELLS // n_items)
        for start in range(0, len(user), block):
            rows = user[start : start + block]
            block_scores = self.score(rows)
            if exclude_seen:
                met = self.seen[rows]
                block_scores[np.repeat(np.arange(len(rows)), np.diff(met.indptr)), met.indices] = -np.inf
            best = top_k(block_scores, k)
            items[start : start + block] = best
            scores[start : start + block] = np.take_along_axis(block_scores, best, axis=1)
        return items, scores

    def recommend(self, user_ids, k: int = 10) -> pd.DataFrame:
        """The recommendations table: user_id, position (from 1), item_id, score, cold.

        Users whom the model has not met are cold: they get the most popular items.
        """
        wanted = np.asarray(user_ids, dtype=str)
        model, code = self._with_unknown(wanted)
        items, scores = model.top_k(code, k)
        return pd.DataFrame(
            {
                "user_id": np.repeat(wanted, k),
                "position": np.tile(np.arange(1, k + 1), len(wanted)),
                "item_id": self.item_ids[items.ravel()],
                "score": scores.ravel(),
                "cold": np.repeat(model.cold[code], k),
            }
        )

    def _with_unknown(self, wanted: np.ndarray) -> tuple["FittedRecommender", np.ndarray]:
        """This model with one more row, a cold user, to which every unknown id is mapped."""
        code = np.searchsorted(self.user_ids, wanted)
        known = self.user_ids[np.minimum(code, len(self.user_ids) - 1)] == wanted
        if known.all():
            return self, code
        stack = sparse.vstack if sparse.issparse(self.user_matrix) else np.vstack
        blank = self.user_matrix[:1] * 0
        unseen = sparse.csr_array((1, self.seen.shape[1]), dtype=self.seen.dtype)
        grown = replace(
            self,
            user_matrix=sparse.csr_array(stack([self.user_matrix, blank]))
            if stack is sparse.vstack
            else stack([self.user_matrix, blank]),
            seen=sparse.csr_array(sparse.vstack([self.seen, unseen])),
            cold=np.append(self.cold, True),
        )
        return grown, np.where(known, code, len(self.user_ids))

    def save(self, file: str | Path) -> None:
        """Write every array to one .npz file, numbers as float32."""
        arrays = {"name": self.name, "normalize_users": self.normalize_users}
        for key in ("user_ids", "item_ids", "popularity", "cold", "item_weight"):
            arrays[key] = getattr(self, key)
        for key in MATRICES:
            matrix = getattr(self, key)
            if sparse.issparse(matrix):
                parts = {
                    "data": matrix.data,
                    "indices": matrix.indices,
                    "indptr": matrix.indptr,
                    "shape": matrix.shape,
                }
                arrays |= {f"{key}.{part}": value for part, value in parts.items()}
            else:
                arrays[key] = matrix
        np.savez(file, **arrays)

    @classmethod
    def load(cls, file: str | Path) -> "FittedRecommender":
        """Read what `save` wrote."""
        with np.load(file) as stored:
            arrays = dict(stored)
        for key in MATRICES:
            if f"{key}.data" in arrays:
                data, indices, indptr, shape = (
                    arrays.pop(f"{key}.{p}") for p in ("data", "indices", "indptr", "shape")
                )
                arrays[key] = sparse.csr_array((data, indices, indptr), shape=tuple(shape))
        return cls(**arrays | {"name": str(arrays["name"]), "normalize_users": bool(arrays["normalize_users"])})


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Column indices of the k largest scores per row, best first; ties go to the lower index, exactly."""
    n_columns = scores.shape[1]
    if k < n_columns:
        chosen = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        cutoff = np.take_along_axis(scores, chosen, axis=1).min(axis=1)
        tied = np.flatnonzero((scores >= cutoff[:, None]).sum(axis=1) > k)  # a tie crosses the boundary
        chosen[tied] = np.sort(np.argsort(-scores[tied], axis=1, kind="stable")[:, :k], axis=1)
    else:
        chosen = np.broadcast_to(np.arange(n_columns), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)


if __package__ != "recab_helpers.recommenders":  # MLflow runs this file to rebuild a registered model
    import mlflow

    class RegisteredRecommender(mlflow.pyfunc.PythonModel):
        """Input: a user_id column, and k as a parameter; output: the recommendations table."""

        def load_context(self, context):
            """Read the arrays that were registered with the model."""
            self.fitted = FittedRecommender.load(context.artifacts["arrays"])

        def predict(self, context, model_input, params=None):
            """Recommend k items to every user_id of the input."""
            return self.fitted.recommend(model_input["user_id"], int((params or {}).get("k", 10)))

    mlflow.models.set_model(RegisteredRecommender())
