"""How a test gets a model: loaded from MLflow, in memory, or served; all of them are asked in one way."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from recab_helpers.errors import DataError, ParameterError, RecabError, TrackingError
from recab_helpers.recommenders.checked import as_table
from recab_helpers.recommenders.remote import RemoteModel
from recab_helpers.references import ModelAddress
from recab_helpers.tracking.addresses import known_to_mlflow, logged_model, read_address, resolve
from recab_helpers.tracking.copies import copy_of


def load_model(reference: str | ModelAddress, train_run_id: str = "") -> RegisteredModel | RemoteModel:
    """Load a recommender; its address is the version that the reference means now.

    `reference` is the name of a model of the train run (`content`), or an MLflow address: by version
    (`models:/recab-synthetic-content/3`, or `latest` for the number), by alias
    (`models:/recab-synthetic-content@champion`), by run (`runs:/<id>/content`) or as MLflow 3 logged it
    (`models:/m-<id>`). Only what was never registered keeps its address. A model that is served
    (`http://127.0.0.1:5001`) stays where it is.

    Raises:
        TrackingError: there is no such model, or it cannot be loaded here.
        ParameterError: the reference is no address.
    """
    address = resolve(read_address(reference, train_run_id))
    if address.url:
        return RemoteModel(address)
    with known_to_mlflow(address):
        logged = logged_model(address)
    copy = copy_of(f"models/{logged}") if logged else None
    there = copy is not None and (copy / "MLmodel").exists()
    try:
        return RegisteredModel(address, mlflow.pyfunc.load_model(str(copy if there else address)))
    except MlflowException as error:
        if address.run_id and error.error_code == "RESOURCE_DOES_NOT_EXIST":  # it is not known before
            with known_to_mlflow(address):
                raise
        raise _not_loaded(address, error) from error
    except Exception as error:
        raise _not_loaded(address, error) from error


def _not_loaded(address: ModelAddress, error: Exception) -> TrackingError:
    return TrackingError(
        f"The model {address} cannot be loaded here: {_said(error)}. Install what it needs, or serve it from an "
        f"environment of its own, mlflow models serve -m {address} -p 5001, and name http://127.0.0.1:5001."
    )


@dataclass(frozen=True)
class RegisteredModel:
    """A recommender loaded from MLflow."""

    address: ModelAddress
    pyfunc: Any = field(repr=False)

    @property
    def catalog(self) -> str:
        """Digest of the catalog that the model says it was fitted on; empty where it says nothing."""
        return (self.pyfunc.metadata.metadata or {}).get("catalog", "")

    def recommend(self, user_ids: Sequence[str] | np.ndarray, k: int) -> Any:
        """What the model returns for these users, unchecked; it should be the recommendations table.

        Raises:
            DataError: the model failed.
        """
        with _told(self.address, user_ids, k):
            return as_table(self.pyfunc.predict(_table_of(user_ids), params={"k": k}))


@dataclass(frozen=True)
class Unregistered:
    """A recommender in memory, which no registry knows."""

    address: ModelAddress
    ask: Callable[..., Any] = field(repr=False)

    def recommend(self, user_ids: Sequence[str] | np.ndarray, k: int) -> Any:
        """As of a `RegisteredModel`."""
        with _told(self.address, user_ids, k):
            return as_table(self.ask(user_ids, k))


@contextmanager
def _told(address: ModelAddress, user_ids: Sequence[str] | np.ndarray, k: int) -> Iterator[None]:
    """Whatever the code of a model ends with, as one sentence."""
    try:
        yield
    except RecabError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"The model {address} failed when asked for {k} items for {len(user_ids):,} users, such as "
            f"{str(user_ids[0])!r}: {_said(error)}. Correct it and register it anew."
        ) from error


def _said(error: BaseException) -> str:
    """What failed, in one line; of a signature that refuses our input, why, and which signature does not."""
    text = " ".join(str(error).split())
    if refused := re.search(r"with schema '(.*)'\. Error: (.*)", text):
        return f"its signature wants {refused[1]}, but it is asked with user_id as text ({refused[2].rstrip('.')})"
    first = (str(error).strip().splitlines() or [""])[0].removesuffix(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


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
    if hasattr(model, "recommend") and not isinstance(model, type):
        return Unregistered(address, model.recommend)
    raise ParameterError(
        f"{model!r} is no model; give an address, an MLflow model, or what has recommend(user_ids, k)."
    )


def _predicted(model: Any, user_ids: Sequence[str] | np.ndarray, k: int) -> Any:
    takes = inspect.signature(model.predict).parameters
    given = [*([None] if "context" in takes else []), _table_of(user_ids)]
    return model.predict(*given, **({"params": {"k": k}} if "params" in takes else {}))


def _table_of(user_ids: Sequence[str] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"user_id": np.asarray(user_ids, dtype=object)})
