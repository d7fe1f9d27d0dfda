"""Whose code is about to run: MLflow loads a model by running the code that was registered with it, as you."""

from typing import Any

from recab_helpers.references import ModelAddress

IN_MLFLOW = ("models:/", "runs:/")


def say_whose_code(params: dict[str, Any]) -> None:
    """Name, in a line each, the author of every model that MLflow will load and this run has not trained.

    Those that a training of this user registered go without a line.

    Raises:
        TrackingError: there is no such model or training, or a model is of elsewhere where `models_from` is store.
    """
    from recab_helpers import tracking

    loads = params.get("simulate") or params.get("serve")
    if loads is None:
        return
    named = {v: ModelAddress.parse(v) for v in loads.variants if v.startswith(IN_MLFLOW)}
    if getattr(loads, "models_from", "") == "store":
        tracking.check_of_this_store(named.values())
    authors = {text: tracking.author_of(address) for text, address in named.items()}
    if "train" not in params and any(":/" not in v for v in loads.variants or ["all of the training"]):
        run_id = tracking.find_stage("train", loads.experiment, loads.train_run_id)
        if (author := tracking.author_of_run(run_id)) != tracking.this_user():
            authors[f"The training {run_id}"] = author
    for what, author in authors.items():
        print(f"recab: {what} was registered by {author}; loading it runs its code as you (SECURITY.md).", flush=True)
