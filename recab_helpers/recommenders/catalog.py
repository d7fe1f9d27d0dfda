"""The models that recab fits: the one list. A new model is its file and a line here.

This module loads no library, so that a name can be checked before anything starts; the file of a model is loaded
when it is fitted.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recab_helpers.errors import ParameterError, StepsAsideError, nearest
from recab_helpers.parameters import TrainParams
from recab_helpers.references import ModelAddress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from recab_helpers.data.dataset import Dataset, Interactions
    from recab_helpers.recommenders.fitted import FittedRecommender, Scorer

# Each name with the function that fits it, `module.function` of this folder. The function takes the interactions, the
# catalog of items and the parameters; it returns a `Scorer` and whom the model knows, True or False for every user.
MODELS = {
    "collaborative": "collaborative.fit_collaborative",
    "collaborative_ratings": "collaborative.fit_collaborative_ratings",
    "content": "content.fit_content",
    "ease": "ease.fit_ease",
    "hybrid": "hybrid.fit_hybrid",
    "popularity": "popularity.fit_popularity",
}
YARDSTICKS = ("collaborative", "collaborative_ratings", "content", "popularity")  # fitted whatever is compared


def check_names(variants: Iterable[str]) -> None:
    """Refuse a variant that is neither the name of a model nor the address of one.

    Raises:
        ParameterError: with the nearest right name.

    >>> check_names(["content", "models:/recab-synthetic-content@champion"])
    >>> check_names(["contnt"])
    Traceback (most recent call last):
        ...
    recab_helpers.errors.ParameterError: variants has 'contnt', which is no model. Did you mean content? ...
    """
    for variant in variants:
        if ":/" in variant:
            ModelAddress.parse(variant)
        elif variant not in MODELS:
            raise ParameterError(
                f"variants has {variant!r}, which is no model. {nearest(variant, MODELS)} "
                "An address such as models:/name/3 will do too."
            )


def fit(name: str, train: Interactions, catalog: pd.DataFrame, params: TrainParams) -> FittedRecommender:
    """Fit the model of that name on the interactions; the catalog has one row per `train.item_ids`, in their order."""
    from recab_helpers.recommenders.fitted import FittedRecommender

    return FittedRecommender.of(name, train, *fit_scorer(name, train, catalog, params))


def fit_scorer(name: str, train: Interactions, catalog: pd.DataFrame, params: TrainParams) -> tuple[Scorer, np.ndarray]:
    """What the model of that name scores by, and whom it knows, (n_users,)."""
    module, _, function = MODELS[name].partition(".")
    return getattr(import_module(f"recab_helpers.recommenders.{module}"), function)(train, catalog, params)


def parameters_of(name: str, params: TrainParams) -> dict[str, Any]:
    """What the model of that name was fitted with: its own parameters, the seed, and those of the hybrid's parts.

    The parameters of a model begin with the last word of its name.

    >>> parameters_of("ease", TrainParams(ease_regularization=9))
    {'seed': 29, 'ease_regularization': 9.0}
    >>> "ease_regularization" in parameters_of("hybrid", TrainParams())
    True
    """
    starts = tuple(f"{m.rpartition('_')[2]}_" for m in [name, *(params.hybrid_of if name == "hybrid" else [])])
    return {k: v for k, v in params.as_dict().items() if k == "seed" or k.startswith(starts)}


def what_is(name: str) -> str:
    """What a model does, in the words of its file and of the function that fits it."""
    file, _, function = MODELS[name].partition(".")
    module = import_module(f"recab_helpers.recommenders.{file}")
    documented = (module, getattr(module, function))
    return " ".join(" ".join((inspect.getdoc(d) or "").partition("\n\n")[0].split()) for d in documented)


def fit_all(
    dataset: Dataset, train: pd.DataFrame, test: pd.DataFrame, params: TrainParams
) -> tuple[dict[str, FittedRecommender], pd.DataFrame, dict[str, str]]:
    """Fit models on `train` and grade them on `test`: the models by name, one row of quality each, who steps aside.

    Fitted are the YARDSTICKS and what `params.variants` names of the list. A model that cannot be fitted to these data
    is left out, with its reason. Users are all of the data set, so a user who is only in `test` is known by id and
    served as cold.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    from recab_helpers.data.dataset import encode, ids_of
    from recab_helpers.recommenders.quality import offline_quality

    user_ids, item_ids = ids_of(dataset)
    coded = encode(train, user_ids=user_ids, item_ids=item_ids)
    held_out = encode(test, user_ids=user_ids, item_ids=item_ids)
    models, rows, aside = {}, [], {}
    for name in tqdm([m for m in MODELS if m in {*YARDSTICKS, *params.variants}], desc="fit"):
        start = time.perf_counter()
        try:
            models[name] = fit(name, coded, dataset.catalog, params)
        except StepsAsideError as reason:
            aside[name] = str(reason)
            continue
        fit_s = time.perf_counter() - start
        rows.append({"model": name, **offline_quality(models[name], held_out), "fit_s": fit_s})
    return models, pd.DataFrame(rows).set_index("model"), aside
