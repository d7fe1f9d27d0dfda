"""The log of a test, simulated or real, and what is known beside it."""

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from recab_helpers import analysis, tracking
from recab_helpers.brief import Brief
from recab_helpers.impressions import Aggregates, Reading, refuse_unplanned
from recab_helpers.parameters import AnalyzeParams
from recab_helpers.references import CONTROL, ModelAddress
from recab_helpers.report import Served
from recab_helpers.tables import digest_of


@dataclass(frozen=True, kw_only=True)
class Log(Brief):
    """Where the log of a test lies and what is known beside it; a real log knows no truth, models or interactions."""

    impressions: Path | None
    users: Path | None
    allocation: float | None  # planned share of users outside control, where no shares are known
    parameters: dict[str, Any]
    planned: dict[str, float] = field(default_factory=dict)  # share of users by variant
    clicks: Path | None = None  # a table of clicks, where they do not stand in the log
    reading: Reading = field(default_factory=Reading)
    run_ids: dict[str, str] = field(default_factory=dict)
    data_hash: str = ""
    models: dict[str, ModelAddress] = field(default_factory=dict)  # by variant
    model_ids: list[str] | None = None  # the logged models behind them, where a simulation wrote them down
    offline: dict[str, str] = field(default_factory=dict)  # row of `quality` by variant
    served: dict[str, Served] = field(default_factory=dict)  # by variant, where a model is behind HTTP
    truth: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None
    yardsticks: dict[str, float] = field(default_factory=dict)
    recommendations: Path | None = None
    history: Path | None = None  # interactions that the models were trained on
    catalog: pd.DataFrame | None = None

    @property
    def identity(self) -> str:
        """What tells this test from others, whenever it is read: where its log lies, or how it was simulated."""
        made = {k: v for k, v in self.parameters.items() if k != "analyze"}
        lies = self.impressions or self.users
        what = json.dumps([made, self.data_hash], sort_keys=True) if made or lies is None else str(lies.resolve())
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    @property
    def kind(self) -> str:
        """Real, or simulated."""
        return "real" if self.truth is None else "simulated"

    @property
    def dataset_name(self) -> str:
        """The data set that the models learned from, or the log; without the folders that it lies in."""
        of = self.parameters["train"]["dataset"] if self.history else self.impressions or self.users or ""
        return Path(of).name

    def planned_for(self, test: Aggregates) -> dict[str, float]:
        """The planned shares; treatments divide an allocation equally, and equal shares are assumed without one.

        Raises:
            ParameterError: they do not name the variants of the log.
        """
        variants = test.users.variants
        if not self.run_ids:
            refuse_unplanned(self.planned, variants)
        if self.planned:
            return self.planned
        if self.allocation is None:
            return analysis.Assumed(dict.fromkeys(variants, 1 / len(variants)))
        treatments = [v for v in variants if v != CONTROL]
        return {CONTROL: 1 - self.allocation} | dict.fromkeys(treatments, self.allocation / len(treatments))


def find_log(params: AnalyzeParams) -> Log:
    """The log that the parameters name: a file, a simulate run, or the newest complete simulate run."""
    if params.reads:
        given = [Path(f) for f in (params.log_file, params.users_file, params.clicks_file) if f]
        return Log(
            impressions=Path(params.log_file) if params.log_file else None,
            users=Path(params.users_file) if params.users_file else None,
            clicks=Path(params.clicks_file) if params.clicks_file else None,
            reading=Reading.of(params),
            allocation=None if isinstance(params.allocation, dict) else params.allocation,
            planned=params.planned,
            data_hash=digest_of(*given),
            models={"treatment": ModelAddress.parse(params.target)} if params.design == "off_policy" else {},
            parameters={"analyze": params.as_dict()},
        )
    simulate_run = tracking.find_stage("simulate", params.experiment, params.simulate_run_id)
    train_run = tracking.run_tags(simulate_run)["train_run_id"]
    plan = tracking.load_json(simulate_run, "simulate/plan")
    simulated = tracking.load_json(simulate_run, "simulate/parameters")
    quality, offline = tracking.load_table(train_run, "train/quality"), plan["offline"]
    if not set(offline.values()) <= set(quality.index):  # models of others, graded in the simulation
        quality = pd.concat([quality, tracking.load_table(simulate_run, "simulate/quality")])
    models = {variant: ModelAddress.parse(address) for variant, address in plan["models"].items()}
    if params.promote:
        tracking.check_promotable(models.values())
    return Log(
        impressions=tracking.artifact(simulate_run, "simulate/impressions.parquet"),
        reading=Reading.of(replace(params, design=_design_of(simulated))),
        users=tracking.artifact(simulate_run, "simulate/users.parquet"),
        allocation=simulated["allocation"],
        planned=plan["planned"],
        run_ids={"train": train_run, "simulate": simulate_run},
        data_hash=tracking.run_tags(train_run)["data_hash"],
        parameters={
            "train": tracking.load_json(train_run, "train/parameters"),
            "simulate": simulated,
            "analyze": params.as_dict(),
        },
        models=models,
        model_ids=plan.get("model_ids"),
        offline=offline,
        served={v: _answers_of(of) for v, of in plan.get("served", {}).items()},
        truth=tracking.load_table(simulate_run, "simulate/truth"),
        quality=quality,
        yardsticks=plan["yardsticks"],
        recommendations=tracking.artifact(simulate_run, "simulate/recommendations.parquet"),
        history=tracking.artifact(train_run, "train/train.parquet"),
        catalog=tracking.load_table(train_run, "train/catalog"),
    )


def _design_of(simulated: dict[str, Any]) -> str:
    return "off_policy" if simulated.get("exploration") else simulated.get("design", "users")


def _answers_of(plan: dict[str, Any]) -> Served:
    known: dict[str, Any] = {k: math.nan if v is None else v for k, v in plan.items()}
    return Served(**known)


def inputs_of(log: Log) -> dict[str, str]:
    """What an analysis builds on, for its tags."""
    return {f"{stage}_run_id": run_id for stage, run_id in log.run_ids.items()} | {"data_hash": log.data_hash}
