"""Registered models: how a fitted recommender enters the MLflow registry, and how a simulation loads it."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from recab_helpers.parameters import nearest
from recab_helpers.recommenders import fitted as fitted_module
from recab_helpers.recommenders.fitted import FittedRecommender
from recab_helpers.tracking.runs import Run, run_tags
from recab_helpers.tracking.store import TrackingError, connect

CANDIDATE, CHAMPION = "candidate", "champion"
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy")
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "user_id")]),
    outputs=Schema(
        [
            ColSpec("string", "user_id"),
            ColSpec("long", "position"),
            ColSpec("string", "item_id"),
            ColSpec("float", "score"),
            ColSpec("boolean", "cold"),
        ]
    ),
    params=ParamSchema([ParamSpec("k", "long", 10)]),
)


def log_model(run: Run, fitted: FittedRecommender, experiment: str) -> str:
    """Log the model from code, register it, point the alias @candidate at it; returns its registry URI."""
    name = f"{experiment}-{fitted.name}"
    example = pd.DataFrame({"user_id": fitted.user_ids[:2].astype(object)})
    with tempfile.TemporaryDirectory() as folder, _active(run.run_id):
        arrays = Path(folder) / "arrays.npz"
        fitted.save(arrays)
        logged = mlflow.pyfunc.log_model(
            name=fitted.name,
            python_model=fitted_module.__file__,
            artifacts={"arrays": str(arrays)},
            signature=SIGNATURE,
            input_example=(example, {"k": 2}),
            pip_requirements=[f"{p}=={sys.modules[p].__version__}" for p in REQUIREMENTS],
            registered_model_name=name,
        )
    version = str(logged.registered_model_version)
    run.client.set_registered_model_alias(name, CANDIDATE, version)
    return f"models:/{name}/{version}"


def set_champion(winner: str, models) -> None:
    """Point @champion at the winner, `name:version`, and take it from the other models of the test."""
    client = connect()
    for name in {m.rpartition(":")[0] for m in models} - {winner.rpartition(":")[0]}:
        client.delete_registered_model_alias(name, CHAMPION)
    name, _, version = winner.rpartition(":")
    client.set_registered_model_alias(name, CHAMPION, version)


@dataclass(frozen=True)
class RegisteredModel:
    """A recommender loaded from the MLflow registry."""

    name: str
    version: str
    uri: str
    pyfunc: Any = field(repr=False)

    def recommend(self, user_ids, k: int) -> pd.DataFrame:
        """The recommendations table: user_id, position, item_id, score, cold."""
        users = pd.DataFrame({"user_id": np.asarray(user_ids, dtype=object)})
        return self.pyfunc.predict(users, params={"k": k})


def load_model(reference: str, train_run_id: str = "") -> RegisteredModel:
    """Load a registered recommender.

    `reference` is the name of a model of the train run (`content`), or an MLflow address: by version
    (`models:/recab-content/3`), by alias (`models:/recab-content@champion`) or by run (`runs:/<id>/content`).

    Raises:
        TrackingError: there is no such model.
    """
    client = connect()
    uri = reference
    if not reference.startswith(("models:/", "runs:/")):
        models = {k.removeprefix("model."): v for k, v in run_tags(train_run_id).items() if k.startswith("model.")}
        if reference not in models:
            raise TrackingError(f"Run {train_run_id} holds no model {reference}. {nearest(reference, models)}")
        uri = models[reference]
    try:
        loaded = mlflow.pyfunc.load_model(uri)
        name, version = _name_and_version(client, uri)
    except mlflow.MlflowException as error:
        raise TrackingError(
            f"MLflow has no model {uri}: {error.message.splitlines()[0]} Run `make train`, or correct it."
        ) from error
    return RegisteredModel(name, version, uri, loaded)


def _name_and_version(client: mlflow.MlflowClient, uri: str) -> tuple[str, str]:
    if uri.startswith("runs:/"):
        run_id, _, name = uri.removeprefix("runs:/").partition("/")
        return name, f"run {run_id[:8]}"
    name = uri.removeprefix("models:/")
    if "@" in name:
        name, _, alias = name.partition("@")
        return name, str(client.get_model_version_by_alias(name, alias).version)
    name, _, version = name.rpartition("/")
    return name, version


@contextmanager
def _active(run_id: str) -> Iterator[None]:
    """MLflow's fluent calls write to this run inside the block, and its status is left alone."""
    client = mlflow.MlflowClient()
    mlflow.start_run(run_id=run_id)
    try:
        yield
    finally:
        mlflow.end_run()
        client.update_run(run_id, status="RUNNING")
