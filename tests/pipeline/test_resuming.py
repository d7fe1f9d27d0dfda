"""A report that died continues with its complete stages, and never with one of other inputs."""

from dataclasses import replace

import pytest

from recab_helpers import paths, tracking
from recab_helpers.parameters import STAGES
from recab_helpers.pipeline.resuming import inputs_of, known_stages

REPORT = {stage: STAGES[stage](experiment="mine") for stage in ("train", "simulate", "analyze")}


def died(params: dict, *complete: str, status: str = "KILLED") -> tracking.Run:
    """A report that ended after these stages."""
    run = tracking.start_run("mine", "report")
    for stage in complete:
        run.tag(**{f"{stage}.known": inputs_of(params)[stage], stage: "complete"})
    run.close(status)
    return run


def reused(params: dict) -> dict[str, str]:
    run = tracking.start_run("mine", "report")
    return known_stages(run, params, tracking.run_before(run)).complete


def test_complete_stages_of_a_report_that_died_are_reused(store):
    old = died(REPORT, "train", "simulate", "analyze")
    assert reused(REPORT) == {"train": old.run_id, "simulate": old.run_id}  # the last becomes the page, so it runs


def test_a_stage_that_was_not_complete_or_of_a_report_that_is_done_or_runs_is_not(store):
    run = died(REPORT, "train")
    run.tag(**{"simulate.known": inputs_of(REPORT)["simulate"]})  # it began, and died
    assert reused(REPORT) == {"train": run.run_id}
    died(REPORT, "train", "simulate", status="FINISHED")
    assert not reused(REPORT)
    tracking.start_run("mine", "report").tag(**{"train.known": inputs_of(REPORT)["train"], "train": "complete"})
    assert not reused(REPORT)


@pytest.mark.parametrize(
    ("stage", "change", "kept"),
    [("train", {"seed": 1}, 0), ("simulate", {"horizon_days": 3}, 1), ("analyze", {"alpha": 0.1}, 2)],
)
def test_other_parameters_make_their_stage_and_those_after_it_anew(store, stage, change, kept):
    died(REPORT, "train", "simulate")
    assert len(reused(REPORT | {stage: replace(REPORT[stage], **change)})) == kept


def test_a_report_that_died_twice_still_knows_where_its_stages_are(store):
    old = died(REPORT, "train")
    again = tracking.start_run("mine", "report")
    known_stages(again, REPORT, tracking.run_before(again))
    again.close("KILLED")
    assert reused(REPORT) == {"train": old.run_id}


def test_other_data_and_other_code_are_other_inputs(tmp_path, monkeypatch):
    (tmp_path / "interactions.csv").write_text("a")
    params = {"train": replace(REPORT["train"], dataset=str(tmp_path))}
    before = inputs_of(params)
    assert inputs_of(params) == before
    (tmp_path / "interactions.csv").write_text("b")
    assert inputs_of(params) != before
    one_file = {"train": replace(REPORT["train"], dataset=str(tmp_path / "interactions.csv"))}
    before = inputs_of(one_file)
    (tmp_path / "interactions.csv").write_text("c")
    assert inputs_of(one_file) != before
    before = inputs_of(params)
    (tmp_path / "01_train.ipynb").write_text("x = 1")
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    assert inputs_of(params) != before


def test_a_model_that_mlflow_does_not_keep_is_never_reused(store):
    params = REPORT | {"simulate": replace(REPORT["simulate"], variants=["content", "http://127.0.0.1:9/model"])}
    assert set(inputs_of(params)) == {"train"}


def test_an_alias_that_moved_is_another_input(store):
    store.create_registered_model("a")
    for _ in range(2):
        store.create_model_version("a", source="file:///nowhere/a")
    params = REPORT | {"simulate": replace(REPORT["simulate"], variants=["content", "models:/a@best"])}
    store.set_registered_model_alias("a", "best", "1")
    died(params, "train", "simulate")
    store.set_registered_model_alias("a", "best", "2")
    assert set(reused(params)) == {"train"}
