"""What each stage leaves in MLflow and what the next one reads back."""

from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from recab_helpers import experiment, simulation, tracking
from recab_helpers.data import Dataset, read_table
from recab_helpers.experiment import Check, Effect, Verdict
from recab_helpers.experiment.bayes import PRIOR_SD
from recab_helpers.parameters import AnalyzeParams, CalibrateParams, PlanParams, nearest
from recab_helpers.recommenders import FittedRecommender
from recab_helpers.simulation import grading


def log_data(run: tracking.Run, dataset: Dataset, train: pd.DataFrame, held_out: pd.DataFrame) -> None:
    """Log both parts of the interactions, the catalog, and the world where there is one."""
    run.log_tables(train=train, held_out=held_out, catalog=dataset.catalog)
    if dataset.world is not None:
        run.log_arrays("world", dataset.world.arrays())


def log_models(
    run: tracking.Run, models: dict[str, FittedRecommender], quality: pd.DataFrame, experiment_name: str
) -> dict[str, str]:
    """One child run per model with its offline quality; returns the registry address of each."""
    run.log_table("quality", quality)
    addresses = {}
    for name, fitted in models.items():
        with run.child(name) as child:
            child.log_metrics(quality.loc[name].to_dict())
            addresses[name] = child.log_model(fitted, experiment_name)
    run.tag(**{f"model.{name}": address for name, address in addresses.items()})
    return addresses


def load_trained(train_run: str) -> simulation.TrainedOn:
    """The data of a train run."""
    tables = tracking.load_tables(train_run, "train", "train", "held_out", "catalog")
    return simulation.TrainedOn(**tables, world=tracking.load_arrays(train_run, "train/world"))


def log_test(
    run: tracking.Run,
    test: simulation.Test,
    tally: simulation.Tally,
    known: pd.DataFrame,
    truth: pd.DataFrame,
    yardsticks: dict[str, float],
) -> None:
    """One child run per variant with totals, exact truth and daily series; plan, truth and users as tables."""
    summary = tally.summary().join(
        truth[truth["truth"] == truth["truth"].iloc[0]].set_index("variant")[["true_ctr", "true_lift"]]
    )
    for variant in test.variants:
        with run.child(variant.name) as child:
            child.tag(model=variant.model, version=variant.version)
            child.log_metrics(summary.loc[variant.name].to_dict())
            child.log_series(tally.daily(variant.name))
    run.log_tables(truth=truth, users=known)
    run.log_json(
        "plan",
        {
            "planned": test.planned,
            "models": {v.name: f"{v.model}:{v.version}" for v in test.variants},
            "yardsticks": yardsticks,
        },
    )


@dataclass(frozen=True, kw_only=True)
class Log:
    """An impression log and what is known of it; a real log knows no truth and no models."""

    impressions: pd.DataFrame
    known: pd.DataFrame | None
    planned: dict[str, float]
    run_ids: dict[str, str]
    data_hash: str
    parameters: dict[str, Any]
    models: dict[str, str] = field(default_factory=dict)
    truth: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None
    yardsticks: dict[str, float] = field(default_factory=dict)


def load_log(params: AnalyzeParams) -> Log:
    """The log that the parameters name: a file, a simulate run, or the newest complete simulate run."""
    if params.log_file:
        impressions = experiment.check_impressions(read_table(params.log_file), source=params.log_file)
        known = read_table(params.users_file) if params.users_file else None
        names = experiment.variants_of(impressions)
        planned = dict(zip(names, simulation.shares(params.allocation, len(names)), strict=True))
        digest = f"{pd.util.hash_pandas_object(impressions, index=False).sum():016x}"
        return Log(
            impressions=impressions,
            known=known,
            planned=planned,
            run_ids={},
            data_hash=digest,
            parameters={"analyze": params.as_dict()},
        )
    simulate_run = tracking.find_stage("simulate", params.experiment, params.simulate_run_id)
    tags = tracking.run_tags(simulate_run)
    train_run = tags["train_run_id"]
    plan = tracking.load_json(simulate_run, "simulate/plan")
    return Log(
        impressions=experiment.check_impressions(tracking.load_table(simulate_run, "simulate/impressions")),
        known=tracking.load_table(simulate_run, "simulate/users"),
        planned=plan["planned"],
        run_ids={"train": train_run, "simulate": simulate_run},
        data_hash=tracking.run_tags(train_run)["data_hash"],
        parameters={
            "train": tracking.load_json(train_run, "train/parameters"),
            "simulate": tracking.load_json(simulate_run, "simulate/parameters"),
            "analyze": params.as_dict(),
        },
        models=plan["models"],
        truth=tracking.load_table(simulate_run, "simulate/truth"),
        quality=tracking.load_table(train_run, "train/quality"),
        yardsticks=plan["yardsticks"],
    )


def baseline_of(params: PlanParams) -> experiment.Baseline:
    """CTR and its variance from the pilot log that the parameters name, else from assumed rates."""
    if params.log_file:
        impressions = experiment.check_impressions(read_table(params.log_file), source=params.log_file, pilot=True)
        found = experiment.Baseline.from_users(experiment.users_table(impressions), experiment.CTR)
    else:
        names = ("ctr", "slate_size", "sessions_per_user", "click_correlation")
        found = experiment.Baseline.from_rates(**{name: getattr(params, name) for name in names})
    return found if found.reduction else replace(found, reduction=params.cuped_reduction)


def populations(params: CalibrateParams) -> dict[str, grading.Population]:
    """What `make calibrate` draws its tests from, by the question that each answers."""
    base = grading.Population(n_users=params.n_users, ctr=params.ctr)
    return {
        "no effect (A/A)": base,
        "a true lift": replace(base, lift=params.lift),
        "a true lift at 0.3% CTR": replace(base, lift=params.lift, ctr=0.003),
        "a true lift, a quarter of the users": replace(base, lift=params.lift, n_users=max(10, params.n_users // 4)),
        "a loss at the guardrail's margin": replace(base, lift=-grading.GUARDRAIL.margin),
        "lifts drawn from the prior": replace(base, lift_sd=PRIOR_SD),
    }


def grade_populations(params: CalibrateParams) -> dict[str, pd.DataFrame]:
    """Every population's graded tests, by question."""
    return {
        question: grading.grade(population, params.n_tests, seed=params.seed)
        for question, population in populations(params).items()
    }


def planned_power(params: CalibrateParams) -> float:
    """Power that planning promises for CTR without CUPED on the calibration's population."""
    population = populations(params)["a true lift"]
    pilot = pd.concat([users for _, users, _ in grading.draw_tests(replace(population, lift=0.0), 20, params.seed)])
    baseline = experiment.Baseline.from_users(pilot, experiment.CTR)
    exposed = len(pilot) / 20
    return float(experiment.power_curve(baseline, exposed, [params.lift])["power"].iloc[0])


def log_grading(run: tracking.Run, graded: dict[str, pd.DataFrame]) -> None:
    """Log every rate as a table and the A/A ones as metrics."""
    tables = {question: grading.rates(g) for question, g in graded.items()}
    run.log_table("rates", pd.concat(tables, names=["population"]).reset_index())
    allowed = {ord(c): "_" for c in "'(),"}
    run.log_metrics({m.translate(allowed): r for m, r in next(iter(tables.values()))["rate"].items()})


def metrics_of(users: pd.DataFrame, more: list[str]) -> tuple[experiment.MetricSpec, ...]:
    """The built-in metrics and the mean of each further column of the users table.

    Raises:
        ValueError: a name that is no numeric column of the users table.
    """
    numeric = users.select_dtypes("number").columns
    for name in more:
        if name not in numeric:
            raise ValueError(f"metrics has {name!r}, which is no numeric column of the users. {nearest(name, numeric)}")
    return experiment.METRICS + tuple(experiment.mean_of(name) for name in more)


def promote(log: Log, verdict: Verdict, *, wanted: bool) -> str:
    """Move the registry alias @champion to the winner's model when that is wanted; says what was done."""
    if not wanted:
        return "The alias @champion was left alone (promote is off)."
    if not verdict.winner or verdict.winner not in log.models:
        return f"The alias @champion was left alone: the verdict is {verdict.call} or the log names no model."
    tracking.set_champion(log.models[verdict.winner], log.models.values())
    return f"The alias @champion now points at {log.models[verdict.winner]}."


def inputs_of(log: Log) -> dict[str, str]:
    """What an analysis builds on, for its tags."""
    return {f"{stage}_run_id": run_id for stage, run_id in log.run_ids.items()} | {"data_hash": log.data_hash}


def log_analysis(
    run: tracking.Run, effects: list[Effect], checks: list[Check], verdict: Verdict, document: dict[str, Any]
) -> None:
    """A child run with every effect as metrics, the checks and the verdict as tags, and the report as JSON."""
    with run.child("analysis") as child:
        for effect in effects:
            values = {"lift": effect.lift, "difference": effect.difference, "p_value": effect.p_value}
            child.log_metrics({f"{effect.name}.{effect.metric}.{k}": v for k, v in values.items()})
        child.log_metrics({f"check.{i}.passed": float(c.passed) for i, c in enumerate(checks)})
        child.tag(verdict=verdict.call, sentence=verdict.sentence)
        child.log_json("ab_report", document)
    run.tag(analysis_run_id=child.run_id, verdict=verdict.call)
