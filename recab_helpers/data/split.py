"""Split interactions into a training and a held-out part."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recab_helpers.data.dataset import Dataset, Interactions, encode, sorted_ids
from recab_helpers.data.world import World
from recab_helpers.errors import DataError
from recab_helpers.randomness import id_keys, uniform

HOLDOUT = 0.2  # share of interactions kept for grading


def split_interactions(
    dataset: Dataset, *, split: str, seed: int, holdout: float = HOLDOUT
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out a share of the interactions: `per_user` at random, or the latest ones over all users (`time`).

    Per user at least one interaction stays in training. A held-out row depends on its user, its item and the
    seed only, so the split does not depend on the order of the rows.

    Raises:
        DataError: `time` without a timestamp column, or a part that would be empty.

    >>> from recab_helpers.data import make_dataset
    >>> met = pd.DataFrame({"user_id": list("aab"), "item_id": list("xyx"), "rating": 4, "timestamp": [1, 2, 3]})
    >>> items = pd.DataFrame({"item_id": list("xy"), "title": ["X", "Y"], "text": ["space war", "a love story"]})
    >>> train, held_out = split_interactions(make_dataset("films", met, items), split="time", seed=1)
    >>> len(train), held_out["user_id"].tolist()
    (2, ['b'])
    """
    table = dataset.interactions
    if split == "time":
        if "timestamp" not in table:
            raise DataError(
                f"{dataset.name} has no timestamp, so it cannot be split by time. Set split=per_user or add the column."
            )
        held_out = table["timestamp"] > table["timestamp"].quantile(1 - holdout)
    else:
        draw = uniform(
            id_keys(table["user_id"].to_numpy(), f"{seed} split"), id_keys(table["item_id"].to_numpy(), "item")
        )
        rank = pd.Series(draw).groupby(table["user_id"].to_numpy()).rank(method="first")
        size = table.groupby("user_id")["item_id"].transform("size")
        held_out = rank <= np.minimum(np.round(holdout * size), size - 1)
    if held_out.all() or not held_out.any():
        raise DataError(
            f"{dataset.name}: split={split} leaves {(~held_out).sum():,} rows to train and {held_out.sum():,} "
            f"to test. Give more interactions per user, or split the other way."
        )
    return table[~held_out].reset_index(drop=True), table[held_out].reset_index(drop=True)


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """The data of a train run: what the models saw, what was held out, and the world if there is one."""

    train: pd.DataFrame
    held_out: pd.DataFrame
    catalog: pd.DataFrame
    world: World | None = None
    user_ids: np.ndarray = field(init=False)
    item_ids: np.ndarray = field(init=False)

    def __post_init__(self):
        known = sorted_ids(self.train["user_id"], self.held_out["user_id"]) if self.world is None else None
        users = self.world.user_ids if known is None else known
        object.__setattr__(self, "user_ids", users)
        object.__setattr__(self, "item_ids", self.catalog["item_id"].to_numpy(dtype=str))

    def coded(self, table: pd.DataFrame) -> Interactions:
        """The table as integer codes of these users and items."""
        return encode(table, user_ids=self.user_ids, item_ids=self.item_ids)
