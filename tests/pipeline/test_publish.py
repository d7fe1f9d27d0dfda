"""Pages: each run keeps its own, the newest of a name is replaced in one step, and an index lists them all."""

import html
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from recab_helpers import paths, tracking
from recab_helpers.pipeline.publish import publish, replace

UNTITLED = {"title": "untitled"}


@pytest.fixture
def executed(tmp_path, monkeypatch) -> Path:
    """An executed notebook in the folder of its run, below a reports folder of its own that has an older page."""
    monkeypatch.setattr(paths, "REPORTS", tmp_path)
    (tmp_path / "plan.html").write_text("old")
    folder = tmp_path / "runs" / "abc"
    folder.mkdir(parents=True)
    pages = SimpleNamespace(
        render=lambda notebook, *, document, files: (
            f"{notebook.stem} {document['title'] if document else 'untitled'} {files}"
        ),
        render_index=lambda folder: f"all in {folder.name}",
    )
    monkeypatch.setitem(sys.modules, "recab_helpers.report.page", pages)
    return folder / "00_plan.ipynb"


def of_a_run(monkeypatch, tags: dict[str, dict[str, str]], *, artifact: Path | None = None) -> tuple:
    """The run abc, and the list of what is logged: run and name of the file."""
    logged = []

    def run(run_id: str, *_) -> SimpleNamespace:
        def log_file(file: Path, *, on_top: bool = False) -> None:
            logged.append((run_id, file.name) if not on_top else (run_id, "on top", file.name))

        client = SimpleNamespace(tracking_uri="http://a:1/")
        return SimpleNamespace(run_id=run_id, experiment_id="7", client=client, log_file=log_file)

    monkeypatch.setattr(tracking, "run_tags", tags.__getitem__)
    monkeypatch.setattr(tracking, "artifact", lambda *_: artifact)
    monkeypatch.setattr(tracking, "Run", run)
    return run("abc"), logged


def test_a_page_is_kept_logged_and_the_newest(executed, monkeypatch, tmp_path, capsys):
    run, logged = of_a_run(monkeypatch, {"abc": {}})
    publish(executed, run, "plan")
    assert (executed.parent / "plan.html").read_text() == "00_plan untitled []"
    assert (tmp_path / "plan.html").read_text() == "00_plan untitled []"
    assert (tmp_path / "index.html").read_text() == f"all in {tmp_path.name}"
    assert logged == [("abc", "on top", "plan.html")]
    assert capsys.readouterr().out.strip().endswith("plan.html")


def test_the_page_of_an_analysis_has_its_title_its_document_and_its_verdict_said(
    executed, monkeypatch, tmp_path, capsys
):
    document = tmp_path / "somewhere.json"
    effect = {"metric": "ctr", "lift_ci": [0.1, 0.2]}
    said = {"title": "A test", "verdict": {"sentence": "Ship it."}}
    content = json.dumps(said | {"effects": [effect], "among_treatments": [], "sensitivity": []})
    document.write_text(content)
    tags = {"abc": {"analysis_run_id": "child"}}
    run, logged = of_a_run(monkeypatch, tags, artifact=document)
    publish(executed, run, "ab_report")
    beside = ["ab_report.json", "ab_report_effects.csv", "ab_report.schema.json"]
    assert (tmp_path / "ab_report.html").read_text() == f"00_plan A test {beside}"
    assert (tmp_path / "ab_report.json").read_text() == (executed.parent / "ab_report.json").read_text() == content
    assert (tmp_path / "ab_report_effects.csv").read_text().split() == ["metric,lift_low,lift_high", "ctr,0.1,0.2"]
    where, sentence, page, _ = capsys.readouterr().out.split("\n")
    assert where == "In MLflow: http://a:1/#/experiments/7/runs/abc?workflowType=machine_learning"
    assert (sentence, page.rpartition("/")[2]) == ("Ship it.", "ab_report.html")
    assert logged == [
        ("abc", "on top", "ab_report.html"),
        *(("child", name) for name in ("ab_report.html", *beside[1:])),
    ]
    assert (tmp_path / "plan.html").read_text() == "old"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "page.html"
    replace(target, b"old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        replace(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_earlier_reports_stay_and_the_index_lists_them(small_run, invalid_run):
    reports = small_run.parents[1]
    assert reports == invalid_run.parents[1]
    index = (reports / "index.html").read_text()
    for run in (small_run, invalid_run):
        document = json.loads((run / "ab_report.json").read_text())
        assert document["verdict"]["sentence"] in html.unescape(index)
        assert f'href="runs/{run.name}/ab_report.html"' in index
    assert index.index(invalid_run.name) < index.index(small_run.name)  # newest first
    rows = {r.split("/", 1)[0]: r for r in index.split('href="runs/')[1:]}
    assert set(rows) >= {small_run.name, invalid_run.name}


def test_both_pages_are_artifacts_of_the_analysis_run(small_run):
    run = tracking.run_tags(tracking.find_stage("analyze", "small"))["analysis_run_id"]
    for name in ("ab_report.html", "ab_report.json"):
        assert tracking.artifact(run, f"analyze/{name}").exists()
