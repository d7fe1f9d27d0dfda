"""What is typed reaches the notebooks as it was typed, or is refused in one line before anything starts."""

import importlib.util
import os
import re
import runpy
import shutil
import sqlite3
import subprocess
import sys

import pandas as pd
import pytest

from recab_helpers.errors import ParameterError
from recab_helpers.parameters import PRESETS
from recab_helpers.paths import ROOT
from recab_helpers.pipeline.command_line import main
from recab_helpers.pipeline.doors import DOORS
from recab_helpers.pipeline.values import check_values, read_values
from tests.made import LOG


@pytest.fixture
def opened(monkeypatch) -> list[tuple]:
    """The doors that were opened with their parameters; their notebooks do not run."""
    from recab_helpers.pipeline import notebooks

    calls = []
    monkeypatch.setattr(notebooks, "run", lambda door, params, **_: calls.append((door, params)))
    for name in ("LOG", "USERS", "PARAMS", "SET"):
        monkeypatch.delenv(f"RECAB_{name}", raising=False)
    return calls


def refusal(capsys, *arguments: str) -> str:
    """The one line that the command says when it refuses."""
    assert main(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("recab: ")
    assert not captured.out
    return captured.err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("n_user=7", "no parameter n_user. Did you mean n_users?"),
        ("zzz=7", "no parameter zzz. Choose from"),
        ("n_users=0", "n_users is 0; give a value from 10"),
        ("dataset=ml-100", "dataset has 'ml-100'. Did you mean ml-100k?"),
        ("dataset=no/such/folder", "there is no such folder"),
        ("variants=[content, colaborative]", "Did you mean collaborative?"),
        ("preset=parety", "preset has 'parety'. Did you mean parity?"),
        ("preset=[aa]", "preset has ['aa']"),
        ("slate_size=4000", "slate_size is 4,000; give a value from 1 to 1,000."),
        ("metrics=[{name: spend, rol: goal}]", "metric spend has 'rol'. Did you mean role?"),
        ("metrics=[{name: spend, role: gaol}]", "gaol"),
        ("metrics=[{name: ctr, role: secondary}]", "No metric has the role goal"),
        ("seed", "write name=value"),
        ("seed=[1", "cannot be read as YAML"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_starts(setting, words, opened, capsys):
    assert words in refusal(capsys, "report", "--set", setting)
    assert not opened


@pytest.mark.parametrize(
    ("door", "arguments", "words"),
    [
        (
            "report",
            ["--log", "x.csv"],
            "make report does not use it; make analyze, make look, make plan and make designs do",
        ),
        ("report", ["--users", "x.csv"], "users_file (USERS) is"),
        ("report", ["--set", "simulate_run_id=1"], "make report does not use it; make analyze does"),
        ("train", ["--log", "x.csv"], "log_file (LOG) is"),
        ("plan", ["--set", "n_items=5"], "n_items is 5, but make plan does not use it; make report and make train do"),
        ("analyze", ["--set", "preset=content_wins"], "text_share is 0.9, but make analyze does not use it"),
        ("calibrate", ["--set", "alpha=0.1"], "make report, make analyze, make plan and make designs do"),
        ("lab", ["--set", "seed=1"], "but make lab does not use it"),
        ("server", ["--set", "zzz=1"], "make server takes no parameters"),
        ("train", ["--set", "dataset=ml-100k", "n_users=50"], "n_users is 50, but is not used: dataset is ml-100k"),
        ("analyze", ["--set", "allocation=0.1"], "allocation is 0.1, but is not used: a simulated test knows its own"),
        ("analyze", ["--log", __file__, "--set", "promote=true"], "promote is True, but is not used: a log is read"),
        ("plan", ["--log", __file__, "--set", "ctr=0.2"], "ctr is 0.2, but is not used: the pilot log says it"),
        ("plan", ["--users", __file__], "there is no log_file"),
        ("plan", ["--set", "lift=0.1", "lift=0.2"], "lift is given twice"),
        ("plan", ["--log", __file__, "--set", "log_file=x"], "log_file (LOG) is given twice"),
    ],
)
def test_a_value_that_a_door_does_not_use_is_refused(door, arguments, words, opened, capsys):
    assert words in refusal(capsys, door, *arguments)
    assert not opened


def test_a_door_takes_its_own_parameters(opened, tmp_path):
    log, users = tmp_path / "my log.csv", tmp_path / "users.csv"
    LOG.to_csv(log, index=False)
    pd.DataFrame({"user_id": ["a"], "pre_clicks": [1]}).to_csv(users, index=False)
    assert main(["analyze", "--log", str(log), "--users", str(users), "--set", "allocation=0.1"]) == 0
    assert main(["report", "--set", "allocation=0.1", "seed=7"]) == 0
    (_, analysis), (_, report) = opened
    assert (analysis["analyze"].log_file, analysis["analyze"].users_file) == (str(log), str(users))
    assert list(report) == ["train", "simulate", "analyze"]
    assert (report["simulate"].allocation, report["analyze"].allocation, report["train"].seed) == (0.1, 0.1, 7)


def test_files_are_found_from_where_they_were_typed(opened, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    for table in ("interactions", "catalog"):
        (tmp_path / "own" / f"{table}.csv").touch()
    LOG.to_csv(tmp_path / "log.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--set", "dataset=own"]) == 0
    assert main(["plan", "--set", "log_file=log.csv"]) == 0
    (_, train), (_, plan) = opened
    assert train["train"].dataset == str(tmp_path / "own")
    assert plan["plan"].log_file == str(tmp_path / "log.csv")


def test_a_slate_larger_than_the_catalog_is_refused_before_training():
    with pytest.raises(ParameterError, match="slate_size is 200, but n_items is 100"):
        check_values("report", {"slate_size": 200, "n_items": 100})


def test_settings_win_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "my own.yaml"
    file.write_text("preset: content_wins\ntext_share: 0.95\nseed: 3\n")
    values = read_values(str(file), ["seed=007", "experiment=a b"])
    assert values == PRESETS["content_wins"] | {"text_share": 0.95, "seed": 7, "experiment": "a b"}


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("experiment=1.10", "1.10"),
        ("experiment=007", "007"),
        ("experiment=2024_05", "2024_05"),
        ("experiment=12.30", "12.30"),
        ("experiment=2026-02-30", "2026-02-30"),
        ("experiment=@champion", "@champion"),
        ("experiment=no", "no"),
        ("experiment=true", "true"),
    ],
)
def test_a_name_is_what_was_typed_whatever_yaml_makes_of_it(typed, value):
    assert check_values("train", read_values("", [typed]))["train"].experiment == value


def test_numbers_are_numbers_however_they_are_written(tmp_path):
    params = check_values("simulate", read_values("", ["seed=010", "allocation=1e-1", "horizon_days=1_0"]))["simulate"]
    assert (params.seed, params.allocation, params.horizon_days) == (10, 0.1, 10)
    assert [type(v) for v in (params.seed, params.allocation)] == [int, float]


def test_a_list_may_hold_blanks(opened, monkeypatch):
    monkeypatch.setenv("RECAB_SET", "variants=[content, popularity] experiment='two words' seed=1")
    assert main(["report"]) == 0
    train = opened[0][1]["train"]
    assert (train.variants, train.experiment, train.seed) == (["content", "popularity"], "two words", 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"seed: 1\nseed: 2", "seed is given twice"),
        (b"a: &a [x]\nb: *a", r"it uses the alias \*a"),
        ("seed: 1 # caf\u00e9".encode("latin-1"), "it is not UTF-8 text. Save it as UTF-8"),
    ],
)
def test_a_file_of_parameters_with_a_surprise_is_refused_in_a_line(tmp_path, content, words, opened, capsys):
    (tmp_path / "p.yaml").write_bytes(content)
    assert re.search(words, refusal(capsys, "train", "--params", str(tmp_path / "p.yaml")))


def test_a_broken_log_is_refused_with_all_that_is_wrong_before_a_kernel_starts(tmp_path, opened, capsys):
    LOG.assign(clicked=2, position=0).to_csv(tmp_path / "log.csv", index=False)
    said = refusal(capsys, "analyze", "--log", str(tmp_path / "log.csv"))
    assert "log.csv has 2 faults. (1) log.csv: column position" in said
    assert "(2) log.csv: column clicked holds 2 in row 1 (6 such rows)" in said
    assert not opened


def test_a_log_without_a_control_and_users_of_other_ids_are_refused_before_a_kernel_starts(tmp_path, opened, capsys):
    LOG.replace({"control": "0", "treatment": "1"}).to_csv(tmp_path / "named.csv", index=False)
    said = refusal(capsys, "analyze", "--log", str(tmp_path / "named.csv"))
    assert "Name the one that users had before: control=0" in said
    LOG.to_csv(tmp_path / "log.csv", index=False)
    ids = [f"other {i}" for i in range(9)]
    pd.DataFrame({"user_id": ids, "pre_clicks": 1}).to_csv(tmp_path / "users.csv", index=False)
    said = refusal(capsys, "analyze", "--log", str(tmp_path / "log.csv"), "--users", str(tmp_path / "users.csv"))
    assert "their ids are not the same" in said
    assert not opened
    LOG[LOG["variant"] == "control"].to_csv(tmp_path / "pilot.csv", index=False)
    assert main(["plan", "--log", str(tmp_path / "pilot.csv")]) == 0


def test_look_says_what_is_understood_of_a_log_with_foreign_names(tmp_path, capsys, opened):
    foreign = LOG.rename(columns={"user_id": "uid", "clicked": "click"}).replace({"control": "A", "treatment": "B"})
    foreign.to_csv(tmp_path / "log.csv", index=False)
    assert main(["look", "--log", str(tmp_path / "log.csv")]) == 0
    said = capsys.readouterr().out
    assert 'SET="columns={user_id: uid, clicked: click}"' in said
    assert "log.csv lacks the column user_id, clicked" in said
    mapping = "columns={user_id: uid, clicked: click}"
    assert main(["look", "--log", str(tmp_path / "log.csv"), "--set", mapping, "control=A"]) == 0
    said = capsys.readouterr().out
    assert "control: 1 users, 3 impressions, 2 clicks\nB: 2 users, 3 impressions, 1 clicks\nDays: 0 to 3" in said
    assert "Control is what log.csv calls A." in said
    assert "No file is named" in refusal(capsys, "look")


@pytest.mark.parametrize("content", [b"- a list", b"a: [", b"a: \xff", None])
def test_an_unreadable_file_is_refused(tmp_path, content, opened, capsys):
    file = tmp_path / "p.yaml"
    if content:
        file.write_bytes(content)
    assert "p.yaml" in refusal(capsys, "train", "--params", str(file))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset):
    check_values("report", read_values("", [f"preset={preset}"]))


def test_a_whole_metric_of_a_file_reaches_the_analysis(tmp_path, opened):
    file = tmp_path / "p.yaml"
    file.write_text("metrics:\n  - spend\n  - {name: ctr, role: goal, direction: 1}\n")
    assert main(["analyze", "--params", str(file)]) == 0
    assert opened[0][1]["analyze"].metrics == ["spend", {"name": "ctr", "role": "goal", "direction": 1}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reprot"], "There is no door 'reprot'. Did you mean report?"),
        ([], "required: DOOR."),
        (["plan", "--logs", "x"], "unrecognized arguments: --logs x."),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_in_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_an_interrupted_door_says_so(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("recab_helpers.pipeline.notebooks.run", interrupted)
    assert main(["plan"]) == 130
    assert capsys.readouterr().err == "recab: stopped.\n"


ENDS = {
    "a defect": (
        KeyError("x"),
        70,
        "KeyError: 'x' This is a defect of recab. The full log is in .*error.log",
    ),
    "a full disk": (OSError(28, "No space left on device", "/a/b"), 1, r"The disk is full \(/a/b\). Free some space"),
    "a full disk of a database": (
        sqlite3.OperationalError("database or disk is full"),
        1,
        r"The disk is full \(.*\)\. Free some space",
    ),
    "no permission": (PermissionError(13, "Permission denied", "/a/b"), 1, "/a/b may not be written or read. Change"),
    "a path too long": (OSError(36, "File name too long", "a" * 300), 1, "A path is too long .*Move the project up"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_whatever_ends_a_door_is_one_line_and_an_exit_code(kind, opened, monkeypatch, tmp_path, capsys):
    from recab_helpers import paths
    from recab_helpers.pipeline import notebooks

    error, code, words = ENDS[kind]
    monkeypatch.setattr(paths, "REPORTS", tmp_path)
    monkeypatch.setattr(notebooks, "run", lambda *_, **__: (_ for _ in ()).throw(error))
    assert main(["plan"]) == code
    said = capsys.readouterr().err
    assert re.fullmatch(f"recab: {words}.*\n", said), said
    assert main(["plan", "-v"]) == code
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert re.match(f"recab: {words}", said.splitlines()[-1])
    assert (tmp_path / "error.log").exists() == (code == 70)


def test_fresh_is_of_the_report_alone(opened, capsys):
    assert main(["report", "--fresh"]) == 0
    assert "FRESH is 1, but make train always runs anew" in refusal(capsys, "train", "--fresh")


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a\\b", " ", "a.", "tab\t", "x" * 201, "\u00fc" * 101])
def test_an_experiment_whose_name_leaves_its_folder_is_refused(name, opened, capsys):
    assert "experiment " in refusal(capsys, "train", "--set", f"experiment={name!r}")


@pytest.mark.parametrize("door", [name for name, door in DOORS.items() if door.program])
def test_a_program_is_started_in_the_project_folder(door, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    started = []
    monkeypatch.setattr(runpy, "run_module", lambda module, **_: started.append((module, sys.argv[1:], os.getcwd())))
    assert main([door]) == 0
    module, *rest = DOORS[door].program
    assert started == [(module, rest, str(ROOT))]
    assert importlib.util.find_spec(module)


def test_a_refusal_loads_neither_papermill_nor_pandas():
    code = "import sys; from recab_helpers.pipeline.command_line import main; main(['report', '--set', 'zzz=1'])"
    code += "; print(sorted({'papermill', 'pandas', 'mlflow', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_make_and_python_offer_the_same_doors_in_the_same_words():
    makefile = (ROOT / "Makefile").read_text()
    targets = dict(re.findall(r"^([a-z-]+):.*## (.*)$", makefile, re.MULTILINE))
    assert {name: targets[name] for name in DOORS} == {name: door.does for name, door in DOORS.items()}
    assert re.findall(r"\$\(RUN\) ([a-z]+)", makefile) == list(DOORS)
    takers = set(re.search(r"filter (report [a-z ]+),\$\(MAKECMDGOALS\)", makefile)[1].split())
    assert takers == {name for name, door in DOORS.items() if door.takes}


@pytest.fixture
def make(tmp_path):
    """Run make as a person does, on another Python or program, without its set-up."""
    if not shutil.which("make"):
        pytest.skip("needs make")

    def run(*arguments: str, py: str = sys.executable, **environment: str) -> subprocess.CompletedProcess:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RECAB_", "MAKE", "MFLAGS"))}
        command = ["make", "-C", str(ROOT), "--no-print-directory", "-o", "setup", f"PY={py}", *arguments]
        return subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=False)

    return run


def test_nothing_that_is_typed_is_run_or_changed(make, tmp_path):
    """A backtick in LOG once ran a command."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$RECAB_LOG" "$RECAB_USERS" "$RECAB_PARAMS" "$RECAB_SET"\n')
    program.chmod(0o755)
    ran = [tmp_path / f"ran {i}" for i in range(3)]
    odd = f"`touch '{ran[0]}'` $(touch '{ran[1]}') $(shell touch '{ran[2]}') $HOME $$ \"two  words\" 'q' \\n ; # | &"
    typed = {name: f"{name} {odd}" for name in ("LOG", "USERS", "PARAMS", "SET")}
    done = make("analyze", *(f"{name}={value}" for name, value in typed.items()), py=str(program))
    assert done.stdout.splitlines() == list(typed.values())
    assert not any(file.exists() for file in ran)


def test_what_is_typed_to_make_reaches_the_program(make, tmp_path):
    done = make("analyze", "LOG=no such `file`.csv", "SET=experiment='two words' seed=1")
    assert done.returncode
    assert "seed is 1, but make analyze does not use it" in done.stderr
    done = make("analyze", "LOG=no such `file`.csv", "SET=experiment='two words'")
    assert "log_file is '" in done.stderr
    assert "no such `file`.csv', but there is no such file" in done.stderr
    assert "SET=a='b cannot be read: a quote is not closed" in make("analyze", "SET=a='b").stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "n_users=500"], "make report does not use n_users."),
        (["analyze", "log=x.csv"], "make analyze does not use log."),
        (["test", "LOG=x.csv"], "make test does not use LOG."),
        (["lab", "SET=seed=1"], "make lab does not use SET."),
        (["USERS=x.csv"], "make does not use USERS."),
    ],
)
def test_make_refuses_what_its_target_does_not_use(arguments, words, make):
    done = make(*arguments, py="true")
    assert done.returncode
    assert words in done.stderr
    assert 'make report SET="seed=7"' in done.stderr


def test_make_hands_variables_of_other_programs_on(make, tmp_path):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$MLFLOW_TRACKING_URI"\n')
    program.chmod(0o755)
    assert make("report", "MLFLOW_TRACKING_URI=http://a", py=str(program)).stdout == "http://a\n"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_value_of_several_may_stand_in_quotes_of_its_own(quote, opened, tmp_path, monkeypatch):
    LOG.rename(columns={"user_id": "uid"}).to_csv(tmp_path / "log.csv", index=False)
    monkeypatch.setenv("RECAB_SET", f"columns={quote}{{user_id: uid}}{quote} click={quote}[1]{quote}")
    assert main(["analyze", "--log", str(tmp_path / "log.csv")]) == 0
    params = opened[0][1]["analyze"]
    assert (params.columns, params.click) == ({"user_id": "uid"}, ["1"])
    assert read_values("", ["hypothesis='[more] clicks'"]) == {"hypothesis": "[more] clicks"}


def test_a_limit_is_written_out(opened, tmp_path, capsys):
    LOG.to_csv(tmp_path / "log.csv", index=False)
    said = refusal(capsys, "analyze", "--log", str(tmp_path / "log.csv"), "--set", "planned_users=0")
    assert "planned_users is 0; give a value from 1 to 1,000,000,000." in said


def test_users_of_another_log_and_a_log_of_one_variant_are_refused_before_anything_starts(opened, tmp_path, capsys):
    log, users = str(tmp_path / "log.csv"), str(tmp_path / "users.csv")
    LOG.to_csv(log, index=False)
    pd.DataFrame({"user_id": ["1", "2", "3"], "pre_clicks": 1}).to_csv(users, index=False)
    assert "their ids are not the same" in refusal(capsys, "analyze", "--log", log, "--users", users)
    LOG.assign(variant="control").to_csv(log, index=False)
    assert "it needs control and at least one treatment" in refusal(capsys, "analyze", "--log", log)
    assert not opened
    assert main(["plan", "--log", log]) == 0
