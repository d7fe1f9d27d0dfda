"""The interactions of the small world as codes, and every model of the catalog fitted on them."""

import pytest

from recab_helpers.data import Interactions, encode, ids_of
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import MODELS, FittedRecommender, fit

PARAMS = TrainParams(seed=1)


@pytest.fixture(scope="session")
def train(world_data) -> Interactions:
    users, items = ids_of(world_data)
    return encode(world_data.interactions, user_ids=users, item_ids=items)


@pytest.fixture(scope="session")
def models(train, world_data) -> dict[str, FittedRecommender]:
    return {name: fit(name, train, world_data.catalog, PARAMS) for name in MODELS}


@pytest.fixture(scope="session", params=MODELS)
def fitted(request, models) -> FittedRecommender:
    """Each model of the catalog in turn."""
    return models[request.param]
