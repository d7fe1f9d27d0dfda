"""What a model must do to be a variant of a test, whoever fitted it and wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from recab_helpers.references import ModelAddress


class Recommender(Protocol):
    """Whatever recommends."""

    def recommend(self, user_ids: Sequence[str] | np.ndarray, k: int) -> pd.DataFrame:
        """The k best items for each user that the user has not met, best first.

        A recommendations table in the order of `user_ids`: user_id, position (1 to k), item_id. Every user gets k
        items of the catalog, none twice; a user whom the model does not know gets what it gives to strangers.
        """
        ...


class Served(Recommender, Protocol):
    """A recommender that a variant can serve: it says where it is kept."""

    @property
    def address(self) -> ModelAddress:
        """Where the model is: in MLflow, or behind HTTP."""
        ...
