"""The document for machines: what its schema says, and the commands that repeat a run."""

import io
import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import fastjsonschema
import jsonschema
import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis import CTR, Check, mean_of
from recab_helpers.analysis.among import BEST_COLUMNS
from recab_helpers.analysis.bayes import BAYES_COLUMNS
from recab_helpers.analysis.looks import LOOK_COLUMNS
from recab_helpers.analysis.power import POWER_COLUMNS
from recab_helpers.analysis.segments import HETEROGENEITY_COLUMNS, SEGMENT_COLUMNS
from recab_helpers.analysis.slates import SHOWN_COLUMNS
from recab_helpers.analysis.totals import CTR_COLUMNS
from recab_helpers.calibration.grading import RATES_COLUMNS
from recab_helpers.impressions.slates import OVERLAP_COLUMNS
from recab_helpers.parameters import STAGES, AnalyzeParams
from recab_helpers.pipeline.values import check_values, read_values
from recab_helpers.report import Background
from recab_helpers.report.document import SCHEMA, commands, effects_csv, lineage, report_json
from tests.report.drawn import a_background, an_analysis

RUN = ("train", "simulate", "analyze")
SCHEMA_TEXT = json.loads(SCHEMA.read_text())
TABLES = [
    ("best", BEST_COLUMNS),
    ("bayes", BAYES_COLUMNS),
    ("power/properties/metrics", POWER_COLUMNS),
    ("looks", LOOK_COLUMNS),
    ("ctr_by_day", {"variant": None, "day": None} | CTR_COLUMNS),
    ("ctr_by_position", {"variant": None, "position": None} | CTR_COLUMNS),
    ("segments", SEGMENT_COLUMNS),
    ("heterogeneity", HETEROGENEITY_COLUMNS),
    ("slates/properties/shown", {"variant": None} | SHOWN_COLUMNS),
    ("slates/properties/overlap", OVERLAP_COLUMNS),
    ("grading", RATES_COLUMNS),
]


def repeated(lines: list[str]) -> dict[str, dict]:
    """The parameters of every stage when a shell reads these lines and make hands them on as they are."""
    params = {}
    for line in lines:
        said = subprocess.run(["sh", "-c", line.replace("make", "printf '%s\\0'", 1)], capture_output=True, check=True)
        command, *assignments = said.stdout.decode().split("\0")[:-1]
        given = dict(a.split("=", 1) for a in assignments)
        settings = shlex.split(given.pop("SET", ""))
        values = read_values("", settings, given.pop("LOG", ""), given.pop("USERS", ""))
        params |= {s: p.as_dict() for s, p in check_values(command, values).items()}
        assert not given
    return params


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"n_users": 500, "variants": ["popularity", "content", "models:/a-b@champion"], "effect_dial": 0.25},
        {"experiment": "two words, a $sign and `this`", "promote": True},
        {"experiment": "007", "metrics": ["a b", "true"]},
        {"experiment": "né", "alpha": 0.00001, "metrics": ["it's"]},
        {"metrics": [{"name": "spend", "label": "Money, spent", "role": "goal", "direction": -1}, "hides"]},
        {"metrics": [{"name": "r", "numerator": "a", "denominator": "b", "covariate": ["x: y", "z"], "share": True}]},
    ],
)
def test_the_command_repeats_the_parameters_whatever_they_hold(values):
    wanted = {stage: STAGES[stage].of(values).as_dict() for stage in RUN}
    lines = commands("", wanted)
    assert len(lines) == 1
    assert repeated(lines) == wanted


def test_stages_that_ran_with_unlike_values_get_a_command_each():
    wanted = {stage: STAGES[stage].of({"experiment": e}).as_dict() for stage, e in zip(RUN, "abc", strict=True)}
    first, *lines = commands("abc123+", wanted)
    assert first == "git checkout abc123"
    assert [line.split()[1] for line in lines] == list(RUN)
    assert repeated(lines) == wanted


def test_what_had_no_use_is_not_set_again():
    """It would be refused: data of one's own have no n_users, and a simulated test knows its allocation."""
    values = {"dataset": "ml-100k", "n_users": 50, "allocation": 0.3, "seed": 1}
    wanted = {stage: STAGES[stage].of(values).as_dict() for stage in RUN}
    wanted["analyze"]["allocation"] = 0.4
    wanted["simulate"]["seed"] = 2
    lines = commands("", wanted)
    assert lines == [
        'make train SET="seed=1 dataset=ml-100k"',
        'make simulate SET="seed=2 allocation=0.3"',
        "make analyze",
    ]


def test_a_real_log_is_repeated_by_its_files_beside_it_and_no_folder_is_passed_on(tmp_path, monkeypatch):
    files = {name: tmp_path / f"my {name}'s.csv" for name in ("log_file", "users_file")}
    for file in files.values():
        file.touch()
    wanted = {"analyze": AnalyzeParams(**{k: str(f) for k, f in files.items()}, alpha=0.1).as_dict()}
    (line,) = commands("", wanted)
    assert "LOG=" in line
    assert "USERS=" in line
    assert str(tmp_path) not in line
    monkeypatch.chdir(tmp_path)
    (again,) = repeated([line]).values()
    assert {k: Path(again[k]).resolve() for k in files} == {k: f.resolve() for k, f in files.items()}
    assert {k: v for k, v in again.items() if k not in files} == {
        k: v for k, v in wanted["analyze"].items() if k not in files
    }


def test_the_schema_is_strict_and_says_what_fields_mean(found, known):
    checker = jsonschema.Draft7Validator(SCHEMA_TEXT)
    checker.check_schema(SCHEMA_TEXT)
    assert all("description" in part for part in SCHEMA_TEXT["properties"].values())
    document = report_json(found, known)
    assert checker.is_valid(document)
    assert not checker.is_valid(document | {"new": 1})
    assert not checker.is_valid({k: v for k, v in document.items() if k != "effects"})
    assert not checker.is_valid(document | {"verdict": document["verdict"] | {"call": "perhaps"}})
    for part in ("effects", "sensitivity", "checks", "bayes", "looks", "segments", "heterogeneity", "truth", "grading"):
        first, *others = document[part]
        assert not checker.is_valid(document | {part: [first | {"new": 1}, *others]}), part
        assert not checker.is_valid(document | {part: [dict(list(first.items())[1:]), *others]}), part


@pytest.mark.parametrize(("part", "columns"), TABLES)
def test_the_schema_restates_the_columns_of_a_table_word_for_word(part, columns):
    path = part.split("/")
    record = SCHEMA_TEXT["properties"]
    for step in path:
        record = record[step]
    said = record["items"]["properties"]
    assert list(said) == list(columns)
    assert {name: said[name]["description"] for name, meaning in columns.items() if meaning} == {
        name: meaning for name, meaning in columns.items() if meaning
    }


def test_a_document_that_the_schema_refuses_is_not_made(found, known):
    wrong = replace(found, checks=[Check(name="SRM", state="perhaps", detail="")])
    with pytest.raises(fastjsonschema.JsonSchemaException, match="state must be one of"):
        report_json(wrong, known)


def test_numbers_and_truths_of_numpy_reach_the_document_as_its_own(found, known):
    check = Check(name="mine", state="passed", detail="", p_value=np.float32(0.5), gate=np.bool_(False))
    document = report_json(replace(found, checks=[check], verdict=replace(found.verdict, mde=np.float64("inf"))), known)
    assert document["checks"][0] == {"name": "mine", "state": "passed", "detail": "", "p_value": 0.5, "gate": False}
    assert document["verdict"]["mde"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_an_effect_spells_out_its_metric_and_what_was_held_against_what():
    hides = mean_of("hides", role="guardrail", margin=0.1, direction=-1, covariate=())
    found = an_analysis({"new vs old": 0.5, "other": 0.2}, metrics=(CTR, hides))
    document = report_json(found, a_background(found))
    goal, _, guardrail, _ = document["effects"]
    named = {"metric": "hides", "label": "Hides", "role": "guardrail", "direction": -1, "margin": 0.1, "alpha": 0.025}
    assert named.items() <= guardrail.items()
    assert {"variant": "new vs old", "against": "control", "margin": None, "alpha": 0.025}.items() <= goal.items()
    assert goal["true_lift"] == 0.5
    assert guardrail["true_lift"] is None
    assert {e["role"] for e in document["sensitivity"]} == {"sensitivity"}


def test_the_verdict_holds_its_facts_and_its_sentences(found, known):
    verdict = report_json(found, known)["verdict"]
    assert verdict["call"] == "ship"
    assert verdict["about"] == {"metric": "ctr", "variant": "treatment", "against": "control"}
    assert [g["metric"] for g in verdict["held"]] == ["clicked_any", "clicks_per_user"]
    assert verdict["fell"] == []
    assert verdict["sentence"].startswith("Ship model-1: ")
    assert verdict["mde"] == pytest.approx(found.power["mde"].iloc[0])


def test_what_is_not_known_of_a_real_log_is_empty(found, known):
    document = report_json(found, Background(lineage=known.lineage))
    assert [v["model"] for v in document["variants"]] == [None, None]
    for part in ("offline_quality", "truth", "yardsticks", "grading"):
        assert not document[part]
    assert document["slates"] == {"shown": [], "overlap": []}


def test_a_page_is_passed_on_without_the_folders_of_its_files(tmp_path):
    (tmp_path / "log.csv").touch()
    values = AnalyzeParams(log_file=str(tmp_path / "log.csv")).as_dict()
    said = json.dumps(lineage(run_ids={}, git_commit="", data_hash="", parameters={"analyze": values}))
    assert "log.csv" in said
    assert str(tmp_path) not in said


def test_the_document_says_what_it_is_of(found, known):
    simulated = report_json(found, known)
    assert (simulated["kind"], simulated["effect_dial"]) == ("simulated", 1.0)
    real = report_json(found, Background(lineage=known.lineage, hypothesis="more clicks", days=("1", "5")))
    assert (real["kind"], real["effect_dial"], real["hypothesis"]) == ("real", None, "more clicks")
    assert real["days"] == ["1", "5"]


def test_the_effects_as_a_table_hold_what_the_document_holds():
    found = an_analysis({"a": 0.5, "b": 0.2})
    document = report_json(found, a_background(found))
    table = pd.read_csv(io.StringIO(effects_csv(document)))
    rows = [*document["effects"], *document["among_treatments"], *document["sensitivity"]]
    assert len(table) == len(rows)
    assert {("a", "b")} < set(zip(table["variant"], table["against"], strict=True))
    for row, effect in zip(table.itertuples(), rows, strict=True):
        for name, value in (
            ("lift", effect["lift"]),
            ("lift_low", effect["lift_ci"][0]),
            ("difference_high", effect["difference_ci"][1]),
        ):
            assert getattr(row, name) == pytest.approx(np.nan if value is None else value, nan_ok=True)
