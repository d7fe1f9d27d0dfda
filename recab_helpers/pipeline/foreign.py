"""Whose code is about to run: MLflow loads a model by running the code that was registered with it, as you."""

from typing import Any

from recab_helpers.references import ModelAddress

IN_MLFLOW = ("models:/", "runs:/")


def say_whose_code(params: dict[str, Any]) -> None:
    """Name, in a line each, the author of every model that MLflow will load and this run has not trained.

    Those that a training of this user registered go without a line.

    Raises:
        ParameterError: a target is no address of a model.
        TrackingError: there is no such model or training, or a model is of elsewhere where `models_from` is store.
    """
    from recab_helpers import tracking

    loads = _loads(params)
    variants = named_in(params)
    if loads is None and not variants:
        return
    named = {v: address for v, address in variants.items() if v.startswith(IN_MLFLOW)}
    if getattr(loads, "models_from", "") == "store":
        tracking.check_of_this_store(named.values())
    authors = {text: tracking.author_of(address) for text, address in named.items()}
    if loads and "train" not in params and any(":/" not in v for v in loads.variants or ["all of the training"]):
        run_id = tracking.find_stage("train", loads.experiment, loads.train_run_id)
        if (author := tracking.author_of_run(run_id)) != tracking.this_user():
            authors[f"The training {run_id}"] = author
    for what, author in authors.items():
        print(f"recab: {what} was registered by {author}; loading it runs its code as you (SECURITY.md).", flush=True)


def _loads(params: dict[str, Any]) -> Any:
    """The parameters that name variants to load; None where there are none."""
    return next((params[stage] for stage in ("simulate", "designs", "serve") if stage in params), None)


def named_in(params: dict[str, Any]) -> dict[str, ModelAddress]:
    """The models that a simulation or a reading off-policy names by address, by how they are written."""
    loads = _loads(params)
    written = [v for v in loads.variants if ":/" in v] if loads else []
    target = getattr(params.get("analyze"), "target", "")
    return {v: ModelAddress.parse(v) for v in (*written, *([target] if target else []))}
