"""What each stage leaves in MLflow and what the next one reads back."""

from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from recab_helpers import analysis, report, simulation, tracking
from recab_helpers.data import Dataset, read_table
from recab_helpers.analysis import Analysis, Slates, Verdict
from recab_helpers.analysis.bayes import PRIOR_SD
from recab_helpers.formats import count
from recab_helpers.parameters import AnalyzeParams, CalibrateParams, PlanParams
from recab_helpers.recommenders import FittedRecommender
from recab_helpers.calibration import grading


@dataclass(frozen=True, kw_only=True)
class Log:
    """An impression log and what is known of it; a real log knows no truth, no models and no interactions."""

    impressions: pd.DataFrame
    known: pd.DataFrame | None
    planned: dict[str, float]
    run_ids: dict[str, str]
    data_hash: str
    parameters: dict[str, Any]
    models: dict[str, str] = field(default_factory=dict)  # registered model and version by variant
    offline: dict[str, str] = field(default_factory=dict)  # row of `quality` by variant
    truth: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None
    yardsticks: dict[str, float] = field(default_factory=dict)
    recommendations: pd.DataFrame | None = None
    history: pd.DataFrame | None = None  # interactions that the models were trained on
    catalog: pd.DataFrame | None = None

    @property
    def titles(self) -> pd.Series | None:
        """Item titles by item_id: the catalog's, else those of the log's own title column."""
        if self.catalog is None and "title" not in self.impressions:
            return None
        table = self.impressions if self.catalog is None else self.catalog
        named = table[["item_id", "title"]].dropna()
        named = named[named["title"] != ""].drop_duplicates("item_id")
        return named.set_index("item_id")["title"].astype(str)

    @property
    def popularity(self) -> pd.Series | None:
        """Training interactions by item_id, over the whole catalog."""
        if self.history is None:
            return None
        return self.history["item_id"].value_counts().reindex(self.catalog["item_id"], fill_value=0)


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
    simulated = tracking.load_json(simulate_run, "simulate/parameters")
    quality = tracking.load_table(train_run, "train/quality")
    names = zip(plan["models"], simulated["variants"], strict=True)
    return Log(
        impressions=experiment.check_impressions(tracking.load_table(simulate_run, "simulate/impressions")),
        known=tracking.load_table(simulate_run, "simulate/users"),
        planned=plan["planned"],
        run_ids={"train": train_run, "simulate": simulate_run},
        data_hash=tracking.run_tags(train_run)["data_hash"],
        parameters={
            "train": tracking.load_json(train_run, "train/parameters"),
            "simulate": simulated,
            "analyze": params.as_dict(),
        },
        models=plan["models"],
        offline={variant: model for variant, model in names if model in quality.index},
        truth=tracking.load_table(simulate_run, "simulate/truth"),
        quality=quality,
        yardsticks=plan["yardsticks"],
        recommendations=tracking.load_table(simulate_run, "simulate/recommendations"),
        history=tracking.load_table(train_run, "train/train"),
        catalog=tracking.load_table(train_run, "train/catalog"),
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


def inputs_of(log: Log) -> dict[str, str]:
    """What an analysis builds on, for its tags."""
    return {f"{stage}_run_id": run_id for stage, run_id in log.run_ids.items()} | {"data_hash": log.data_hash}


def analyze(log: Log, params: AnalyzeParams) -> Analysis:
    """The whole analysis of the log with the run's parameters."""
    options = {"alpha": params.alpha, "power": params.power, "looks": params.looks}
    return experiment.analyze(log.impressions, log.known, planned=log.planned, more_metrics=params.metrics, **options)


def grade_like(log: Log, found: Analysis, params: AnalyzeParams, *, n_tests: int = 400) -> pd.DataFrame:
    """False alarms of the analysis, and of the usual ways, in simulated A/A tests of about this size and CTR."""
    population = grading.like(found.users, found.by_day, log.planned)
    graded = grading.grade(population, n_tests, alpha=params.alpha, boot=False, workers=1)
    return grading.rates(graded, alpha=params.alpha).filter(regex="rejects: (?!guard)|stops", axis=0)


def slates_of(log: Log, found: Analysis) -> Slates:
    """What each variant's model recommends, and a few users to look at."""
    known = {name: getattr(log, name) for name in ("recommendations", "history", "titles", "popularity")}
    return experiment.look_at_slates(found.users, log.impressions, **known)


def data_facts(log: Log) -> dict[str, str]:
    """The size of the data behind the models and of the log."""
    facts = {"data hash": log.data_hash}
    if log.history is not None:
        train = log.parameters["train"]
        facts["data set"] = f"{train['dataset']}, split {train['split'].replace('_', ' ')}"
        facts["training interactions"] = count(len(log.history))
        facts["users with a history"] = count(log.history["user_id"].nunique())
        facts["items in the catalog"] = count(len(log.catalog))
    else:
        facts["log file"] = log.parameters["analyze"]["log_file"]
    facts["impressions in the log"] = count(len(log.impressions))
    if "timestamp" in log.impressions:
        first, last = experiment.moments(log.impressions["timestamp"].agg(["min", "max"])).dt.date
        facts["days of the log"] = f"{first} to {last}"
    return facts


def lineage_of(log: Log, run: tracking.Run) -> dict[str, Any]:
    """Where the numbers of this analysis come from."""
    run_ids = {**log.run_ids, "analyze": run.run_id}
    commit = tracking.git_commit()
    return report.lineage(run_ids=run_ids, git_commit=commit, data_hash=log.data_hash, parameters=log.parameters)


def promote(log: Log, verdict: Verdict, *, wanted: bool) -> str:
    """Move the registry alias @champion to the winner's model when that is wanted; says what was done."""
    if not wanted:
        return "The alias @champion was left alone (promote is off)."
    if not verdict.winner or verdict.winner not in log.models:
        return f"The alias @champion was left alone: the verdict is {verdict.call} or the log names no model."
    tracking.set_champion(log.models[verdict.winner], log.models.values())
    return f"The alias @champion now points at {log.models[verdict.winner]}."


def log_analysis(
    run: tracking.Run, log: Log, found: Analysis, slates: Slates, graded: pd.DataFrame, lineage: dict[str, Any]
) -> None:
    """A child run with every effect as metrics, the checks and the verdict as tags, and the report as JSON."""
    known = {name: getattr(log, name) for name in ("models", "truth", "quality", "yardsticks")}
    document = report.report_json(found, slates, lineage, grading=graded, **known)
    with run.child("analysis") as child:
        for effect in found.effects:
            values = {"lift": effect.lift, "difference": effect.difference, "p_value": effect.p_value}
            child.log_metrics({f"{effect.name}.{effect.metric}.{k}": v for k, v in values.items()})
        child.log_metrics({f"check.{i}.passed": float(c.passed) for i, c in enumerate(found.checks)})
        child.tag(verdict=found.verdict.call, sentence=found.verdict.sentence)
        child.log_json("ab_report", document)
    run.tag(analysis_run_id=child.run_id, verdict=found.verdict.call)
