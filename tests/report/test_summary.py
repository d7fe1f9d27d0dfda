"""The document for machines: what its schema says, and the commands that repeat a run."""

import json
import shlex

import jsonschema
import pytest

from recab_helpers.parameters import AnalyzeParams, SimulateParams, TrainParams
from recab_helpers.pipeline.command_line import check_values, read_values
from recab_helpers.report.document import SCHEMA, commands

CLASSES = {"train": TrainParams, "simulate": SimulateParams, "analyze": AnalyzeParams}


def repeated(lines: list[str]) -> dict[str, dict]:
    """The parameters of every stage when a shell, and make, read these lines."""
    params = {}
    for line in lines:
        make, command, *assignments = shlex.split(line)
        assert make == "make"
        given = dict(a.split("=", 1) for a in assignments)
        assert set(given) <= {"SET", "LOG"}
        values = read_values("", shlex.split(given.get("SET", "")), given.get("LOG", ""))
        params |= {s: p.as_dict() for s, p in check_values(command, values).items()}
    return params


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"n_users": 500, "variants": ["popularity", "content", "models:/a-b@champion"], "effect_dial": 0.25},
        {"experiment": "two words, a $sign and `this`", "promote": True},
        {"experiment": "007", "metrics": ["a b", "true"]},
        {"metrics": [{"name": "spend", "role": "goal", "direction": -1, "margin": 0.05, "covariate": ["a b"]}]},
    ],
)
def test_the_command_repeats_the_parameters_whatever_they_hold(values):
    wanted = {stage: cls.of(values).as_dict() for stage, cls in CLASSES.items()}
    lines = commands("", wanted)
    assert len(lines) == 1
    assert repeated(lines) == wanted


def test_stages_that_ran_with_unlike_values_get_a_command_each():
    seeds = {"train": 1, "simulate": 2, "analyze": 3}
    wanted = {stage: cls.of({"seed": seeds[stage]}).as_dict() for stage, cls in CLASSES.items()}
    first, *lines = commands("abc123+", wanted)
    assert first == "git checkout abc123"
    assert [line.split()[1] for line in lines] == ["train", "simulate", "analyze"]
    assert repeated(lines) == wanted


def test_what_had_no_use_is_not_set_again():
    """It would be refused: data of one's own have no n_users, and a simulated test knows its allocation."""
    values = {"dataset": "ml-100k", "n_users": 50, "allocation": 0.3, "seed": 1}
    wanted = {stage: cls.of(values).as_dict() for stage, cls in CLASSES.items()}
    wanted["analyze"]["allocation"] = 0.4
    wanted["simulate"]["seed"] = 2
    lines = commands("", wanted)
    assert lines == [
        'make train SET="seed=1 dataset=ml-100k"',
        'make simulate SET="seed=2 allocation=0.3"',
        "make analyze",
    ]


def test_a_real_log_is_repeated_by_its_file(tmp_path):
    file = tmp_path / "my log.csv"
    file.touch()
    wanted = {"analyze": AnalyzeParams(log_file=str(file), alpha=0.1).as_dict()}
    assert repeated(commands("", wanted)) == wanted


def test_the_schema_is_strict_and_says_what_fields_mean(small_run):
    """Every document that any test makes is validated in run_pipeline; here the schema itself is put to the test."""
    schema = json.loads(SCHEMA.read_text())
    checker = jsonschema.Draft202012Validator(schema)
    checker.check_schema(schema)
    assert all("description" in part for part in schema["properties"].values())
    document = json.loads((small_run / "ab_report.json").read_text())
    assert checker.is_valid(document)
    assert not checker.is_valid(document | {"new": 1})
    assert not checker.is_valid({k: v for k, v in document.items() if k != "effects"})
    assert not checker.is_valid(document | {"verdict": document["verdict"] | {"call": "perhaps"}})
    assert document["slates"]["overlap"]
    assert document["truth"]
    assert document["offline_quality"]
