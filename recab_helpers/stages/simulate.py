"""What a simulated test leaves in MLflow."""

import pandas as pd

from recab_helpers import tracking
from recab_helpers.data import TrainedOn
from recab_helpers.parameters import SimulateParams
from recab_helpers.simulation import Tally, Test, untold_truths


def variants_for(params: SimulateParams, trained: TrainedOn, train_run: str) -> tuple[list[str], dict[str, str]]:
    """The models to compare, and what is otherwise than asked for, with the reason.

    Where no variants are named and content stepped aside in the training, popularity takes its place.
    """
    notes, variants = untold_truths(trained, params.truth), params.variants
    reason = tracking.run_tags(train_run).get("aside.content")
    if reason and variants == SimulateParams().variants:
        variants = ["popularity" if name == "content" else name for name in variants]
        notes = {"content": f"not fitted, so that popularity takes its place: {reason}"} | notes
    return variants, notes


def log_test(
    run: tracking.Run,
    test: Test,
    tally: Tally,
    known: pd.DataFrame,
    truth: pd.DataFrame,
    yardsticks: dict[str, float],
) -> None:
    """One child run per variant with totals, exact truth and daily series; plan, slates, truth and users.

    The artifact `simulate/plan` holds the planned shares, the address of each variant's model, and the yardsticks.
    """
    drawn = truth[truth["drawn"]].set_index("variant")
    summary = tally.summary().join(drawn[["true_ctr", "true_lift"]])
    for variant in test.variants:
        with run.child(variant.name) as child:
            child.tag(model=str(variant.model))
            child.log_metrics(summary.loc[variant.name].to_dict())
            child.log_series(tally.daily(variant.name))
    run.log_table("recommendations", test.recommendations())
    run.log_tables(truth=truth, users=known)
    models = {v.name: str(v.model) for v in test.variants}
    run.log_json("plan", {"planned": test.planned, "models": models, "yardsticks": yardsticks})
