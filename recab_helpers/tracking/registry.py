"""Registered models: how a fitted recommender enters the MLflow registry, how a test finds one."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version as installed
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking._model_registry.client import ModelRegistryClient
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from recab_helpers.errors import DataError, ParameterError, TrackingError, nearest
from recab_helpers.recommenders.remote import RemoteModel
from recab_helpers.references import ModelAddress
from recab_helpers.tracking.copies import copy_of, keep, repository
from recab_helpers.tracking.runs import Run, run_tags
from recab_helpers.tracking.store import connect

if TYPE_CHECKING:
    from recab_helpers.recommenders.fitted import FittedRecommender

CANDIDATE = "candidate"
LATEST = "latest"
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


def model_ids(addresses: Iterable[ModelAddress]) -> list[str]:
    """The logged models behind registered versions; what was not logged by MLflow 3 has none and is left out."""
    return [logged for a in addresses if a.is_version and (logged := _logged_model(a))]


_logged: dict[tuple[str, ModelAddress], str] = {}  # `logged_id` of the versions that this process met, by store


def _logged_model(address: ModelAddress) -> str:
    """The logged model behind a registered version, which never becomes another; empty where there is none."""
    client = connect()
    key = (client.tracking_uri, address)
    if key not in _logged:
        _logged[key] = logged_id(client.get_model_version(address.name, address.version))
    return _logged[key]


@dataclass(frozen=True)
class RegisteredModel:
    """A recommender loaded from MLflow."""

    address: ModelAddress
    pyfunc: Any = field(repr=False)

    @property
    def catalog(self) -> str:
        """Digest of the catalog that the model says it was fitted on; empty where it says nothing."""
        return (self.pyfunc.metadata.metadata or {}).get("catalog", "")

    def recommend(self, user_ids, k: int) -> pd.DataFrame:
        """What the model returns for these users, unchecked; it should be the recommendations table.

        Raises:
            DataError: the model failed.
        """
        users = pd.DataFrame({"user_id": np.asarray(user_ids, dtype=object)})
        try:
            return self.pyfunc.predict(users, params={"k": k})
        except Exception as error:
            message = str(error).strip().partition("\n")[0].removesuffix(".")
            raise DataError(
                f"The model {self.address} failed when asked for {k} items for {len(users):,} users, such as "
                f"{users['user_id'].iloc[0]!r}: {type(error).__name__}: {message}. Correct it and register it anew."
            ) from error


@dataclass(frozen=True)
class Unregistered:
    """A recommender in memory, which no registry knows."""

    address: ModelAddress
    recommend: Callable[..., Any] = field(repr=False)


def as_served(model: Any) -> RegisteredModel | Unregistered:
    """A model in memory as a variant serves it: an MLflow PythonModel, a loaded pyfunc, or what has `recommend` itself.

    A PythonModel is asked as it stands; one that reads artifacts is better checked by the address of its run.

    Raises:
        ParameterError: it is none of them.
    """
    address = ModelAddress(name=type(model).__name__, run_id="memory")
    if isinstance(model, mlflow.pyfunc.PyFuncModel):
        return RegisteredModel(address, model)
    if isinstance(model, mlflow.pyfunc.PythonModel):
        return Unregistered(address, lambda user_ids, k: _predicted(model, user_ids, k))
    if hasattr(model, "recommend"):
        return Unregistered(address, model.recommend)
    raise ParameterError(
        f"{model!r} is no model; give an address, an MLflow model, or what has recommend(user_ids, k)."
    )


def _predicted(model: Any, user_ids, k: int) -> Any:
    takes = inspect.signature(model.predict).parameters
    given = [*([None] if "context" in takes else []), pd.DataFrame({"user_id": np.asarray(user_ids, dtype=object)})]
    return model.predict(*given, **({"params": {"k": k}} if "params" in takes else {}))


def load_model(reference: str | ModelAddress, train_run_id: str = "") -> RegisteredModel | RemoteModel:
    """Load a recommender; its address is the version that the reference means now.

    `reference` is the name of a model of the train run (`content`), or an MLflow address: by version
    (`models:/recab-synthetic-content/3`, or `latest` for the number), by alias
    (`models:/recab-synthetic-content@champion`) or by run (`runs:/<id>/content`). Only a run whose model was never
    registered keeps its address. A model that is served (`http://127.0.0.1:5001`) stays where it is.

    Raises:
        TrackingError: there is no such model.
        ParameterError: the reference is no address.
    """
    address = resolve(_address_of(reference, train_run_id))
    if address.url:
        return RemoteModel(address)
    with known_to_mlflow(address):
        copy = copy_of(f"models/{_logged_model(address)}") if address.is_version else None
        there = copy is not None and (copy / "MLmodel").exists()
        return RegisteredModel(address, mlflow.pyfunc.load_model(str(copy if there else address)))


def addresses_of(train_run_id: str, names: Sequence[str] = ()) -> dict[str, ModelAddress]:
    """The version of each model by its name: those named, as `load_model` takes them, else all of the train run.

    Raises:
        TrackingError: there is no such model.
        ParameterError: a name is no address.
    """
    known = [k.removeprefix("model.") for k in run_tags(train_run_id) if k.startswith("model.")]
    return {name: resolve(_address_of(name, train_run_id)) for name in (names or known)}


def _address_of(reference: str | ModelAddress, train_run_id: str) -> ModelAddress:
    if isinstance(reference, ModelAddress):
        return reference
    if ":/" in reference:
        return ModelAddress.parse(reference)
    tags = run_tags(train_run_id)
    models = {k.removeprefix("model."): v for k, v in tags.items() if k.startswith("model.")}
    if reason := tags.get(f"aside.{reference}"):
        raise TrackingError(f"The model {reference} was not fitted in run {train_run_id}: {reason}. Name another.")
    if reference not in models:
        raise TrackingError(
            f"Run {train_run_id} holds no model {reference}. {nearest(reference, models)} A training fits what a test "
            f"compares: make train SET=variants=[content,{reference}]."
        )
    return ModelAddress.parse(models[reference])


def resolve(address: ModelAddress) -> ModelAddress:
    """The version in the registry that the address means now.

    A run whose model was never registered stays as it is, and so does the address of a served model.

    Raises:
        TrackingError: there is no such model, version, alias or run.
    """
    if address.url:
        return address
    client = connect()
    with known_to_mlflow(address):
        if address.run_id:
            client.get_run(address.run_id)
            made = client.search_model_versions(f"run_id = '{address.run_id}'")
            found = [v for v in made if _logged_as(client, v) == address.name]
        elif address.alias:
            found = [client.get_model_version_by_alias(address.name, address.alias)]
        elif address.version == LATEST:
            found = client.search_model_versions(f"name = '{address.name}'")
        else:
            found = [client.get_model_version(address.name, address.version)]
    if found:
        newest = max(found, key=lambda v: int(v.version))
        version = ModelAddress(name=newest.name, version=str(newest.version))
        _logged[client.tracking_uri, version] = logged_id(newest)
        return version
    if address.run_id:
        return address
    raise TrackingError(
        f"MLflow has no model {address}: no version of it is registered. Run `make train`, or correct it."
    )


def _logged_as(client: mlflow.MlflowClient, version: ModelVersion) -> str:
    """The name under which the model of this version was logged in its run."""
    if model_id := logged_id(version):
        return client.get_logged_model(model_id).name
    return PurePosixPath(version.source or "").name  # by MLflow 2: a folder of the run's artifacts


def logged_id(version: ModelVersion) -> str:
    """The id of the logged model that the version was made from; empty where it was made from something else."""
    source = version.source or ""
    logged_id = source.removeprefix("models:/")
    return logged_id if logged_id != source and "/" not in logged_id else ""


@contextmanager
def _once() -> Iterator[None]:
    """What a server did without saying so is asked for again by MLflow's retry, and is there already."""
    try:
        yield
    except MlflowException as error:
        if not re.search("IntegrityError|UniqueViolation|duplicate", str(error), re.IGNORECASE):
            raise


@contextmanager
def known_to_mlflow(address: ModelAddress) -> Iterator[None]:
    """MLflow's own error for an address, in our words."""
    try:
        yield
    except MlflowException as error:
        raise TrackingError(
            f"MLflow has no model {address}: {first_line(error).removesuffix('.')}. Run `make train`, or correct it."
        ) from error


def first_line(error: MlflowException) -> str:
    """What MLflow said, without what follows it."""
    return error.message.splitlines()[0]
