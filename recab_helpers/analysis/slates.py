"""What the variants show: how much of the catalog, how popular, how alike; and a few users to look at."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recab_helpers.impressions.slates import Example
from recab_helpers.references import in_order

HEAD = 0.2  # the most popular fifth of the catalog is its head
MOST_SHOWN = 10  # items whose share of all impressions tells how concentrated they are
SHOWN_COLUMNS = {
    "items_shown": "items shown at least once",
    "coverage": "their share of the catalog, or of the items of the log where the catalog is not known",
    "most_shown": "share of impressions that the ten most shown items hold",
    "mean_popularity": "past interactions of an item shown, mean (Abdollahpouri and others 2019)",
    "head": "share of impressions of the most popular fifth of the catalog",
}


@dataclass(frozen=True, kw_only=True)
class Slates:
    """What the variants showed; `overlap` is None where only one slate a user is known."""

    shown: pd.DataFrame | None = None  # shown_table
    overlap: pd.DataFrame | None = None  # OVERLAP_COLUMNS
    examples: list[Example] = field(default_factory=list)


def shown_table(items: pd.DataFrame, popularity: pd.Series | None = None) -> pd.DataFrame:
    """Items shown per variant and their coverage, concentration and popularity; one number each, without a test.

    `items` holds impressions by item_id and variant (`Aggregates.items`), `popularity` past interactions by item_id
    over the whole catalog: a last row gives the same for the interactions themselves, which an unbiased recommender
    would match. SHOWN_COLUMNS; without popularity the last two are left out.

    >>> items = pd.DataFrame({"control": [6, 2], "treatment": [0, 8]}, index=["x", "y"])
    >>> shown_table(items)
               items_shown  coverage  most_shown
    variant
    control              2       1.0         1.0
    treatment            1       0.5         1.0
    """
    known = pd.Series(0.0, items.index) if popularity is None else popularity
    counts = items.reindex(known.index.union(items.index), fill_value=0)
    n_items = len(items) if popularity is None else len(known)
    head = known.nlargest(max(1, round(HEAD * len(known)))).index
    rows = {v: _shown(counts[v], known, head, n_items) for v in in_order(items.columns)}
    if popularity is not None and known.sum() > 0:
        rows["past interactions"] = _shown(known, known, head, n_items)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")
    return table if popularity is not None else table.drop(columns=["mean_popularity", "head"])


def _shown(shown: pd.Series, popularity: pd.Series, head: pd.Index, n_items: int) -> dict[str, float]:
    total = shown.sum()
    return {
        "items_shown": int((shown > 0).sum()),
        "coverage": (shown > 0).sum() / n_items,
        "most_shown": shown.nlargest(MOST_SHOWN).sum() / total,
        "mean_popularity": float(np.average(popularity.reindex(shown.index, fill_value=0), weights=shown)),
        "head": float(shown.reindex(head, fill_value=0).sum() / total),
    }
