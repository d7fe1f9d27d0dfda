"""A small world as a train run keeps it, two models as a registry returns them, and tests planned with them."""

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pytest

from recab_helpers import recommenders, simulation
from recab_helpers.data import TrainedOn, split_interactions
from recab_helpers.parameters import SimulateParams, TrainParams
from recab_helpers.recommenders import FittedRecommender
from recab_helpers.references import ModelAddress


@dataclass(frozen=True)
class Loaded:
    """A fitted model as the registry would return it."""

    fitted: FittedRecommender
    address: ModelAddress

    def recommend(self, user_ids, k: int) -> pd.DataFrame:
        return self.fitted.recommend(user_ids, k)


@pytest.fixture(scope="session")
def trained(world_data) -> TrainedOn:
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    return TrainedOn(train=train, held_out=held_out, catalog=world_data.catalog, world=world_data.world)


@pytest.fixture(scope="session")
def recorded(trained) -> TrainedOn:
    """The same interactions as if nobody knew the world behind them."""
    return TrainedOn(train=trained.train, held_out=trained.held_out, catalog=trained.catalog)


@pytest.fixture(scope="session")
def models(trained) -> list[Loaded]:
    train = trained.coded(trained.train)
    return [
        Loaded(
            recommenders.fit(name, train, trained.catalog, TrainParams()), ModelAddress(name=f"x-{name}", version="1")
        )
        for name in ("popularity", "content")
    ]


@pytest.fixture(scope="session")
def plan(trained, models):
    """Plan a test with changed parameters."""
    return lambda models=models, **changes: simulation.plan_tests(trained, models, SimulateParams(**changes)).test


def log(test: simulation.Test) -> pd.DataFrame:
    """The whole impression log of a test."""
    return pa.concat_tables(test.impressions()).to_pandas()
