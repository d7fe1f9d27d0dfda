"""Which version of a registered model an address means, and what MLflow says of one that it has not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from recab_helpers.errors import TrackingError, closest, nearest
from recab_helpers.references import ModelAddress
from recab_helpers.tracking.runs import run_tags
from recab_helpers.tracking.store import connect, masked

LATEST = "latest"


def addresses_of(train_run_id: str, names: Sequence[str] = ()) -> dict[str, ModelAddress]:
    """The version of each model by its name: those named, as `load_model` takes them, else all of the train run.

    Raises:
        TrackingError: there is no such model.
        ParameterError: a name is no address.
    """
    known = [k.removeprefix("model.") for k in run_tags(train_run_id) if k.startswith("model.")]
    return {name: resolve(read_address(name, train_run_id)) for name in (names or known)}


def read_address(reference: str | ModelAddress, train_run_id: str) -> ModelAddress:
    """The address that is written, or that of a model of the train run by its name.

    Raises:
        TrackingError: the run holds no such model.
        ParameterError: it is no address.
    """
    if isinstance(reference, ModelAddress):
        return reference
    if "/" in reference:
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

    What was logged and never registered stays as it is, and so does the address of a served model.

    Raises:
        TrackingError: there is no such model, version, alias or run.
    """
    if address.url:
        return address
    client = connect()
    with known_to_mlflow(address):
        if address.model_id:
            found = _made_of(client, address.model_id)
        elif address.run_id:
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
    if address.run_id or address.model_id:
        return address
    raise TrackingError(
        f"MLflow has no model {address} in {masked(client.tracking_uri)}: no version of it is registered."
        f"{_nearest_to(address, client)} Run `make train`, or correct it."
    )


def _made_of(client: mlflow.MlflowClient, model_id: str) -> list[ModelVersion]:
    """The versions that were registered from a logged model and are still there, as its tag has them."""
    found = []
    for version in json.loads(client.get_logged_model(model_id).tags.get("mlflow.modelVersions", "[]")):
        with suppress(MlflowException):
            found.append(client.get_model_version(version["name"], str(version["version"])))
    return found


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


def model_ids(addresses: Iterable[ModelAddress]) -> list[str]:
    """The logged models behind addresses; what was not logged by MLflow 3 has none and is left out."""
    return [logged for a in addresses if (logged := logged_model(a))]


_logged: dict[tuple[str, ModelAddress], str] = {}  # `logged_id` of the versions that this process met, by store


def logged_model(address: ModelAddress) -> str:
    """The id of the logged model behind an address, which never becomes another; empty where none is known."""
    if not address.is_version:
        return address.model_id
    client = connect()
    key = (client.tracking_uri, address)
    if key not in _logged:
        _logged[key] = logged_id(client.get_model_version(address.name, address.version))
    return _logged[key]


@contextmanager
def known_to_mlflow(address: ModelAddress) -> Iterator[None]:
    """MLflow's own error for an address, in our words, with the store that was asked and the nearest name there."""
    try:
        yield
    except MlflowException as error:
        client = connect()
        raise TrackingError(
            f"MLflow has no model {address} in {masked(client.tracking_uri)}: {first_line(error).removesuffix('.')}."
            f"{_nearest_to(address, client)} Run `make train`, or correct it."
        ) from error


def _nearest_to(address: ModelAddress, client: mlflow.MlflowClient) -> str:
    """The nearest registered name, or alias of the name, as the end of a message; empty where there is none."""
    if address.run_id or address.model_id:
        return ""
    with suppress(MlflowException):
        names = [m.name for m in client.search_registered_models(max_results=1000)]
        if address.name not in names:
            return closest(address.name, names)
        aliases = client.get_registered_model(address.name).aliases
        return f" {nearest(address.alias, aliases)}" if address.alias and aliases else ""
    return ""


def first_line(error: MlflowException) -> str:
    """What MLflow said, without what follows it."""
    return error.message.splitlines()[0]
