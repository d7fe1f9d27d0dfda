"""Every wrong parameter is refused before anything starts, with the value, the limit and the way out."""

import ast
from dataclasses import fields

import papermill as pm
import pytest

from recab_helpers import pipeline
from recab_helpers.parameters import PRESETS, AnalyzeParams, ParameterError, SimulateParams, TrainParams


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("n_user=7", "no parameter n_user. Did you mean n_users?"),
        ("zzz=7", "no parameter zzz. Choose from"),
        ("n_users=0", "n_users is 0; give a value from 10"),
        ("n_users=2.5", "n_users is 2.5; give a whole number"),
        ("n_users=many", "n_users is 'many'; give a whole number"),
        ("n_users=true", "n_users is True; give a whole number"),
        ("allocation=0", "allocation is 0; give a value between 0 and 1"),
        ("allocation=1", "allocation is 1; give a value between 0 and 1"),
        ("allocation=.nan", "allocation is nan"),
        ("split=per-user", "split has 'per-user'. Did you mean per_user?"),
        ("dataset=ml-100", "dataset has 'ml-100'. Did you mean ml-100k?"),
        ("dataset=no/such/folder", "there is no such folder"),
        ("variants=[content]", "name 2 to 10 models"),
        ("variants=[content, colaborative]", "Did you mean collaborative?"),
        ("variants=content", "variants is 'content'; give a list of names"),
        ("preset=parety", "preset has 'parety'. Did you mean parity?"),
        ("slate_size=4000", "slate_size is 1000|give a value from 1 to 1000"),
        ("experiment=a/b", "without slash"),
        ("log_file=nothing.parquet", "no such file"),
        ("seed", "write name=value"),
    ],
)
def test_a_wrong_value_is_refused_before_any_kernel_starts(setting, words, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "_warm_kernels", lambda *_: pytest.fail("a kernel started"))
    assert pipeline.main(["report", "--set", setting]) == 1
    error = capsys.readouterr().err
    assert any(w in error for w in words.split("|"))
    assert error.count("\n") == 1


def test_a_slate_larger_than_the_catalog_is_refused_before_training():
    with pytest.raises(ParameterError, match="slate_size is 200, but n_items is 100"):
        pipeline.check_values("report", {"slate_size": 200, "n_items": 100})


def test_settings_win_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "my own.yaml"
    file.write_text("preset: content_wins\ntext_share: 0.95\nseed: 3\n")
    values = pipeline.read_values(str(file), ["seed=007", "experiment=a b"])
    assert values == PRESETS["content_wins"] | {"text_share": 0.95, "seed": 7, "experiment": "a b"}


@pytest.mark.parametrize("content", ["- a list", "a: [", None])
def test_an_unreadable_file_is_refused(tmp_path, content):
    file = tmp_path / "p.yaml"
    if content:
        file.write_text(content)
    with pytest.raises(ParameterError, match=r"p\.yaml"):
        pipeline.read_values(str(file), [])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset):
    pipeline.check_values("report", pipeline.read_values(None, [f"preset={preset}"]))


@pytest.mark.parametrize(("notebook", "cls"), pipeline.STAGES.values())
def test_the_parameters_cell_has_the_names_and_defaults_of_the_dataclass(notebook, cls):
    cell = pm.inspect_notebook(str(pipeline.ROOT / "notebooks" / f"{notebook}.ipynb"))
    found = {name: ast.literal_eval(info["default"]) for name, info in cell.items()}
    assert found == cls().as_dict()


def test_parameters_are_typed_as_papermill_sees_them():
    for cls in (TrainParams, SimulateParams, AnalyzeParams):
        assert {f.type for f in fields(cls)} <= {int, float, str, bool, list[str]}
