"""What the training leaves in MLflow, and how it is read back."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from recab_helpers import limits, tracking
from recab_helpers.data import Dataset, TrainedOn, World, digest_of
from recab_helpers.data.contract import as_ids
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.formats import label_of, number
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import MODELS, FittedRecommender, checked_slates, parameters_of, quality_of, what_is
from recab_helpers.references import ModelAddress


def log_data(
    run: tracking.Run, dataset: Dataset, train: pd.DataFrame, held_out: pd.DataFrame, params: TrainParams | None = None
) -> None:
    """Log both parts of the interactions, the catalog, and the world where there is one.

    Raises:
        TrackingError: the registry has a model of somebody else under a name that the models of `params` will get.
    """
    if params is not None:  # before anything is fitted
        tracking.check_names_are_ours(tracking.registry_prefix(params.experiment, dataset.name), MODELS)
    run.log_data(train=train, held_out=held_out, catalog=dataset.catalog)
    run.tag(catalog=digest_of(dataset.catalog), dataset=dataset.name)
    if dataset.world is not None:
        run.log_arrays("world", dataset.world.arrays())


def log_models(
    run: tracking.Run,
    models: dict[str, FittedRecommender],
    quality: pd.DataFrame,
    params: TrainParams,
    aside: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, ModelAddress]:
    """One child run per model with its offline quality; returns the registry address of each.

    Data come first (`log_data`): the models of other data are other models in the registry. `aside` are the models that
    could not be fitted, with the reasons; who asks for one of them later is told.
    """
    run.log_table("quality", quality)
    tags, data = run.own_tags, run.datasets
    prefix, addresses = tracking.registry_prefix(params.experiment, tags["dataset"]), {}
    used = {"training": data["train/train"], "evaluation": data["train/held_out"]}
    for name, fitted in models.items():
        own = parameters_of(name, params)
        card = card_of(name, quality.loc[name], data=f"{tags['dataset']} ({tags['catalog']})", run_id=run.run_id)
        with run.child(name) as child:
            child.log_inputs(used)
            logged = tracking.log_model(child, fitted, prefix, tags["catalog"], params=own, card=card)
            child.log_params(own)
            child.log_metrics(in_words(quality.loc[name]), model_id=logged.model_id, on=used["evaluation"])
            addresses[name] = logged.address
            child.name(name, card)
    models_of = {f"model.{name}": str(address) for name, address in addresses.items()}
    run.tag(**models_of, **{f"aside.{name}": reason for name, reason in aside.items()})
    return addresses


def card_of(name: str, quality: pd.Series, *, data: str, run_id: str) -> str:
    """What a registered model is, as Markdown: how it scores, what it learned from, how good it is, how to use it."""
    graded = {label_of(str(k)): number(v) for k, v in quality.items() if np.isfinite(v)}
    lines = [
        f"**{name}**: {what_is(name)}",
        f"Trained on {data}, by run {run_id}, from interactions that the grading never saw.",
        "| on what was held out | |\n|---|---|\n"
        + "\n".join(f"| {label} | {value} |" for label, value in graded.items()),
        f"Asked with a `user_id` column and `k`, it returns k items per user. In a test: `variants=[...,{name}]`.",
    ]
    return "\n\n".join(lines)


def in_words(values: Mapping[Any, float] | pd.Series) -> dict[str, float]:
    """Metrics by names that people read and MLflow takes: `NDCG at 10`, `true CTR`, `fit seconds`."""
    names = {"@": " at ", "(s)": "seconds", "(": "", ")": ""}
    return {re.sub("@|[(]s[)]|[()]", lambda found: names[found[0]], label_of(str(k))): v for k, v in values.items()}


def load_trained(train_run: str) -> TrainedOn:
    """The data of a train run."""
    tables = tracking.load_tables(train_run, "train", "train", "held_out", "catalog")
    world = tracking.load_arrays(train_run, "train/world")
    return TrainedOn(**tables, world=World(**world) if world else None)


def load_training(experiment: str = "recab", train_run_id: str = "") -> TrainedOn:
    """What the newest complete training of the experiment saw, or that of a run: train, held_out, catalog and ids.

    It also points MLflow at the store that the doors use, so that what is logged next is found by them.
    """
    return load_trained(tracking.find_stage("train", experiment, train_run_id))


def check_model(model: Any, users: Iterable[Any] | None = None, *, k: int = 10, experiment: str = "recab") -> pd.Series:
    """Whether a model keeps the contract of a variant, asked as a test asks it, and how good it is offline.

    `model` is an address (`models:/name/3`), the name of a model of the newest training, an MLflow PythonModel or
    loaded pyfunc, or anything with `recommend(user_ids, k)`; `users` are asked, by default a hundred of the newest
    training and a stranger. Returns the share of recommended items that the users had met already (0 is right), the
    share of the users who get the very list of a stranger (nan where `users` are given), and the offline quality.

    Raises:
        DataError: one sentence that says what the model returns instead.
        ParameterError: no users, or more items than the catalog has.
    """
    train_run = tracking.find_stage("train", experiment)
    data = load_trained(train_run)
    limits.within("k", k, 1, len(data.item_ids))
    served = tracking.load_model(model, train_run) if isinstance(model, str) else tracking.as_served(model)
    known = data.user_ids[:: max(1, len(data.user_ids) // 100)]
    asked = np.append(known.astype(object), "a stranger") if users is None else _ids_of(users)
    lists = checked_slates(served.recommend(asked, k), asked, data.item_ids, k, source=str(served.address))
    alone = checked_slates(served.recommend(asked[-2:], k), asked[-2:], data.item_ids, k, source=str(served.address))
    if not np.array_equal(alone, lists[-2:]):
        raise DataError(
            f"{served.address} gives the user {asked[-2:][0]!s} another list when fewer users are asked for. A list "
            "depends on its user only; take the user_id of the input, not the number of its row."
        )
    shown = pd.DataFrame({"user_id": np.repeat(asked, k), "item_id": data.item_ids[lists.ravel()]})
    met = shown.merge(data.train[["user_id", "item_id"]], on=["user_id", "item_id"])
    as_stranger = np.nan if users is not None else float(np.mean(np.all(lists[:-1] == lists[-1], axis=1)))
    shares = {"met_before": len(met) / len(shown), "as_a_stranger": as_stranger}
    return pd.Series(shares | quality_of(served, data), name=str(served.address))


def _ids_of(users: Iterable[Any]) -> np.ndarray:
    """Ids of users as text, each once, as objects."""
    given = [users] if isinstance(users, str) else list(users)
    if not given:
        raise ParameterError("users is empty. Name at least one, or leave it out to ask for a hundred of the training.")
    return as_ids(pd.Series(given)).drop_duplicates().to_numpy(dtype=object)
