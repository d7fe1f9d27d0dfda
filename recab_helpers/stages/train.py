"""What the training leaves in MLflow, and how it is read back."""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from recab_helpers import tracking
from recab_helpers.data import Dataset, TrainedOn, World
from recab_helpers.recommenders import FittedRecommender
from recab_helpers.references import ModelAddress


def log_data(run: tracking.Run, dataset: Dataset, train: pd.DataFrame, held_out: pd.DataFrame) -> None:
    """Log both parts of the interactions, the catalog, and the world where there is one."""
    run.log_tables(train=train, held_out=held_out, catalog=dataset.catalog)
    if dataset.world is not None:
        run.log_arrays("world", dataset.world.arrays())


def log_models(
    run: tracking.Run,
    models: dict[str, FittedRecommender],
    quality: pd.DataFrame,
    experiment: str,
    aside: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, ModelAddress]:
    """One child run per model with its offline quality; returns the registry address of each.

    `aside` are the models that could not be fitted, with the reasons; who asks for one of them later is told.
    """
    run.log_table("quality", quality)
    addresses = {}
    for name, fitted in models.items():
        with run.child(name) as child:
            child.log_metrics(quality.loc[name].to_dict())
            addresses[name] = tracking.log_model(child, fitted, experiment)
    run.tag(**{f"model.{name}": str(address) for name, address in addresses.items()})
    run.tag(**{f"aside.{name}": reason for name, reason in aside.items()})
    return addresses


def load_trained(train_run: str) -> TrainedOn:
    """The data of a train run."""
    tables = tracking.load_tables(train_run, "train", "train", "held_out", "catalog")
    world = tracking.load_arrays(train_run, "train/world")
    return TrainedOn(**tables, world=World(**world) if world else None)
