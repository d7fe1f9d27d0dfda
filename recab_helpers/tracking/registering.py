"""How a fitted recommender enters the MLflow registry, as a model that stands alone."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking._model_registry.client import ModelRegistryClient
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from recab_helpers.references import ModelAddress
from recab_helpers.tracking.copies import keep, repository
from recab_helpers.tracking.run import Run

if TYPE_CHECKING:
    from recab_helpers.recommenders.fitted import FittedRecommender

CANDIDATE = "candidate"
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy", "threadpoolctl")
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


def log_model(
    run: Run,
    fitted: FittedRecommender,
    prefix: str,
    catalog: str = "",
    *,
    params: Mapping[str, Any] = MappingProxyType({}),
    card: str = "",
) -> LoggedModel:
    """Log the model from code, register it as `<prefix>-<its name>`, point the alias @candidate at it.

    `catalog` is the digest of the catalog that it was fitted on; it travels as the metadata `catalog` of the model.
    `params` are those that it was fitted with, and `card` says in Markdown what the model is.
    """
    name, client = f"{prefix}-{fitted.name}", run.client
    logged = client.create_logged_model(
        run.experiment_id, fitted.name, run.run_id, params={k: str(v) for k, v in params.items()}
    )
    with _once():
        client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    try:
        with tempfile.TemporaryDirectory() as folder:
            fitted.save(Path(folder, fitted.name))
            mlflow.pyfunc.save_model(
                Path(folder, "model"),
                python_model=inspect.getfile(type(fitted)),
                artifacts={"model": str(Path(folder, fitted.name))},
                signature=SIGNATURE,
                input_example=(pd.DataFrame({"user_id": fitted.user_ids[:2].astype(object)}), {"k": 2}),
                pip_requirements=[f"{p}=={installed(p)}" for p in REQUIREMENTS],
                mlflow_model=Model(
                    artifact_path=logged.artifact_location,
                    model_uuid=logged.model_id,
                    run_id=run.run_id,
                    model_id=logged.model_id,
                    metadata={"catalog": catalog} if catalog else None,
                ),
            )
            for compiled in Path(folder, "model").rglob("__pycache__"):
                shutil.rmtree(compiled)
            repository(logged.artifact_location).log_artifacts(str(Path(folder, "model")))
            keep(Path(folder, "model"), logged.artifact_location, f"models/{logged.model_id}")
    except BaseException:
        with suppress(MlflowException):
            client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    try:
        client.create_registered_model(name, description=card or None)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        if card:
            client.update_registered_model(name, card)
    source = f"models:/{logged.model_id}"
    version = client.create_model_version(name, source, run.run_id, description=card or None, model_id=logged.model_id)
    address = ModelAddress(name=name, version=str(version.version))
    if not client.tracking_uri.startswith("http"):  # a server does it with the version
        registered = [{"name": name, "version": version.version}]  # by which the page of the logged model links to it
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(registered)})
    registry = ModelRegistryClient(client.tracking_uri, client.tracking_uri)  # `client` asks if it is a prompt's name
    registry.set_registered_model_alias(name, CANDIDATE, address.version)
    return LoggedModel(address=address, model_id=logged.model_id)


@dataclass(frozen=True, kw_only=True)
class LoggedModel:
    """What was logged: its version in the registry, and the id under which MLflow keeps its metrics."""

    address: ModelAddress
    model_id: str


def registry_prefix(experiment: str, dataset: str) -> str:
    """What the names of registered models begin with: models of different data are different models.

    >>> registry_prefix("recab", "ml-100k")
    'recab-ml-100k'
    >>> registry_prefix("recab", "our: shop/2")
    'recab-our_shop_2'
    """
    safe = re.sub(r"[^\w.-]+", "_", dataset)
    return f"{experiment}-{safe}"


@contextmanager
def _once() -> Iterator[None]:
    """What a server did without saying so is asked for again by MLflow's retry, and is there already."""
    try:
        yield
    except MlflowException as error:
        if not re.search("IntegrityError|UniqueViolation|duplicate", str(error), re.IGNORECASE):
            raise
