"""Whose models these are: who registered one, which were logged elsewhere, which names are not ours to use."""

from __future__ import annotations

from collections.abc import Iterable

import mlflow
from mlflow.entities.model_registry import RegisteredModel as RegisteredModelEntity

from recab_helpers.errors import TrackingError
from recab_helpers.references import ModelAddress
from recab_helpers.tracking.addresses import known_to_mlflow, logged_id, resolve
from recab_helpers.tracking.store import connect

NOBODY = "nobody that MLflow names"


def author_of(address: ModelAddress) -> str:
    """Who registered the model, as MLflow knows it: the user of its run; "nobody that MLflow names" where it does not.

    Raises:
        TrackingError: there is no such model.
    """
    client, found = connect(), resolve(address)
    with known_to_mlflow(found):
        run_id: str | None = found.run_id
        if found.model_id:
            run_id = client.get_logged_model(found.model_id).source_run_id
        elif found.is_version:
            run_id = client.get_model_version(found.name, found.version).run_id
        return author_of_run(run_id) if run_id else NOBODY


def author_of_run(run_id: str) -> str:
    """Who started the run, as MLflow knows it, or as `author_of` says where it does not."""
    return connect().get_run(run_id).data.tags.get("mlflow.user", NOBODY)


def check_of_this_store(addresses: Iterable[ModelAddress]) -> None:
    """Refuse a model that no run of this MLflow store logged, before anything of it is loaded.

    A version in the registry may point to any folder or host.

    Raises:
        TrackingError: a model is of elsewhere, or is not there.
    """
    client = connect()
    for address in map(resolve, addresses):
        if address.url or not (address.run_id or _is_logged_here(client, address)):
            raise TrackingError(
                f"The model {address} was logged by no run of this MLflow store, but models_from is store. Name "
                "another variant, or set models_from=anywhere if you trust its author."
            )


def _is_logged_here(client: mlflow.MlflowClient, address: ModelAddress) -> bool:
    """Whether a run of this store logged the model: the version's own, or that of the logged model behind it."""
    version = client.get_model_version(address.name, address.version) if address.is_version else None
    try:
        if logged := address.model_id or (version and logged_id(version)):
            made_by = client.get_logged_model(logged).source_run_id
            return bool(made_by and client.get_run(made_by))
        if version is None or not version.run_id:
            return False
        home = client.get_run(version.run_id).info.artifact_uri.rstrip("/")
    except mlflow.MlflowException:
        return False
    source = version.source or ""
    return bool(home) and source.startswith(f"{home}/") and ".." not in source


def check_names_are_ours(prefix: str, names: Iterable[str]) -> None:
    """Refuse to add versions to a registered model of somebody else that has a name which ours would get.

    Ours are registered by a run with tags of recab.

    Raises:
        TrackingError: there is one.
    """
    client = connect()
    wanted = {f"{prefix}-{name}" for name in names}
    quoted = prefix.replace("'", "''")
    for found in client.search_registered_models(f"name LIKE '{quoted}-%'", max_results=1000):
        if found.name in wanted and not _is_ours(client, found):
            raise TrackingError(
                f"The MLflow registry has a model {found.name} that recab did not register, and versions of ours would "
                "stand before it. Keep them apart: experiment=NAME."
            )


def _is_ours(client: mlflow.MlflowClient, model: RegisteredModelEntity) -> bool:
    """Whether a run of recab made its newest version; a model without one is nobody's."""
    newest = max(model.latest_versions, key=lambda v: int(v.version), default=None)
    if newest is None:
        return True
    try:
        return bool(newest.run_id) and any(t.startswith("recab.") for t in client.get_run(newest.run_id).data.tags)
    except mlflow.MlflowException:
        return False
