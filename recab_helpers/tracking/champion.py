"""Who is champion: the alias of the registry that a shipped model gets, and who may get it."""

from __future__ import annotations

from collections.abc import Iterable

import mlflow

from recab_helpers.errors import TrackingError
from recab_helpers.references import ModelAddress
from recab_helpers.tracking.addresses import first_line, resolve
from recab_helpers.tracking.store import connect

CHAMPION = "champion"


def check_promotable(addresses: Iterable[ModelAddress]) -> None:
    """Refuse models that could win a test but never become champion; call it before the test and before its analysis.

    Raises:
        TrackingError: a model has no version in the registry, or is not there.
    """
    for address in addresses:
        if not resolve(address).is_version:
            raise TrackingError(
                f"{address} is no version in the MLflow registry, so it cannot become champion. Register it and name "
                "the variant models:/NAME/VERSION, or leave the champion alone: promote=false."
            )


def set_champion(winner: ModelAddress, models: Iterable[ModelAddress]) -> None:
    """Point @champion at the winner, then take it from the other models of the test: all of it, or nothing.

    Raises:
        TrackingError: the winner is no registered version, or MLflow failed; every alias is as it was.
    """
    check_promotable([winner])
    client = connect()
    names = dict.fromkeys([winner.name, *(m.name for m in models if m.is_version)])  # the winner first
    before: dict[str, str | None] = {}
    try:
        before |= {name: client.get_registered_model(name).aliases.get(CHAMPION) for name in names}
        for name in names:
            _point(client, name, winner.version if name == winner.name else None)
    except mlflow.MlflowException as error:
        raise TrackingError(
            f"The alias @{CHAMPION} was not moved to {winner} ({first_line(error)}). {_restore(client, before)}"
        ) from error
    except BaseException:
        _restore(client, before)
        raise


def _restore(client: mlflow.MlflowClient, before: dict[str, str | None]) -> str:
    """Put every alias back; says whether that worked."""
    try:
        for name, version in before.items():
            _point(client, name, version)
    except mlflow.MlflowException:
        held = ", ".join(f"{name} at {version}" for name, version in before.items() if version) or "nothing"
        return f"It could not be put back either; it pointed to {held}. Set it by hand."
    return "Every alias is as it was; try again."


def _point(client: mlflow.MlflowClient, name: str, version: str | None) -> None:
    """Give the champion of a registered model this version, or none; what is so already is left alone."""
    now = client.get_registered_model(name).aliases.get(CHAMPION)
    if version is None and now is not None:
        client.delete_registered_model_alias(name, CHAMPION)
    elif version is not None and str(now) != str(version):
        client.set_registered_model_alias(name, CHAMPION, str(version))
