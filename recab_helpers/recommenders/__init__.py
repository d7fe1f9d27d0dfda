"""Recommenders: fit on interactions and catalog, then recommend top-k items to many users at once."""

import time

import pandas as pd
from tqdm.auto import tqdm

from recab_helpers.data import Dataset, encode, ids_of
from recab_helpers.parameters import RECOMMENDERS, TrainParams
from recab_helpers.recommenders.collaborative import (
    fit_collaborative,
    fit_collaborative_ratings,
    fit_svd,
    implicit_targets,
    svd_factors,
)
from recab_helpers.recommenders.content import fit_content
from recab_helpers.recommenders.fitted import FittedRecommender, top_k
from recab_helpers.recommenders.popularity import fit_popularity
from recab_helpers.recommenders.quality import offline_quality

__all__ = [
    "RECOMMENDERS",
    "FittedRecommender",
    "fit_all",
    "fit_collaborative",
    "fit_collaborative_ratings",
    "fit_content",
    "fit_popularity",
    "fit_svd",
    "implicit_targets",
    "offline_quality",
    "svd_factors",
    "top_k",
]


def fit_all(
    dataset: Dataset, train: pd.DataFrame, test: pd.DataFrame, params: TrainParams
) -> tuple[dict[str, FittedRecommender], pd.DataFrame]:
    """Fit every recommender on `train` and grade it on `test`; the models by name, and one row of quality each.

    Users are all of the data set, so a user who is only in `test` is known by id and served as cold.
    """
    user_ids, item_ids = ids_of(dataset)
    coded = encode(train, user_ids=user_ids, item_ids=item_ids)
    held_out = encode(test, user_ids=user_ids, item_ids=item_ids)
    fits = {
        "collaborative": lambda: fit_collaborative(coded, relevant_rating=params.relevant_rating, seed=params.seed),
        "collaborative_ratings": lambda: fit_collaborative_ratings(coded, seed=params.seed),
        "content": lambda: fit_content(coded, dataset.catalog, popularity_weight=params.content_popularity),
        "popularity": lambda: fit_popularity(coded),
    }
    models, rows = {}, []
    for name in tqdm(RECOMMENDERS, desc="fit"):
        start = time.perf_counter()
        models[name] = fits[name]()
        fit_s = time.perf_counter() - start
        quality = offline_quality(models[name], held_out, relevant_rating=params.relevant_rating)
        rows.append({"model": name, **quality, "fit_s": fit_s})
    return models, pd.DataFrame(rows).set_index("model")
