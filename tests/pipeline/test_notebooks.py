"""Notebooks run in turn: all three at small size, and what is left behind when something goes wrong."""

import importlib.util
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import papermill as pm
import pytest
from tqdm.auto import tqdm

from recab_helpers import paths, tracking
from recab_helpers.errors import NoAnswerError, PipelineError
from recab_helpers.formats import lift_interval
from recab_helpers.parameters import STAGES, SimulateParams
from recab_helpers.pipeline import notebooks
from recab_helpers.pipeline.doors import DOORS
from recab_helpers.pipeline.stopping import Stop
from recab_helpers.recommenders.catalog import YARDSTICKS
from tests.conftest import SMALL, shared
from tests.made import assert_same


@pytest.fixture
def own_notebooks(tmp_path, monkeypatch):
    """A folder for notebooks of a test's own; the function writes one of the stage plan from sources of code cells."""
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)

    def write(*sources: str, parameters: str = "") -> Path:
        cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
        notebook = nbformat.v4.new_notebook(cells=cells + [nbformat.v4.new_code_cell(s) for s in sources])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "00_plan.ipynb")
        return tmp_path / "00_plan.ipynb"

    return write


@pytest.fixture
def no_kernel(monkeypatch):
    """Fail when a kernel is started."""
    monkeypatch.setattr(notebooks, "warm_kernels", lambda *_: pytest.fail("a kernel started"))


def defaults(door: str) -> dict:
    return {stage: STAGES[stage]() for stage in DOORS[door].stages}


def test_every_stage_has_its_notebook_and_a_missing_one_is_named(own_notebooks):
    with pytest.raises(PipelineError, match="no notebook of the stage plan"):
        notebooks.notebook_of("plan")
    written = own_notebooks()
    assert notebooks.notebook_of("plan") == written


def test_kernels_warm_up_with_the_imports_of_their_notebook_and_with_the_rooms_that_load_lazily(own_notebooks):
    written = own_notebooks("from recab_helpers import impressions\nimport json\n1 / 0", "from math import inf as e\ne")
    names = {}
    code = notebooks.warm_up_of(written)
    exec(code, names)
    assert {"impressions", "json", "e"} <= set(names)
    room = paths.ROOT / "recab_helpers" / "impressions"
    loaded = {f"recab_helpers.impressions.{f.stem}" for f in room.glob("*.py")} - {"recab_helpers.impressions.__init__"}
    assert loaded
    assert all(f"'{module}'" in code for module in loaded)
    assert loaded <= set(sys.modules)


def test_a_cell_that_differs_from_its_stage_is_refused_first(own_notebooks, no_kernel):
    own_notebooks(parameters="ctr: float = 0.1\ncrt: float = 0.1")
    with pytest.raises(PipelineError, match=r"00_plan differs from PlanParams in allocation, alpha, .*crt.*users_file"):
        notebooks.run("plan", defaults("plan"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os\nos._exit(1)", "The kernel of 00_plan ended with code 1"),
        ("import os\nos.kill(os.getpid(), 9)", "00_plan was killed (signal 9), probably out of memory"),
        ("1 / 0", "00_plan failed in cell 2: ZeroDivisionError: division by zero Unless you changed the notebook"),
        ("raise MemoryError('no room')", "00_plan failed in cell 2: MemoryError: no room The traceback is in"),
    ],
)
def test_whatever_ends_a_notebook_early_is_one_line_and_the_copy_shows_how_far_it_came(
    source, words, own_notebooks, tmp_path
):
    notebook, copy = own_notebooks("'so far'", source), tmp_path / "executed.ipynb"
    with notebooks.warm_kernels(["plan"], Stop(), tmp_path) as kernels, pytest.raises(PipelineError) as failure:
        notebooks._run_one(notebook, copy, {}, kernels["plan"])
    assert words in str(failure.value)
    assert "executed.ipynb" in str(failure.value)
    assert "so far" in copy.read_text()


def test_a_reports_folder_that_cannot_be_written_is_refused_first(no_kernel, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(paths, "REPORTS", tmp_path / "file" / "reports")
    with pytest.raises(PipelineError, match="cannot be written"):
        notebooks.run("report", defaults("report"))


def test_a_small_run_gives_a_report_whose_parts_agree(small_run):
    document = json.loads((small_run / "ab_report.json").read_text())
    assert document["verdict"]["call"] in ("ship", "keep control", "inconclusive")
    assert [v["name"] for v in document["variants"]] == ["control", "treatment"]
    ctr = next(e for e in document["effects"] if e["metric"] == "ctr")
    assert ctr["lift"] == pytest.approx(ctr["treatment"] / ctr["control"] - 1)
    for variant, adjusted in zip(document["variants"], (ctr["control"], ctr["treatment"]), strict=True):
        assert adjusted == pytest.approx(variant["ctr"], rel=0.2)  # CUPED moves both values a little
    assert ctr["variance_reduction"] > 0.1
    assert ctr["true_lift"] is not None
    page = (small_run / "ab_report.html").read_text()
    assert document["verdict"]["sentence"] in page


def test_the_numbers_in_mlflow_are_those_of_the_report(small_run):
    document = json.loads((small_run / "ab_report.json").read_text())
    run_id = tracking.find_stage("simulate", "small")
    client = tracking.connect()
    parent = client.get_run(run_id)
    assert parent.info.status == "FINISHED"
    children = client.search_runs([parent.info.experiment_id], f"tags.`{tracking.PARENT}` = '{run_id}'")
    names = {c.info.run_name: c for c in children}
    assert set(names) == {*YARDSTICKS, "control", "treatment", "analysis"}
    assert all(c.info.status == "FINISHED" for c in children)
    for variant in document["variants"]:
        metrics = names[variant["name"]].data.metrics
        assert metrics["CTR"] == pytest.approx(variant["ctr"])
        assert metrics["clicks"] == variant["clicks"]
        history = client.get_metric_history(names[variant["name"]].info.run_id, "daily clicks")
        assert sum(m.value for m in history) == variant["clicks"]
    assert names["collaborative"].data.metrics["NDCG at 10"] > 0
    ctr = next(e for e in document["effects"] if e["metric"] == "ctr")
    assert parent.info.run_name == f"{document['title']} [synthetic]"
    assert document["verdict"]["sentence"] in parent.data.tags["mlflow.note.content"]
    for run in (parent, names["analysis"]):
        told = [run.data.metrics[f"ctr lift{end}"] for end in ("", " low", " high")]
        assert told == pytest.approx([ctr["lift"], *ctr["lift_ci"]])
    states = [check["state"] for check in document["checks"]]
    assert names["analysis"].data.metrics["checks failed"] == states.count("failed")
    assert names["analysis"].data.metrics["checks passed"] == states.count("passed") > 0
    datasets = {d.dataset.name for d in parent.inputs.dataset_inputs}
    assert datasets == {"train/train", "train/held_out", "train/catalog", "simulate/impressions", "simulate/users"}
    used = client.get_run(names["analysis"].info.run_id).inputs  # a search leaves the models out
    assert {d.dataset.name for d in used.dataset_inputs} == {"simulate/impressions", "simulate/users"}
    assert len(used.model_inputs) == 2
    assert parent.data.tags["recab.verdict"] == document["verdict"]["call"]
    assert parent.data.tags["recab.interval"] == lift_interval(ctr["lift_ci"])
    assert parent.data.tags["mlflow.source.name"] == "make report"
    assert min(f.path for f in client.list_artifacts(run_id)) == "ab_report.html"
    preview = pd.read_csv(tracking.artifact(run_id, "simulate/first_rows/impressions.csv"))
    assert len(preview) == 100
    assert {"user_id", "variant", "item_id", "clicked"} <= set(preview)


def test_the_served_slates_are_those_of_the_registered_model(small_run):
    model = tracking.load_model("content", tracking.find_stage("train", "small"))
    log = tracking.load_table(tracking.find_stage("simulate", "small"), "simulate/impressions")
    control = log[log["variant"] == "control"]
    users = control["user_id"].astype(str).unique()[:50]
    served = control.drop_duplicates(["user_id", "position"]).sort_values(["user_id", "position"])
    served = served.astype({"user_id": str, "item_id": str}).groupby("user_id")["item_id"].agg(list)
    wanted = model.recommend([*users, "nobody"], 10)
    assert wanted.loc[wanted["user_id"] == "nobody", "cold"].all()
    assert wanted.groupby("user_id")["item_id"].agg(list)[users].tolist() == served[users].tolist()


def test_same_seed_same_tables(small_run, run_pipeline):
    *world, days = SMALL
    assert run_pipeline("train", *world, "experiment=again")[0] == 0
    assert run_pipeline("simulate", days, "experiment=again")[0] == 0

    def both(table: str) -> list[pd.DataFrame]:
        return [tracking.load_table(tracking.find_stage(table.split("/")[0], of), table) for of in ("small", "again")]

    for table in ("train/train", "train/held_out", "train/catalog", "simulate/truth"):
        one, two = both(table)
        pd.testing.assert_frame_equal(one.replace("small", "again", regex=True), two)
    columns = ["user_id", "slate_id", "position", "timestamp", "item_id"]
    one, two = both("simulate/impressions")
    assert one["clicked"].mean() > 0
    common = one["variant"].astype(str) == two["variant"].astype(str)  # another experiment assigns anew
    pd.testing.assert_frame_equal(one.loc[common, [*columns, "clicked"]], two.loc[common, [*columns, "clicked"]])
    assert 0.3 < common.mean() < 0.7


def test_stages_alone_build_on_the_newest_complete_stage(small_run, run_pipeline):
    """And several treatments are each read against control, of which one is control once more."""
    train = tracking.find_stage("train", "small")
    variants = "variants=[content,collaborative,content]"
    assert run_pipeline("simulate", "experiment=small", "horizon_days=3", variants)[0] == 0
    simulate = tracking.find_stage("simulate", "small")
    assert tracking.run_tags(simulate)["train_run_id"] == train
    code, reports = run_pipeline("analyze", "experiment=small")
    assert code == 0
    document = json.loads((reports / "ab_report.json").read_text())
    assert document["lineage"]["run_ids"]["simulate"] == simulate
    ctr = {(e["variant"], e["against"]): e for e in document["effects"] if e["metric"] == "ctr"}
    assert set(ctr) == {("treatment_1", "control"), ("treatment_2", "control")}
    assert all(e["adjusted_p_value"] >= e["p_value"] for e in ctr.values())
    assert ctr["treatment_1", "control"]["true_lift"] != 0
    assert ctr["treatment_2", "control"]["true_lift"] == 0


def test_the_champion_moves_when_asked_and_only_to_a_winner(small_run, run_pipeline):
    client = tracking.connect()
    settings = ["n_users=1500", *SMALL[1:], "experiment=champion", "preset=collaborative_wins"]
    code, reports = run_pipeline("report", *settings, "promote=true")
    assert code == 0
    document = json.loads((reports / "ab_report.json").read_text())
    assert document["verdict"]["call"] == "ship"
    winner = client.get_model_version_by_alias("champion-synthetic-collaborative", "champion")
    assert document["variants"][1]["model"] == f"{winner.name}:{winner.version}"
    assert run_pipeline("simulate", "experiment=champion", "variants=[collaborative,collaborative]")[0] == 0
    assert run_pipeline("analyze", "experiment=champion", "promote=true")[0] == 0  # no winner: nothing moves
    assert client.get_model_version_by_alias("champion-synthetic-collaborative", "champion").version == winner.version


def test_a_variant_that_could_never_become_champion_is_refused_before_the_test(
    small_run, run_pipeline, monkeypatch, capsys
):
    """It crashed in the last cell, after all the work; without promotion it is as good a variant as any."""
    monkeypatch.setattr(notebooks, "warm_kernels", lambda *_: nullcontext({}))
    monkeypatch.setattr(notebooks, "_run_in_turn", lambda *_: pytest.fail("a notebook was run"))
    client = tracking.connect()
    model = client.get_model_version_by_alias("small-synthetic-content", "candidate")
    lonely = tracking.start_run("lonely", "train")
    assert run_pipeline("report", f"variants=[content,runs:/{lonely.run_id}/content]", "promote=true")[0] == 1
    assert "is no version in the MLflow registry, so it cannot become champion" in capsys.readouterr().err
    assert run_pipeline("report", "variants=[content,models:/small-synthetic-content/99]", "promote=true")[0] == 1
    assert "MLflow has no model models:/small-synthetic-content/99" in capsys.readouterr().err
    with pytest.raises(pytest.fail.Exception):  # a registered model's run stands for its version
        run_pipeline("report", f"variants=[content,runs:/{model.run_id}/content]", "promote=true")


def test_planning_from_rates_and_from_a_pilot_log(small_run, run_pipeline, tmp_path):
    code, reports = run_pipeline("plan")
    assert code == 0
    assert "How many users and days" in (reports / "plan.html").read_text()
    log = tracking.load_table(tracking.find_stage("simulate", "small"), "simulate/impressions")
    log[log["variant"] == "control"].to_parquet(tmp_path / "pilot.parquet")
    code, reports = run_pipeline("plan", "lift=0.1", more=("--log", str(tmp_path / "pilot.parquet")))
    assert code == 0
    ctr = log.loc[log["variant"] == "control", "clicked"].mean()
    assert f"{ctr:.2%}" in (reports / "plan.html").read_text()


def test_calibration_runs_and_is_logged(small_run, run_pipeline):
    code, reports = run_pipeline("calibrate", "experiment=small", "n_tests=20", "n_users=300")
    assert code == 0
    assert "raise an alarm" in (reports / "calibration.html").read_text()
    rates = tracking.load_table(tracking.find_stage("calibrate", "small"), "calibrate/rates")
    assert set(rates["population"]) >= {"no effect (A/A)", "a true lift"}


@pytest.mark.parametrize("odd", ["no clicks", "one user in treatment"])
def test_what_is_not_defined_is_said_in_the_report_and_never_guessed(odd, small_run, run_pipeline, tmp_path, rng):
    user = rng.integers(0, 400, 3000)
    treated = user == 7 if odd == "one user in treatment" else user % 2 == 1
    log = pd.DataFrame(
        {
            "user_id": user,
            "slate_id": np.arange(3000),
            "position": 1,
            "variant": np.where(treated, "treatment", "control"),
            "item_id": "x",
            "clicked": 0 if odd == "no clicks" else rng.binomial(1, 0.1, 3000),
            "day": rng.integers(0, 3, 3000),
        }
    )
    log.to_csv(tmp_path / "odd.csv", index=False)
    code, reports = run_pipeline("analyze", "experiment=odd", more=("--log", str(tmp_path / "odd.csv")))
    assert code == 0
    document = json.loads((reports / "ab_report.json").read_text())
    assert document["verdict"]["call"] == ("inconclusive" if odd == "no clicks" else "invalid")
    goal = next(e for e in document["effects"] if e["metric"] == "ctr")
    assert goal["p_value"] is None
    assert goal["lift"] is None
    assert goal["reason"]
    assert "not defined" in (reports / "ab_report.html").read_text()


def test_a_real_log_is_analyzed_by_the_same_notebook(small_run, run_pipeline, tmp_path, rng):
    n = 4000
    user = rng.integers(0, 400, n)
    log = pd.DataFrame(
        {
            "user_id": [f"user {u}" for u in user],
            "slate_id": np.arange(n),
            "position": 1,
            "variant": np.where(user % 2, "treatment", "control"),
            "item_id": "<script>alert(1)</script>",
            "clicked": rng.binomial(1, 0.1, n),
            "day": rng.integers(0, 7, n),
        }
    )
    file = tmp_path / "my log.csv"
    log.to_csv(file, index=False)
    code, reports = run_pipeline("analyze", "experiment=real", more=("--log", str(file)))
    assert code == 0
    document = json.loads((reports / "ab_report.json").read_text())
    assert sum(v["clicks"] for v in document["variants"]) == log["clicked"].sum()
    assert all(e["true_lift"] is None for e in document["effects"])
    page = (reports / "ab_report.html").read_text()
    assert "<title>Real: " in page
    assert "Was the analysis right?" not in page  # its truth is not known


@pytest.mark.slow
def test_spark_reduces_a_log_to_the_same_report_number_for_number(run_pipeline, tmp_path, rng):
    for needed in ("pyspark", "java"):
        if (importlib.util.find_spec(needed) or shutil.which(needed)) is None:
            pytest.skip(f"engine=spark needs {needed}, which is not installed")
    user = np.repeat(np.arange(900), 1 + rng.poisson(rng.gamma(0.7, 6, 900)))
    slate, position = np.repeat(np.arange(len(user)), 4), np.tile([1, 2, 3, 4], len(user))
    log = pd.DataFrame({"uid": user[slate], "slate_id": slate, "position": position})
    log["grp"] = np.where(log["uid"] % 2, "B", "A")
    log["item_id"] = (slate * 7 + position * 11) % 50
    log["clicked"] = rng.random(len(log)) < np.where(log["grp"] == "B", 0.14, 0.1)
    moment = pd.Timestamp("2026-05-01") + pd.to_timedelta(rng.integers(0, 9 * 86_400, len(user)), unit="s")
    log["timestamp"] = moment.as_unit("us")[slate]
    (tmp_path / "log").mkdir()
    for i, part in log.groupby(log.index % 3):
        part.to_parquet(tmp_path / "log" / f"part-{i}.parquet")
    users = pd.DataFrame({"user_id": range(900), "country": np.where(np.arange(900) % 3, "DE", "FR")})
    users.to_csv(tmp_path / "users.csv", index=False)
    said, files = {}, ("--log", str(tmp_path / "log"), "--users", str(tmp_path / "users.csv"))
    for engine in ("duckdb", "spark"):
        settings = ("columns={user_id: uid, variant: grp}", "control=A", "starts=2026-05-03", f"engine={engine}")
        code, reports = run_pipeline("analyze", "experiment=engines", *settings, more=files)
        assert code == 0
        said[engine] = json.loads((reports / "ab_report.json").read_text())
        for varies in ("created_at", "lineage"):
            said[engine].pop(varies)
    assert assert_same(said["spark"], said["duckdb"]) > 500


def test_movielens_runs_end_to_end(run_pipeline):
    folder = shared("data/ml-latest-small")
    code, reports = run_pipeline("report", f"dataset={folder}", "experiment=movielens")
    assert code == 0
    document = json.loads((reports / "ab_report.json").read_text())
    ctr = next(e for e in document["effects"] if e["metric"] == "ctr")
    assert ctr["lift_ci"][0] > 0  # collaborative beats TF-IDF of titles and genres, by either truth
    truth = tracking.load_table(tracking.find_stage("simulate", "movielens"), "simulate/truth")
    assert set(truth["truth"]) == {"held_out", "completed"}


def test_a_failed_notebook_keeps_its_traceback_and_the_old_report(small_run, run_pipeline, tmp_path, capsys):
    (tmp_path / "interactions.csv").write_text("user_id,item_id,rating\na,x,good\n")
    (tmp_path / "catalog.csv").write_text("item_id,title,text\nx,X,space war\n")
    before = (small_run.parents[1] / "ab_report.html").read_bytes()
    code, reports = run_pipeline("report", f"dataset={tmp_path}", "experiment=failing")
    assert code == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "01_train failed" in error
    assert "'good' in row 1" in error
    assert "01_train.ipynb" in error
    client = tracking.connect()
    (run,) = client.search_runs([client.get_experiment_by_name("failing").experiment_id])
    assert run.info.status == "FAILED"
    executed = nbformat.read(reports / "runs" / run.info.run_id / "01_train.ipynb", as_version=4)
    assert any(o.output_type == "error" for c in executed.cells if c.cell_type == "code" for o in c.outputs)
    assert (reports / "ab_report.html").read_bytes() == before
    assert run_pipeline("simulate", "experiment=failing")[0] == 1
    assert "has completed train. Run `make train`" in capsys.readouterr().err


def test_a_server_that_is_down_is_named_within_fifteen_seconds(run_pipeline, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    start = time.monotonic()
    assert run_pipeline("report", *SMALL)[0] == 1
    assert time.monotonic() - start < 15
    assert "MLflow server http://127.0.0.1:9 does not answer" in capsys.readouterr().err


@pytest.mark.slow
def test_the_same_commands_work_against_a_server(run_pipeline, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        for _ in range(120):
            try:
                tracking.connect()
                break
            except tracking.TrackingError:
                time.sleep(1)
        code, reports = run_pipeline("report", *SMALL, "experiment=served")
        assert code == 0
        document = json.loads((reports / "ab_report.json").read_text())
        assert document["variants"][0]["impressions"] > 0
        model = tracking.load_model("models:/served-synthetic-content@candidate")
        assert len(model.recommend(["u000"], 3)) == 3
    finally:
        server.terminate()
        server.wait(30)
    with sqlite3.connect(tmp_path / "server.db") as store:
        assert store.execute("select count(*) from runs where status = 'FINISHED'").fetchone()[0] >= 8


def test_the_kernel_is_that_of_this_python_whatever_others_are_registered(tmp_path, monkeypatch):
    other = tmp_path / "kernels" / "python3" / "kernel.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({"argv": ["/usr/bin/other", "{connection_file}"], "display_name": "other"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert notebooks.own_kernels().get_kernel_spec("python3").argv[0] == sys.executable


def test_kernels_need_no_tcp_port_where_the_system_has_sockets(tmp_path):
    """A port that is free when it is chosen may be taken when the kernel binds it: such a report died at its start."""
    assert notebooks._transport("/tmp/recab-1/train.json") == ("ipc" if os.name == "posix" else "tcp")
    assert notebooks._transport(f"/tmp/{'long/' * 20}train.json") == "tcp"


def test_a_kernel_whose_port_was_taken_is_started_again(monkeypatch, tmp_path):
    monkeypatch.setattr(notebooks, "_transport", lambda file: "tcp")
    execute, tried = notebooks._execute, []

    def of_the_second(stage, manager, code):
        tried.append(manager)
        if len(tried) == 1:
            raise PipelineError("ended with code 1")
        execute(stage, manager, code)

    monkeypatch.setattr(notebooks, "_execute", of_the_second)
    with notebooks.warm_kernels(["plan"], Stop(), tmp_path) as kernels:
        assert kernels["plan"] is tried[1] is not tried[0]
        assert not tried[0].has_kernel


def test_no_progress_bar_is_drawn_after_the_error_that_ends_a_notebook(monkeypatch, own_notebooks, tmp_path):
    bars = []

    def full(*_, **__):
        bars.append(tqdm(total=3))
        raise OSError("No space left on device")

    monkeypatch.setattr(pm, "execute_notebook", full)
    with pytest.raises(OSError, match="No space"):
        notebooks._run_one(own_notebooks("1"), tmp_path / "executed.ipynb", {}, None)
    assert bars[0].disable  # as one that is closed


def test_a_door_says_how_long_the_one_before_took_where_there_was_one():
    info = SimpleNamespace(status="FINISHED", start_time=1_000, end_time=136_400)
    assert notebooks.how_long("report", SimpleNamespace(info=info)) == "report starts; the one before took 2 min 15 s."
    info.status = "KILLED"
    assert DOORS["report"].lasts in notebooks.how_long("report", SimpleNamespace(info=info))
    assert notebooks.how_long("train", None) == "train starts."


def test_a_variant_at_whose_address_nothing_is_served_is_refused_before_anything_runs(no_kernel):
    with pytest.raises(NoAnswerError, match=r"The model at http://127.0.0.1:1 could not be reached"):
        notebooks._check_served({"simulate": SimulateParams(variants=["content", "http://127.0.0.1:1"])})
    notebooks._check_served({"simulate": SimulateParams()})
    assert "NoAnswerError" in notebooks.REFUSALS  # and no defect of recab, where a notebook says so
