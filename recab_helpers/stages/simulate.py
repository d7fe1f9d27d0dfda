"""What a simulated test leaves in MLflow."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from recab_helpers import tracking
from recab_helpers.data import TrainedOn
from recab_helpers.errors import DataError
from recab_helpers.formats import label_of
from recab_helpers.parameters import SimulateParams
from recab_helpers.recommenders import RemoteModel, quality_of
from recab_helpers.recommenders.protocol import Served
from recab_helpers.simulation import Tally, Test, untold_truths
from recab_helpers.stages.train import in_words


def load_variants(
    params: SimulateParams, trained: TrainedOn, train_run: str
) -> tuple[list[tracking.RegisteredModel | RemoteModel], dict[str, str]]:
    """The models to compare, and what is otherwise than asked for, with the reason.

    Where no variants are named and content stepped aside in the training, popularity takes its place.

    Raises:
        TrackingError: there is no such model, or one is of elsewhere where `models_from` is store.
        NoAnswerError: nothing is served at the address of a model.
        DataError: a model was trained on another catalog than the train run.
    """
    notes, names = untold_truths(trained, params.truth), params.variants
    tags = tracking.run_tags(train_run)
    reason = tags.get("aside.content")
    if reason and names == SimulateParams().variants:
        names = ["popularity" if name == "content" else name for name in names]
        notes = {"content": f"not fitted, so that popularity takes its place: {reason}"} | notes
    if params.models_from == "store":
        tracking.check_of_this_store(tracking.addresses_of(train_run, names).values())
    models = [_within_limit(tracking.load_model(name, train_run), params.time_limit_s) for name in names]
    for name, model in zip(names, models, strict=True):
        if model.catalog not in ("", tags.get("catalog")):
            raise DataError(
                f"The variant {name} ({model.address}) was trained on another catalog than the train run {train_run}. "
                "Train it on this one, or name the run of its catalog: train_run_id."
            )
    return models, notes


def _within_limit(model: Any, time_limit_s: float) -> Any:
    """The model, and where it is served, with this limit for a request; it has to be there before a test begins."""
    if isinstance(model, RemoteModel):
        model.check_there()
        return replace(model, time_limit_s=time_limit_s)
    return model


def offline_of(models: Sequence[Served], trained: TrainedOn, train_run: str) -> tuple[list[str], pd.DataFrame]:
    """The row of each model in the tables of offline quality, and the quality of those that the training did not grade.

    They are graded on the same held-out part of the interactions, and go by their address. A served model that does not
    answer rightly for all of it has no quality.
    """
    tags = tracking.run_tags(train_run)
    graded = {v: k.removeprefix("model.") for k, v in tags.items() if k.startswith("model.")}
    others = {str(m.address): m for m in models if str(m.address) not in graded}
    found = {name: _quality(m, trained) for name, m in others.items()}
    quality = pd.DataFrame(found).T.rename_axis("model")
    return [graded.get(str(m.address), str(m.address)) for m in models], quality


def _quality(model: Served, trained: TrainedOn) -> dict[str, float]:
    try:
        return quality_of(model, trained)
    except DataError:
        if not isinstance(model, RemoteModel):
            raise
        return {"ndcg_at_10": float("nan")}


def log_test(
    run: tracking.Run,
    test: Test,
    tally: Tally,
    known: pd.DataFrame,
    truth: pd.DataFrame,
    yardsticks: dict[str, float],
    offline: Sequence[str] = (),
    quality: pd.DataFrame | None = None,
) -> None:
    """One child run per variant with totals, exact truth and daily series; plan, slates, truth and users.

    Where a model is served, its child run has its latency and the users without a list of it, and so has the plan.

    The artifact `simulate/plan` holds the planned shares, the address of each variant's model, its row in the tables of
    offline quality (`offline_of`), and the yardsticks.
    """
    drawn = truth[truth["drawn"]].set_index("variant")
    summary = tally.summary().join(drawn[["true_ctr", "true_lift"]])
    served = _served(test, known) if "timed_requests" in known else {}
    run.log_data(users=known)
    names = ("impressions", "users")
    used = {n: run.datasets[f"simulate/{n}"] for n in names if f"simulate/{n}" in run.datasets}
    for variant in test.variants:
        with run.child(variant.name) as child:
            child.log_inputs(used, tracking.model_ids([variant.model]))
            child.tag(model=str(variant.model))
            child.log_metrics(in_words(summary.loc[variant.name]))
            if answered := served.get(variant.name):
                measured = {k: v for k, v in answered.items() if k.endswith("_ms") and v is not None}
                without = sum(answered["popular_instead"].values())
                child.log_metrics(in_words(measured | {"popular_instead": without}))
            child.log_series(tally.daily(variant.name).rename(columns=label_of))
    run.log_table("recommendations", test.recommendations())
    run.log_table("truth", truth)
    models = {v.name: str(v.model) for v in test.variants}
    rows = dict(zip(models, offline, strict=False))
    plan = {"planned": test.planned, "models": models, "offline": rows, "yardsticks": yardsticks, "served": served}
    run.log_json("plan", plan | {"model_ids": tracking.model_ids(v.model for v in test.variants)})
    if quality is not None and len(quality):
        run.log_table("quality", quality)


def _served(test: Test, known: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """How each variant's model answered, as `report.Served` holds it; None stands for what was not measured."""
    found = {}
    for code, variant in enumerate(test.variants):
        timed = known.loc[(known["timed_requests"] > 0) & (test.assignment == code), "latency_ms"]
        median, p95 = (float(timed.quantile(q)) if len(timed) else None for q in (0.5, 0.95))
        found[variant.name] = {
            "users": len(test.user_ids),
            "popular_instead": dict(variant.popular_instead),
            "timed_requests": len(timed),
            "median_ms": median,
            "p95_ms": p95,
        }
    return found
