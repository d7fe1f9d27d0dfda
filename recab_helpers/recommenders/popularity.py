"""Popularity: the same ranking for everyone, the yardstick that any personal model should beat."""

import numpy as np
import pandas as pd

from recab_helpers.data.dataset import Interactions
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders.fitted import Factors


def fit_popularity(train: Interactions, _: pd.DataFrame, __: TrainParams) -> tuple[Factors, np.ndarray]:
    """Rank items by their number of training interactions, the same for every user."""
    counts = np.bincount(train.item, minlength=train.n_items).astype(np.float32)
    users = np.ones((train.n_users, 1), dtype=np.float32)
    return Factors(users, counts[:, None]), np.ones(train.n_users, dtype=bool)
