"""Parameters are what the cells say, and a wrong one is refused with the value, the limit and the way out."""

import ast
from dataclasses import fields

import papermill as pm
import pytest

from recab_helpers.errors import ParameterError
from recab_helpers.limits import METRIC_FIELDS
from recab_helpers.parameters import PRESETS, STAGES, AnalyzeParams, PlanParams, ReadParams, TrainParams
from recab_helpers.paths import NOTEBOOKS


@pytest.mark.parametrize(("stage", "cls"), STAGES.items())
def test_the_parameters_cell_has_the_names_and_defaults_of_the_dataclass(stage, cls):
    (notebook,) = NOTEBOOKS.glob(f"*_{stage}.ipynb")
    found = {name: ast.literal_eval(info["default"]) for name, info in pm.inspect_notebook(str(notebook)).items()}
    assert found == cls().as_dict()
    assert list(found) == [f.name for f in fields(cls)]


def test_every_notebook_belongs_to_a_stage():
    assert {notebook.stem.split("_", 1)[1] for notebook in NOTEBOOKS.glob("*.ipynb")} == set(STAGES)


def test_cells_hold_types_that_papermill_sees():
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        types = {info["inferred_type_name"] for info in pm.inspect_notebook(str(notebook)).values()}
        assert types <= {"int", "float", "str", "bool", "list[str]", "list", "dict"}


@pytest.mark.parametrize(
    ("stage", "values", "words"),
    [
        ("train", {"n_users": 0}, "n_users is 0; give a value from 10"),
        ("train", {"n_users": 2.5}, "n_users is 2.5; give a whole number"),
        ("train", {"n_users": "many"}, "n_users is 'many'; give a whole number"),
        ("train", {"n_users": True}, "n_users is True; give a whole number"),
        ("train", {"split": "per-user"}, "split has 'per-user'. Did you mean per_user?"),
        ("train", {"experiment": "a/b"}, "without slash"),
        ("train", {"not_rated": "minus one"}, "not_rated is 'minus one'; give the number that stands for no rating"),
        ("simulate", {"allocation": 0}, "allocation is 0; give a value between 0 and 1"),
        ("simulate", {"allocation": float("nan")}, "allocation is nan"),
        ("analyze", {"allocation": {"control": 0.5, "a": 0.4}}, "above 0 and 1 in all"),
        ("analyze", {"allocation": {"control": 2, "a": -1}}, "give the planned share of every variant, above 0"),
        ("analyze", {"planned_days": 14, "planned_users": 900}, "give the one that ends the test"),
        ("simulate", {"variants": ["content"]}, "name 2 to 10 models"),
        ("simulate", {"variants": "content"}, "variants is 'content'; give a list of names"),
        ("analyze", {"log_file": "nothing.parquet"}, "no such file"),
        ("analyze", {"metrics": "spend"}, "metrics is 'spend'; give a list of names"),
        ("analyze", {"metrics": [None]}, "metrics is [None]; give a list of names"),
        ("analyze", {"metrics": [{"name": "spend", "rol": "goal"}]}, "metric spend has 'rol'. Did you mean role?"),
        ("analyze", {"metrics": [{"numerator": "spend"}]}, "without a name. Add name:"),
        ("analyze", {"metrics": [{"name": "m", "margin": "big"}]}, "margin of the metric m is 'big'; give a number"),
        ("analyze", {"metrics": [{"name": "m", "covariate": "pre_m"}]}, "covariate of the metric m is 'pre_m'; give a"),
        ("analyze", {"metrics": ["m", {"name": "m"}]}, "metrics names m twice"),
        ("plan", {"alpha": 0.5}, "alpha is 0.5; give a value between 0 and 0.5"),
        ("plan", {"n_treatments": 10}, "n_treatments is 10; give a value from 1 to 9"),
    ],
)
def test_a_wrong_value_is_refused_with_its_limit(stage, values, words):
    with pytest.raises(ParameterError) as refusal:
        STAGES[stage](**values)
    assert words in str(refusal.value)


def test_whole_metrics_are_kept_as_they_were_given():
    whole = {"name": "ctr", "role": "guardrail", "margin": 0.1, "direction": 1, "covariate": ["pre_clicks"]}
    params = AnalyzeParams(metrics=["spend", whole])
    assert params.as_dict()["metrics"] == ["spend", whole]
    assert set(whole) <= set(METRIC_FIELDS)


def test_the_fields_of_a_metric_are_those_that_the_analysis_knows():
    from recab_helpers.analysis import MetricSpec

    assert {*METRIC_FIELDS, "further"} == {f.name for f in fields(MetricSpec)}  # which `covariates` names for all


def test_what_a_value_leaves_without_a_use_is_named_with_the_reason(tmp_path):
    (tmp_path / "log.csv").touch()
    log = str(tmp_path / "log.csv")
    assert set(TrainParams(dataset="ml-100k").unused()) == {"n_users", "n_items", "text_share", "mean_history"}
    assert set(AnalyzeParams(log_file=log).unused()) == {"simulate_run_id", "promote", "target"}
    for other in ({"reading": "both_slates"}, {"unit": "impression"}):
        with pytest.raises(ParameterError, match="a reading of its own"):
            AnalyzeParams(log_file=log, design="sessions", **other)
    planned = {"allocation", "planned_days", "planned_users", "design", "target"}
    reading = {f.name for f in fields(ReadParams)} - {"log_file", "users_file"}
    assert set(AnalyzeParams().unused()) == planned | reading
    assert set(AnalyzeParams(users_file=log).unused()) == {
        "simulate_run_id", "promote", "design", "target", *(reading - {"table", "columns", "only", "control"})
    }  # fmt: skip
    assert "ctr" in PlanParams(log_file=log).unused()
    assert set(TrainParams().unused()) == {"catalog_file", "data_columns", "not_rated"}
    assert set(PlanParams().unused()) == reading


def test_presets_name_parameters_of_the_report():
    known = {f.name for stage in ("train", "simulate", "analyze") for f in fields(STAGES[stage])}
    assert {name for values in PRESETS.values() for name in values} <= known
