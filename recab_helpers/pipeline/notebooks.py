"""The doors that run notebooks, from `make report` to `make calibrate`: check parameters, execute, render.

All parameters are checked before any kernel starts. The three kernels start at once and warm up with their
imports while the earlier notebooks run; each notebook still has a kernel of its own.
"""

import argparse
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel, whatever others are registered
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # many small products: threads cost more than they give
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

import papermill as pm
import yaml
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from recab_helpers.errors import PipelineError
from recab_helpers.parameters import (
    PRESETS,
    AnalyzeParams,
    CalibrateParams,
    ParameterError,
    PlanParams,
    SimulateParams,
    TrainParams,
    nearest,
)

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ROOT / "reports"
STAGES = {
    "train": ("01_train", TrainParams),
    "simulate": ("02_simulate", SimulateParams),
    "analyze": ("03_analyze", AnalyzeParams),
    "plan": ("00_plan", PlanParams),
    "calibrate": ("04_calibrate", CalibrateParams),
}
COMMANDS = {"report": ("train", "simulate", "analyze"), **{stage: (stage,) for stage in STAGES}}
RUNS = "runs"  # folder of reports/ that keeps each run's pages and executed notebooks
PAGES = {"analyze": "ab_report", "plan": "plan", "calibrate": "calibration"}
WARM_UP = "from recab_helpers import data, experiment, recommenders, report, simulation, stages, tracking"
MEAN_SESSIONS, BYTES_PER_IMPRESSION = 6, 20
FREE_BYTES = 200_000_000


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it worked, 1 with one line on stderr when it did not."""
    parser = argparse.ArgumentParser(prog="python -m recab_helpers.pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--params", help="YAML file of parameters")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="single parameters")
    parser.add_argument("--log", default="", help="an impression log to analyze (.parquet, .csv)")
    args = parser.parse_args(arguments)
    try:
        values = read_values(args.params, args.set)
        if args.log:
            values["log_file"] = str(Path(args.log).expanduser().resolve())
        run_command(args.command, check_values(args.command, values))
    except (ParameterError, PipelineError) as error:
        print(f"recab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("recab: stopped.", file=sys.stderr)
        return 130
    return 0


def read_values(params_file: str | None, settings: list[str]) -> dict[str, Any]:
    """Values from the preset, then the YAML file, then NAME=VALUE settings, later ones winning."""
    values = {}
    if params_file:
        try:
            values = yaml.safe_load(Path(params_file).read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ParameterError(f"PARAMS={params_file} cannot be read as YAML: {error}") from error
        if not isinstance(values, dict):
            raise ParameterError(f"PARAMS={params_file} holds no names; write one `name: value` per line.")
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ParameterError(f"SET has {setting!r}; write name=value, such as seed=7.")
        values[name.strip()] = yaml.safe_load(text) if text.strip() else ""
    preset = values.pop("preset", "default")
    if preset not in PRESETS:
        raise ParameterError(f"preset has {preset!r}. {nearest(str(preset), PRESETS)}")
    return PRESETS[preset] | values


def check_values(command: str, values: dict[str, Any]) -> dict[str, Any]:
    """The checked parameters of every stage of the command.

    Raises:
        ParameterError: a name that no stage has, with the nearest right one, or a value out of range.
    """
    known = {f.name for _, cls in STAGES.values() for f in fields(cls)}
    for name in values.keys() - known:
        raise ParameterError(f"There is no parameter {name}. {nearest(name, known | {'preset'})}")
    for notebook, cls in STAGES.values():
        cell = pm.inspect_notebook(str(_notebook(notebook))).keys()
        if cell != {f.name for f in fields(cls)}:
            raise ParameterError(f"The parameters cell of {notebook} has {', '.join(sorted(cell))}; restore it.")
    params = {stage: STAGES[stage][1].of(values) for stage in COMMANDS[command]}
    train, simulate = params.get("train"), params.get("simulate")
    if train and simulate and train.dataset == "synthetic" and simulate.slate_size > train.n_items:
        raise ParameterError(
            f"slate_size is {simulate.slate_size}, but n_items is {train.n_items}. Lower the one or raise the other."
        )
    return params


def run_command(command: str, params: dict[str, Any]) -> None:
    """Run the notebooks of the command in turn and publish the report when the analysis is among them."""
    _check_machine(params)
    with _warm_kernels(list(params)) as kernels:
        from recab_helpers import tracking  # loads MLflow, while the kernels warm up

        try:
            first = next(iter(params.values()))
            run = tracking.start_run(getattr(first, "experiment", "recab"), command)
        except tracking.TrackingError as error:
            raise PipelineError(str(error)) from error
        try:
            executed = _run_notebooks(run, params, kernels)
            if page := PAGES.get(list(params)[-1]):
                publish(executed, run, page)
        except BaseException:
            run.fail()
            raise
        run.client.set_terminated(run.run_id, "FINISHED")


def _run_notebooks(run, params: dict[str, Any], kernels: dict[str, AsyncKernelManager]) -> Path:
    """Execute each stage's notebook into the run's folder of reports; returns the last executed copy."""
    found = {}
    folder = REPORTS / RUNS / run.run_id
    folder.mkdir(parents=True)
    for stage, checked in params.items():
        notebook = STAGES[stage][0]
        copy = folder / f"{notebook}.ipynb"
        values = checked.as_dict() | {k: v for k, v in found.items() if k in checked.as_dict()}
        _execute(kernels[stage], f"import os; os.environ['MLFLOW_RUN_ID'] = '{run.run_id}'")
        try:
            done = pm.execute_notebook(
                _notebook(notebook),
                copy,
                values,
                kernel_name="python3",
                km=kernels[stage],
                progress_bar={"desc": notebook},
            )
        except pm.PapermillExecutionError as error:
            message = str(error.evalue).splitlines()[0] if error.evalue else ""
            raise PipelineError(
                f"{notebook} failed in cell {error.exec_count}: {error.ename}: {message} "
                f"The traceback is in {_shown(copy)}."
            ) from None
        if skipped := [c for c in done.cells if c.cell_type == "code" and c.source and not c.execution_count]:
            raise PipelineError(f"{notebook} stopped early: {len(skipped)} cells never ran. See {_shown(copy)}.")
        found[f"{stage}_run_id"] = run.run_id
    return copy


def publish(executed: Path, run, name: str) -> None:
    """Render the executed notebook beside it, log the page with its run, and replace the newest page in one step.

    The folder of the run keeps its page, so that earlier reports stay; an index page lists them.
    """
    from recab_helpers import tracking
    from recab_helpers.report.page import render, render_index

    files, call = [executed.parent / f"{name}.html"], ""
    if analysis_run_id := tracking.run_tags(run.run_id).get("analysis_run_id"):
        run = tracking.Run(analysis_run_id, "analyze", run.client)
        call = tracking.run_tags(analysis_run_id)["verdict"]
        document = tracking.artifact(analysis_run_id, f"analyze/{name}.json")
        files.append(Path(shutil.copy(document, executed.parent / f"{name}.json")))
    files[0].write_text(render(executed, call=call), encoding="utf-8")
    run.log_file(files[0])
    with tempfile.TemporaryDirectory(dir=REPORTS) as folder:
        for file in files:
            Path(shutil.copy(file, folder)).replace(REPORTS / file.name)
        index = Path(folder) / "index.html"
        index.write_text(render_index(REPORTS), encoding="utf-8")
        index.replace(REPORTS / index.name)
    print(_shown(REPORTS / f"{name}.html"))


@contextmanager
def _warm_kernels(stages: list[str]):
    """One kernel per stage, started together and importing what the notebooks import."""
    managers = {}
    try:
        for stage in stages:
            managers[stage] = manager = AsyncKernelManager(kernel_name="python3", transport_encryption="auto")
            run_sync(manager.start_kernel)(cwd=str(ROOT))
        for manager in managers.values():
            _execute(manager, WARM_UP)
        yield managers
    finally:
        for manager in managers.values():
            run_sync(manager.shutdown_kernel)(now=True)


def _execute(manager: AsyncKernelManager, code: str) -> None:
    """Send code to a kernel without waiting for it."""
    client = manager.client()
    client.start_channels()
    run_sync(client.wait_for_ready)(timeout=120)
    client.execute(code, silent=True, store_history=False)
    client.stop_channels()


def _check_machine(params: dict[str, Any]) -> None:
    """Refuse a reports folder that cannot be written and a disk that is too full, before any work."""
    try:
        REPORTS.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=REPORTS):
            pass
    except OSError as error:
        raise PipelineError(f"The folder {REPORTS} cannot be written ({error.strerror}). Make it writable.") from error
    needed = FREE_BYTES
    if "simulate" in params and "train" in params:
        simulate = params["simulate"]
        impressions = params["train"].n_users * MEAN_SESSIONS * simulate.slate_size
        needed += int(impressions * BYTES_PER_IMPRESSION)
    if (free := shutil.disk_usage(ROOT).free) < needed:
        raise PipelineError(
            f"The disk of {ROOT} has {free / 1e6:,.0f} MB free; this run needs about {needed / 1e6:,.0f} MB. "
            "Free some space or lower n_users."
        )


def _notebook(name: str) -> Path:
    return ROOT / "notebooks" / f"{name}.ipynb"


def _shown(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(main())
