"""Two small fitted models, as a training would register them."""

import pytest

from recab_helpers import recommenders
from recab_helpers.data import encode, ids_of
from recab_helpers.parameters import TrainParams
from tests.tracking.made import NAMES


@pytest.fixture(scope="session")
def fitted(world_data):
    users, items = ids_of(world_data)
    train = encode(world_data.interactions, user_ids=users, item_ids=items)
    return {name: recommenders.fit(name, train, world_data.catalog, TrainParams()) for name in NAMES}
