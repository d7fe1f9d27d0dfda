"""The same facts for machines: ab_report.json, and what it takes to reproduce the run."""

import math
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import pandas as pd

from recab_helpers.experiment import CONTROL, Check, Effect, Verdict

SCHEMA_VERSION = 1
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scikit-surprise", "scipy")


def lineage(*, run_ids: dict[str, str], git_commit: str, data_hash: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Where the numbers come from: runs, commit, data, parameters and versions."""
    versions = {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}}
    return {
        "run_ids": run_ids,
        "git_commit": git_commit,
        "data_hash": data_hash,
        "parameters": parameters,
        "versions": versions,
    }


def report_json(
    verdict: Verdict,
    totals: pd.DataFrame,
    effects: list[Effect],
    checks: list[Check],
    power: pd.DataFrame,
    lineage: dict[str, Any],
    *,
    models: dict[str, str],
    truth: pd.DataFrame | None,
) -> dict[str, Any]:
    """The report as one document; undefined numbers are null with a reason beside them.

    `models` is empty and `truth` is None for a real log, which knows neither.
    """
    variants = [
        {
            "name": name,
            "role": "control" if name == CONTROL else "treatment",
            "model": models.get(name),
            **row,
        }
        for name, row in totals.drop(columns="sessions").to_dict("index").items()
    ]
    true = {} if truth is None else truth.drop_duplicates("variant").set_index("variant")["true_lift"]
    rows = []
    for effect in effects:
        treatment = effect.comparison.split(" vs ")[0]
        rows.append(asdict(effect) | {"true_lift": true.get(treatment) if effect.metric == "ctr" else None})
    return nulls(
        {
            "schema_version": SCHEMA_VERSION,
            "experiment": lineage["parameters"]["analyze"]["experiment"],
            "verdict": asdict(verdict),
            "variants": variants,
            "effects": rows,
            "checks": [asdict(c) for c in checks],
            "power": {"metrics": power.reset_index().to_dict("records")},
            "lineage": lineage,
        }
    )


def nulls(value: Any) -> Any:
    """The value with every nan and infinity replaced by None, as JSON wants it."""
    if isinstance(value, dict):
        return {k: nulls(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [nulls(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
