"""A fitted recommender: ranks the catalog for all users at once, exactly, in bounded memory, whatever it scores by.

This one file travels with every registered model, where MLflow runs it to rebuild the model; the file of the model's
scorer, where that is another one, travels beside it. They therefore import nothing from the rest of the package.
"""

import inspect
import os
import shutil
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import sparse
from threadpoolctl import threadpool_limits

ARRAYS = "arrays.npz"
SPARSE = ("data", "indices", "indptr", "shape")
BLOCK = 64  # columns whose maximum is taken at once


class Scorer(Protocol):
    """What a model scores by: a frozen dataclass of arrays, numbers, or other scorers and tuples of them.

    Its file travels with the model: at its top it imports numpy, pandas and scipy only.
    """

    def score(self, user: np.ndarray) -> np.ndarray:
        """Scores of all items for these user codes, shape (len(user), n_items), higher is better."""
        ...


@dataclass(frozen=True)
class Factors:
    """Scores are `users @ items.T`; with `are_ratings` they predict ratings."""

    users: np.ndarray  # (n_users, d)
    items: np.ndarray  # (n_items, d)
    are_ratings: bool = False

    def score(self, user: np.ndarray) -> np.ndarray:
        """Scores of all items for these user codes, shape (len(user), n_items)."""
        return self.users[user] @ self.items.T


@dataclass(frozen=True, kw_only=True)
class FittedRecommender:
    """Ranks by `scorer`; who is cold, because the model knows nothing of them, gets the most popular items.

    Ids are sorted strings; a user code counts from 0 in `user_ids`, and -1 is a user whom the model never met.
    """

    name: str
    scorer: Scorer
    user_ids: np.ndarray  # (n_users,)
    item_ids: np.ndarray  # (n_items,)
    seen: sparse.csr_array  # (n_users, n_items), nonzero where the user met the item in training
    popularity: np.ndarray  # (n_items,) interactions in training
    cold: np.ndarray  # (n_users,) True where the model knows nothing of the user

    @classmethod
    def of(cls, name: str, train, scorer: Scorer, known: np.ndarray) -> "FittedRecommender":
        """From the `Interactions` that it was fitted on; `known` is False for the users who are cold, (n_users,)."""
        shape = (train.n_users, train.n_items)
        return cls(
            name=name,
            scorer=scorer,
            user_ids=train.user_ids,
            item_ids=train.item_ids,
            seen=sparse.csr_array((np.ones(len(train.user), dtype=bool), (train.user, train.item)), shape=shape),
            popularity=np.bincount(train.item, minlength=train.n_items).astype(np.float32),
            cold=~known,
        )

    def score(self, user: np.ndarray) -> np.ndarray:
        """Scores of all items for these user codes, shape (len(user), n_items), float32, never clipped."""
        scores = np.require(self.scorer.score(np.maximum(user, 0)), np.float32, ["C", "W"])  # copied only where it must
        scores[self._is_cold(user)] = self.popularity
        return scores

    def top_k(
        self, user: np.ndarray, k: int, *, exclude_seen: bool = True, block_cells: int = 4_000_000
    ) -> tuple[np.ndarray, np.ndarray]:
        """Item codes and scores of the k best items per user, both (len(user), k), best first.

        Ties go to the earlier item. Seen items rank after all unseen ones (with score -inf). At most `block_cells`
        scores are held at once.

        Raises:
            ValueError: k is larger than the catalog.
        """
        n_items = len(self.item_ids)
        if not 1 <= k <= n_items:
            raise ValueError(f"k is {k}; the catalog has {n_items:,} items, so give a value from 1 to {n_items}.")
        items = np.empty((len(user), k), dtype=np.int32)
        scores = np.empty((len(user), k), dtype=np.float32)
        workers = os.cpu_count() or 1
        size = max(1, block_cells // (n_items * workers))

        def rank(start: int) -> None:
            rows = user[start : start + size]
            block = self.score(rows)
            if exclude_seen:
                met_before = np.flatnonzero(rows >= 0)
                seen = self.seen[rows[met_before]]
                block[np.repeat(met_before, np.diff(seen.indptr)), seen.indices] = -np.inf
            best = top_k(block, k)
            items[start : start + size] = best
            scores[start : start + size] = np.take_along_axis(block, best, axis=1)

        with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:  # a core a block, and not all cores each block
            list(pool.map(rank, range(0, len(user), size)))
        return items, scores

    def recommend(self, user_ids, k: int = 10) -> pd.DataFrame:
        """The recommendations table: user_id, position (from 1), item_id, score, cold."""
        wanted = np.asarray(user_ids, dtype=str)
        code = np.minimum(np.searchsorted(self.user_ids, wanted), len(self.user_ids) - 1)
        code = np.where(self.user_ids[code] == wanted, code, -1)
        items, scores = self.top_k(code, k)
        return pd.DataFrame(
            {
                "user_id": np.repeat(wanted, k),
                "position": np.tile(np.arange(1, k + 1), len(wanted)),
                "item_id": self.item_ids[items.ravel()],
                "score": scores.ravel(),
                "cold": np.repeat(self._is_cold(code), k),
            }
        )

    def _is_cold(self, user: np.ndarray) -> np.ndarray:
        return (user < 0) | self.cold[user]

    def save(self, folder: str | Path) -> None:
        """Write all arrays to one .npz file in the folder, which is made, and beside it the files of the scorers."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        arrays, files = _pack(self, "")
        for file in files:
            shutil.copy(file, folder)
        np.savez(Path(folder) / ARRAYS, **arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "FittedRecommender":
        """Read what `save` wrote; scorers come from the files of the folder, not from those of this process."""
        with np.load(Path(folder) / ARRAYS) as stored:
            return _unpack(cls, dict(stored), "", Path(folder))


def _pack(thing: Any, prefix: str) -> tuple[dict[str, Any], set[str]]:
    """The fields of a dataclass as flat arrays under dotted names, and the files of the scorers among them."""
    arrays: dict[str, Any] = {}
    files: set[str] = set()

    def scorer(part: Any, key: str) -> None:
        inner, more = _pack(part, f"{key}.")
        file = "" if type(part).__module__ == __name__ else inspect.getfile(type(part))
        arrays.update(inner | {f"{key}.class": f"{Path(file).name if file else ''}:{type(part).__name__}"})
        files.update(more | ({file} if file else set()))

    for f in fields(thing):
        key, value = f"{prefix}{f.name}", getattr(thing, f.name)
        if sparse.issparse(value):
            arrays |= {f"{key}.{part}": getattr(value, part) for part in SPARSE}
        elif isinstance(value, tuple):
            arrays[f"{key}.length"] = len(value)
            for i, part in enumerate(value):
                scorer(part, f"{key}.{i}")
        elif is_dataclass(value):
            scorer(value, key)
        else:
            arrays[key] = value
    return arrays, files


def _unpack(cls: type, arrays: dict[str, Any], prefix: str, folder: Path) -> Any:
    """The dataclass whose fields `_pack` wrote."""

    def scorer(key: str) -> Any:
        return _unpack(_class_of(str(arrays[f"{key}.class"]), folder), arrays, f"{key}.", folder)

    values = {}
    for f in fields(cls):
        key = f"{prefix}{f.name}"
        if f"{key}.length" in arrays:
            values[f.name] = tuple(scorer(f"{key}.{i}") for i in range(arrays[f"{key}.length"]))
        elif f"{key}.class" in arrays:
            values[f.name] = scorer(key)
        elif f"{key}.data" in arrays:
            data, indices, indptr, shape = (arrays[f"{key}.{part}"] for part in SPARSE)
            values[f.name] = sparse.csr_array((data, indices, indptr), shape=tuple(shape))
        else:
            values[f.name] = arrays[key] if arrays[key].ndim else arrays[key].item()
    return cls(**values)


def _class_of(address: str, folder: Path) -> type:
    """A scorer's class, `file:name`; the file is run under a name of its own, since two models may differ in it."""
    file, _, name = address.partition(":")
    if not file:
        return globals()[name]
    module = ModuleType(f"recab_scorer_{uuid.uuid4().hex}")
    module.__file__ = str(folder / file)
    sys.modules[module.__name__] = module  # where dataclasses and inspect look a class up
    exec(compile((folder / file).read_text(encoding="utf-8"), module.__file__, "exec"), module.__dict__)
    return getattr(module, name)


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Column indices of the k largest scores per row, best first; ties go to the lower index, exactly.

    Of wide rows only some blocks of columns are looked at: those k whose maxima are largest hold the k best. Of equal
    maxima the earlier block is taken, as it is of equal scores the lower index.
    """
    n_rows, n_columns = scores.shape
    n_blocks = n_columns // BLOCK
    if n_blocks <= 2 * k:
        return _partitioned(scores, k)
    blocks = scores[:, : n_blocks * BLOCK].reshape(n_rows, n_blocks, BLOCK)
    maxima = np.maximum.reduceat(scores, np.arange(0, n_blocks * BLOCK, BLOCK), axis=1)
    chosen = np.sort(top_k(maxima, k), axis=1)
    inside = np.take_along_axis(blocks, chosen[:, :, None], axis=1).reshape(n_rows, k * BLOCK)
    best = _partitioned(np.hstack([inside, scores[:, n_blocks * BLOCK :]]), k)  # and the columns that fill no block
    ends = best >= k * BLOCK
    of = np.take_along_axis(chosen, np.where(ends, 0, best // BLOCK), axis=1)
    return np.where(ends, best + (n_blocks - k) * BLOCK, of * BLOCK + best % BLOCK)


def _partitioned(scores: np.ndarray, k: int) -> np.ndarray:
    """`top_k` by partitioning whole rows."""
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
    from mlflow.models import set_model
    from mlflow.pyfunc import PythonModel

    class RegisteredRecommender(PythonModel):
        """Input: a user_id column, and k as a parameter; output: the recommendations table."""

        def load_context(self, context):
            """Read the model that was saved."""
            self.fitted = FittedRecommender.load(context.artifacts["model"])

        def predict(self, context, model_input: pd.DataFrame, params=None):
            """Recommend k items to every user_id of the input."""
            return self.fitted.recommend(model_input["user_id"], int((params or {}).get("k", 10)))

    set_model(RegisteredRecommender())
