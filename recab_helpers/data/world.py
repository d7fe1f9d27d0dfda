"""The truth behind synthetic data: who likes what, and how often each user comes."""

from dataclasses import dataclass, fields

import numpy as np

START = np.datetime64("2026-01-05", "s")  # a simulated test begins; every synthetic interaction is earlier


@dataclass(frozen=True, kw_only=True)
class World:
    """The truth: logit P(click | examined) = user_bias + user_taste . item_taste + item_bias."""

    user_ids: np.ndarray  # (n_users,)
    item_ids: np.ndarray  # (n_items,)
    user_taste: np.ndarray  # (n_users, d)
    item_taste: np.ndarray  # (n_items, d)
    user_bias: np.ndarray  # (n_users,)
    item_bias: np.ndarray  # (n_items,)
    session_rate: np.ndarray  # (n_users,) expected sessions over the test

    def arrays(self) -> dict[str, np.ndarray]:
        """Every field by name, ready for `numpy.savez`."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
