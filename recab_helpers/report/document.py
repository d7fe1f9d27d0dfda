"""The same facts for machines (ab_report.json, template/ab_report.schema.json), and what it takes to reproduce them."""

import json
import math
import platform
import shlex
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from recab_helpers.analysis import CONTROL, Analysis, Slates
from recab_helpers.parameters import AnalyzeParams, SimulateParams, TrainParams
from recab_helpers.report.kit.words import true_lifts

SCHEMA_VERSION = 2
SCHEMA = Path(__file__).parent / "template" / "ab_report.schema.json"
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scikit-surprise", "scipy")
STAGES = {"train": TrainParams, "simulate": SimulateParams, "analyze": AnalyzeParams}
FOUND_BY_THE_STAGE = ("train_run_id", "simulate_run_id", "log_file")


def lineage(*, run_ids: dict[str, str], git_commit: str, data_hash: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Where the numbers come from: runs, commit, data, parameters and versions, and the commands that repeat them."""
    return {
        "run_ids": run_ids,
        "git_commit": git_commit,
        "data_hash": data_hash,
        "parameters": parameters,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "commands": commands(git_commit, parameters),
    }


def commands(git_commit: str, parameters: dict[str, dict[str, Any]]) -> list[str]:
    """What to type to get these numbers again: the commit, then `make` with what differs from the defaults."""
    set_by = {}
    for stage, values in parameters.items():
        default = {f.name: f.default for f in fields(STAGES[stage])}
        changed = {k: v for k, v in values.items() if v != STAGES[stage].of({k: default[k]}).as_dict()[k]}
        set_by[stage] = {k: v for k, v in changed.items() if k not in FOUND_BY_THE_STAGE}
    lines = [f"git checkout {git_commit.rstrip('+')}"] if git_commit else []
    log_file = parameters["analyze"]["log_file"]
    if log_file:
        return [*lines, f"make analyze LOG={shlex.quote(log_file)}{_settings(set_by['analyze'])}"]
    together = {k: v for values in set_by.values() for k, v in values.items()}
    alike = all(values.get(k, v) == v for k, v in together.items() for values in parameters.values())
    if alike:
        return [*lines, f"make report{_settings(together)}"]
    return [*lines, *(f"make {stage}{_settings(values)}" for stage, values in set_by.items())]


def _settings(values: dict[str, Any]) -> str:
    """` SET="name=value ..."` for make, quoted for the shell that make runs and for the one that runs make."""
    if not values:
        return ""
    inner = " ".join(shlex.quote(f"{name}={_yaml(value)}") for name, value in values.items()).replace("$", "$$")
    return f' SET="{inner}"' if not set(inner) & set('"\\`$!') else f" SET={shlex.quote(inner)}"


def _yaml(value: Any) -> str:
    """The value as YAML on one line without blanks, bare where YAML allows it."""
    if isinstance(value, list):
        return f"[{','.join(map(_yaml, value))}]"
    bare = isinstance(value, str) and not set(value) & set(",[]{}") and yaml.safe_load(f"[{value}]") == [value]
    return value if bare else json.dumps(value)


def report_json(
    found: Analysis,
    slates: Slates,
    lineage: dict[str, Any],
    *,
    models: dict[str, str],
    truth: pd.DataFrame | None,
    quality: pd.DataFrame | None,
    yardsticks: dict[str, float],
    grading: pd.DataFrame,
) -> dict[str, Any]:
    """The report as one document, as SCHEMA describes it; undefined numbers are null with a reason beside them.

    `models` and `yardsticks` are empty, and `truth` and `quality` are None, for a real log, which knows none of them.
    """
    variants = [
        {"name": name, "role": CONTROL if name == CONTROL else "treatment", "model": models.get(name), **row}
        for name, row in found.totals.to_dict("index").items()
    ]
    true = true_lifts(truth)
    effects = [asdict(e) | {"true_lift": true.get(e.name) if e.metric == "ctr" else None} for e in found.effects]
    smallest = {"alpha": found.alpha, "power": found.wanted_power}
    return nulls(
        {
            "schema_version": SCHEMA_VERSION,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "experiment": lineage["parameters"]["analyze"]["experiment"],
            "verdict": asdict(found.verdict),
            "variants": variants,
            "effects": effects,
            "sensitivity": [asdict(e) for e in found.sensitivity],
            "checks": [asdict(c) for c in found.checks],
            "bayes": records(found.bayes),
            "power": smallest | {"metrics": records(found.power)},
            "looks": records(found.looks),
            "ctr_by_day": records(found.by_day),
            "ctr_by_position": records(found.by_position),
            "segments": records(found.segments),
            "heterogeneity": records(found.heterogeneity),
            "slates": {"shown": records(slates.shown), "overlap": records(slates.overlap)},
            "offline_quality": records(quality),
            "truth": records(truth),
            "yardsticks": yardsticks,
            "grading": records(grading),
            "lineage": lineage,
        }
    )


def records(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """The rows of a table with its named index as columns; none where there is no table."""
    if table is None:
        return []
    return table.reset_index(drop=table.index.names == [None]).to_dict("records")


def nulls(value: Any) -> Any:
    """The value with every nan and infinity replaced by None, as JSON wants it."""
    if isinstance(value, dict):
        return {str(k): nulls(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [nulls(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
