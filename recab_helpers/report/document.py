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

import fastjsonschema
import numpy as np
import pandas as pd
import yaml

from recab_helpers.analysis import Analysis, BothSlates, Effect, OffPolicy, Preference
from recab_helpers.parameters import STAGES
from recab_helpers.references import CONTROL
from recab_helpers.report import verdict
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import TEMPLATE
from recab_helpers.report.kit.words import model_name
from recab_helpers.report.sections.truth import true_lift

SCHEMA_VERSION = 4
SCHEMA = TEMPLATE / "ab_report.schema.json"
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scikit-surprise", "scipy")
FOUND_BY_THE_STAGE = ("train_run_id", "simulate_run_id", "log_file", "users_file")


def lineage(*, run_ids: dict[str, str], git_commit: str, data_hash: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Where the numbers come from: runs, commit, data, parameters and versions, and the commands that repeat them.

    Files are named without their folders, which say where somebody works; a page is passed on.
    """
    passed_on = {stage: _passed_on(values) for stage, values in parameters.items()}
    return {
        "run_ids": run_ids,
        "git_commit": git_commit,
        "data_hash": data_hash,
        "parameters": passed_on,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "commands": commands(git_commit, parameters),
    }


def _passed_on(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters with the name in place of the path of every file."""
    return {k: Path(v).name if k.endswith("_file") or k == "dataset" else v for k, v in values.items()}


def commands(git_commit: str, parameters: dict[str, dict[str, Any]]) -> list[str]:
    """What to type to get these numbers again: the commit, then `make` with what differs from the defaults."""
    used = {stage: _passed_on(_used(stage, values)) for stage, values in parameters.items()}
    defaults = {stage: STAGES[stage]().as_dict() for stage in parameters}
    set_by = {stage: {k: v for k, v in values.items() if v != defaults[stage][k]} for stage, values in used.items()}
    lines = [f"git checkout {git_commit.rstrip('+')}"] if git_commit else []
    if parameters["analyze"]["log_file"]:
        files = {"LOG": parameters["analyze"]["log_file"], "USERS": parameters["analyze"]["users_file"]}
        named = "".join(f" {name}={shlex.quote(Path(file).name)}" for name, file in files.items() if file)
        return [*lines, f"make analyze{named}{_settings(set_by['analyze'])}"]
    together = {k: v for values in set_by.values() for k, v in values.items()}
    alike = all(values.get(k, v) == v for k, v in together.items() for values in used.values())
    if alike:
        return [*lines, f"make report{_settings(together)}"]
    return [*lines, *(f"make {stage}{_settings(values)}" for stage, values in set_by.items())]


def _used(stage: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values without those that the stage finds itself or does not use, which would be refused."""
    left_out = {*FOUND_BY_THE_STAGE, *STAGES[stage].of(values).unused()}
    return {k: v for k, v in values.items() if k not in left_out}


def _settings(values: dict[str, Any]) -> str:
    """` SET="name=value ..."` for make, quoted for the shell that runs make and for the words that recab reads."""
    if not values:
        return ""
    inner = " ".join(shlex.quote(f"{name}={_yaml(value)}") for name, value in values.items())
    return f' SET="{inner}"' if not set(inner) & set('"\\`$!') else f" SET={shlex.quote(inner)}"


def _yaml(value: Any) -> str:
    """The value as YAML on one line, bare where YAML allows it."""
    if isinstance(value, list):
        return f"[{','.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_yaml(v)}' for k, v in value.items())}}}"
    return yaml.safe_dump([value], default_flow_style=True, width=math.inf, allow_unicode=True).strip()[1:-1]


def report_json(found: Analysis, known: Background) -> dict[str, Any]:
    """The report as one document, as SCHEMA describes it; undefined numbers are null with a reason beside them.

    Raises:
        fastjsonschema.JsonSchemaException: the document is not what SCHEMA says.
    """
    models = {v: model_name(address) for v, address in known.models.items()}
    smallest = {"alpha": found.alpha, "power": found.wanted_power}
    document = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "experiment": known.lineage["parameters"]["analyze"]["experiment"],
            "kind": verdict.kind_of(known),
            "title": verdict.title(found, known),
            "hypothesis": known.hypothesis,
            "dataset": known.dataset,
            "days": list(known.days),
            "effect_dial": known.dial if known.simulated else None,
            "verdict": _verdict(found, known),
            "variants": [
                {"name": v, "role": CONTROL if v == CONTROL else "treatment", "model": models.get(v)}
                | row
                | ({"served": asdict(known.served[v])} if v in known.served else {})
                for v, row in found.totals.to_dict("index").items()
            ],
            "effects": [_effect(e) | {"true_lift": true_lift(e, known)} for e in found.effects],
            "sensitivity": [_effect(e) | {"role": "sensitivity", "true_lift": None} for e in found.sensitivity],
            "among_treatments": [_effect(e) | {"true_lift": None} for e in found.among],
            "best": records(found.best),
            "checks": [asdict(c) for c in found.checks],
            "prior": asdict(found.prior),
            "bayes": records(found.bayes),
            "power": smallest | {"metrics": records(found.power)},
            "looks": records(found.looks),
            "ctr_by_day": records(found.by_day),
            "ctr_by_position": records(found.by_position),
            "segments": records(found.segments),
            "heterogeneity": records(found.heterogeneity),
            "both_slates": [_both_slates(reading, known) for reading in found.both_slates.values()],
            "preference": None if found.preference is None else _preference(found.preference),
            "off_policy": [_off_policy(o) for o in found.off_policy.values()],
            "slates": {"shown": records(known.slates.shown), "overlap": records(known.slates.overlap)},
            "offline_quality": records(known.quality),
            "truth": records(known.truth),
            "yardsticks": known.yardsticks,
            "grading": records(known.grading),
            "lineage": known.lineage,
        }
    )
    fastjsonschema.validate(json.loads(SCHEMA.read_text(encoding="utf-8")), document)
    return document


def _both_slates(reading: BothSlates, known: Background) -> dict[str, Any]:
    """The three readings of one treatment, the gate and examination by position."""
    effects = {name: getattr(reading, name) for name in ("plain", "triggered", "both")}
    readings = {name: _effect(e) | {"true_lift": true_lift(e, known)} for name, e in effects.items()}
    examined = pd.DataFrame(asdict(reading.examination))
    return readings | {
        "gate_p": reading.gate_p,
        "holds": reading.holds,
        "same_place": reading.same,
        "examination": records(examined),
    }


def _preference(p: Preference) -> dict[str, Any]:
    """The preference with its comparison spelled out."""
    values = {f.name: getattr(p, f.name) for f in fields(p) if f.name != "comparison"}
    return {"variant": p.comparison.variant, "against": p.comparison.against, "preferred": p.preferred} | values


def _off_policy(o: OffPolicy) -> dict[str, Any]:
    """What the log says of one target."""
    values = {f.name: getattr(o, f.name) for f in fields(o) if f.name not in ("comparison", "estimates", "n_users")}
    estimates = [asdict(e) for e in o.estimates]
    return {"variant": o.comparison.variant, "users": o.n_users, "better": o.better, "estimates": estimates} | values


def records(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """The rows of a table with its named index as columns; none where there is no table."""
    if table is None:
        return []
    return table.reset_index(drop=table.index.names == [None]).to_dict("records")


def plain(value: Any) -> Any:
    """The value as JSON knows it: numpy's numbers and truths as Python's, nan and infinity as null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def effects_csv(document: dict[str, Any]) -> str:
    """The effects of the document as a table for a spreadsheet: one row each, intervals as two columns."""
    rows = [e for part in ("effects", "among_treatments", "sensitivity") for e in document[part]]
    if not rows:
        return ""
    intervals = [k for k in rows[0] if k.endswith("_ci")]
    table = pd.DataFrame(rows)
    for name in intervals:
        for i, end in enumerate(("low", "high")):
            table[f"{name.removesuffix('_ci')}_{end}"] = [row[name][i] for row in rows]
    return table.drop(columns=intervals).to_csv(index=False)


def _verdict(found: Analysis, known: Background) -> dict[str, Any]:
    """The facts of the verdict, and the sentences that say them."""
    v = found.verdict
    return {
        "call": v.call,
        "winner": v.winner,
        "headline": verdict.headline(found, known),
        "sentence": verdict.sentence(found, known),
        "reasons": verdict.reasons(found, known),
        "next_step": verdict.next_step(found, known),
        "same_model_in_all": known.same_in_all,
        "hangs_on_truth": v.effect is not None and known.hangs_on_truth(v.effect.comparison.variant),
        "about": None if v.effect is None else _address(v.effect),
        "reading": found.reading,
        "failed": [check.name for check in v.failed],
        **{
            name: [_address(e) for e in getattr(v, name)]
            for name in ("undefined", "held", "doubtful", "broken", "fell", "moved")
        },
        "mde": v.mde,
        "users_for_estimate": v.users_for_estimate,
    }


def _address(effect: Effect) -> dict[str, str]:
    """Which of the effects this is."""
    return {"metric": effect.metric.name, "variant": effect.comparison.variant, "against": effect.comparison.against}


def _effect(effect: Effect) -> dict[str, Any]:
    """The effect with its metric and comparison spelled out."""
    values = {f.name: getattr(effect, f.name) for f in fields(effect) if f.name not in ("metric", "comparison")}
    about = {"label": effect.metric.label, "role": effect.metric.role, "direction": effect.metric.direction}
    return _address(effect) | about | {"margin": effect.margin} | values
