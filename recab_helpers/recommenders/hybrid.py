"""A hybrid: the mean of several models' scores, each standardized over the items of a user (Burke 2002, weighted)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # this file travels with the model, so it loads nothing of recab at its top
    import pandas as pd

    from recab_helpers.data.dataset import Interactions
    from recab_helpers.parameters import TrainParams


@dataclass(frozen=True)
class MeanOfScores:
    """Scores of mean 0 and standard deviation 1 within a user, averaged; a part counts only where it knows the user."""

    parts: tuple  # of scorers
    knows: np.ndarray  # (n_parts, n_users) bool

    def score(self, user: np.ndarray) -> np.ndarray:
        """Scores of all items for these user codes, shape (len(user), n_items)."""
        total = 0.0
        for part, known in zip(self.parts, self.knows, strict=True):
            scores = np.asarray(part.score(user), dtype=np.float32)
            scores = scores - scores.mean(axis=1, keepdims=True)
            scores /= np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
            total = total + scores * known[user, None]
        return total / np.maximum(self.knows[:, user].sum(axis=0), 1)[:, None].astype(np.float32)


def fit_hybrid(train: Interactions, catalog: pd.DataFrame, params: TrainParams) -> tuple[MeanOfScores, np.ndarray]:
    """The models that `hybrid_of` names, fitted anew; a user whom none of them knows is unknown.

    Raises:
        StepsAsideError: one of them cannot be fitted to these data.
    """
    from recab_helpers.recommenders.catalog import fit_scorer

    parts, knows = zip(*(fit_scorer(name, train, catalog, params) for name in params.hybrid_of), strict=True)
    return MeanOfScores(parts, np.array(knows)), np.any(knows, axis=0)
