"""Which variant a user gets: a salted hash of the user id."""

import numpy as np

from recab_helpers.randomness import id_keys, uniform
from recab_helpers.references import CONTROL


def variant_names(n_variants: int) -> list[str]:
    """`control` and `treatment`, or `treatment_1`, `treatment_2`, … when there are several."""
    if n_variants == 2:
        return [CONTROL, "treatment"]
    return [CONTROL, *(f"treatment_{i}" for i in range(1, n_variants))]


def shares(allocation: float, n_variants: int) -> np.ndarray:
    """Planned share of users per variant; the treatments divide `allocation` equally."""
    return np.array([1 - allocation] + [allocation / (n_variants - 1)] * (n_variants - 1))


def assign(user_ids: np.ndarray, *, salt: str, planned: np.ndarray) -> np.ndarray:
    """Variant code per user id, by a keyed hash: the same id and salt always get the same variant."""
    return np.searchsorted(np.cumsum(planned)[:-1], uniform(id_keys(user_ids, salt)), side="right")
