"""Notebooks run in turn, each in a kernel of its own, and a page made of the last one.

The kernels start at once and warm up with the imports of their notebooks while the earlier notebooks run.
"""

import ast
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel, whatever others are registered
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # many small products: threads cost more than they give
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

import nbformat
import papermill as pm
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import DeadKernelError

from recab_helpers import paths
from recab_helpers.assumptions import MEAN_SESSIONS
from recab_helpers.errors import PipelineError, TrackingError
from recab_helpers.parameters import STAGES
from recab_helpers.pipeline.doors import DOORS
from recab_helpers.pipeline.publish import RUNS, publish, shown
from recab_helpers.references import ModelAddress

BYTES_PER_IMPRESSION = 20
FREE_BYTES = 200_000_000


def run(door: str, params: dict[str, Any]) -> None:
    """Run the notebooks of the door's stages with these parameters, and publish its page where it has one.

    Raises:
        PipelineError: the machine is not ready, a notebook is not as it should be, failed or stopped.
    """
    for stage in params:
        _check_cell(stage)
    _check_machine(params)
    with warm_kernels(params) as kernels:
        from recab_helpers import tracking  # loads MLflow, while the kernels warm up

        try:
            if "simulate" in params and "analyze" in params and params["analyze"].promote:  # else all work is in vain
                tracking.check_promotable(ModelAddress.parse(v) for v in params["simulate"].variants if ":/" in v)
            first = next(iter(params.values()))
            mlflow_run = tracking.start_run(getattr(first, "experiment", "recab"), door)
        except TrackingError as error:
            raise PipelineError(str(error)) from error
        try:
            executed = _run_in_turn(mlflow_run, params, kernels)
            if DOORS[door].page:
                publish(executed, mlflow_run, DOORS[door].page)
        except BaseException:
            mlflow_run.fail()
            raise
        mlflow_run.client.set_terminated(mlflow_run.run_id, "FINISHED")


def notebook_of(stage: str) -> Path:
    """The notebook of a stage, 01_train.ipynb for train.

    Raises:
        PipelineError: there is none.
    """
    found = sorted(paths.NOTEBOOKS.glob(f"[0-9][0-9]_{stage}.ipynb"))
    if not found:
        raise PipelineError(f"{shown(paths.NOTEBOOKS)} has no notebook of the stage {stage}. Restore it.")
    return found[0]


def warm_up_of(notebook: Path) -> str:
    """Code that imports what the notebook imports, and every module of the rooms that it names: rooms load lazily."""
    cells = nbformat.read(notebook, as_version=4).cells
    trees = [ast.parse(c.source) for c in cells if c.cell_type == "code"]
    imports = [n for tree in trees for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    package = paths.ROOT / "recab_helpers"
    rooms = [a.name for n in imports if getattr(n, "module", "") == package.name for a in n.names]
    files = [file.relative_to(paths.ROOT) for room in rooms for file in sorted((package / room).rglob("*.py"))]
    modules = [".".join(f.with_suffix("").parts).removesuffix(".__init__") for f in files]
    return "\n".join([*map(ast.unparse, imports), f"[__import__(module) for module in {modules}]"])


@contextmanager
def warm_kernels(stages: Iterable[str]) -> Iterator[dict[str, AsyncKernelManager]]:
    """One kernel per stage, started together, each warming up with the imports of its notebook."""
    managers = {}
    try:
        for stage in stages:
            managers[stage] = manager = AsyncKernelManager(kernel_name="python3", transport_encryption="auto")
            run_sync(manager.start_kernel)(cwd=str(paths.ROOT))
        for stage, manager in managers.items():
            _execute(manager, warm_up_of(notebook_of(stage)))
        yield managers
    finally:
        for manager in managers.values():
            run_sync(manager.shutdown_kernel)(now=True)


def _run_in_turn(run, params: dict[str, Any], kernels: dict[str, AsyncKernelManager]) -> Path:
    """Execute each stage's notebook into the run's folder of reports; returns the last executed copy."""
    found: dict[str, str] = {}
    folder = paths.REPORTS / RUNS / run.run_id
    folder.mkdir(parents=True)
    for stage, checked in params.items():
        notebook = notebook_of(stage)
        copy = folder / notebook.name
        values = checked.as_dict() | {k: v for k, v in found.items() if k in checked.as_dict()}
        _execute(kernels[stage], f"import os; os.environ['MLFLOW_RUN_ID'] = '{run.run_id}'")
        _run_one(notebook, copy, values, kernels[stage])
        found[f"{stage}_run_id"] = run.run_id
    return copy


def _run_one(notebook: Path, copy: Path, values: dict[str, Any], kernel: AsyncKernelManager) -> None:
    """Execute one notebook; whatever ends it early is a PipelineError, and the copy holds how far it came."""
    name = notebook.stem
    try:
        bar = {"desc": name}
        done = pm.execute_notebook(notebook, copy, values, kernel_name="python3", km=kernel, progress_bar=bar)
    except pm.PapermillExecutionError as error:
        message = str(error.evalue).splitlines()[0] if error.evalue else ""
        raise PipelineError(
            f"{name} failed in cell {error.exec_count}: {error.ename}: {message} The traceback is in {shown(copy)}."
        ) from None
    except DeadKernelError:
        raise PipelineError(
            f"The kernel of {name} died, most likely for want of memory. Close other programs, or lower n_users. "
            f"{shown(copy)} shows how far it came."
        ) from None
    if skipped := [c for c in done.cells if c.cell_type == "code" and c.source and not c.execution_count]:
        raise PipelineError(f"{name} stopped early: {len(skipped)} cells never ran. See {shown(copy)}.")


def _execute(manager: AsyncKernelManager, code: str) -> None:
    """Send code to a kernel without waiting for it."""
    client = manager.client()
    client.start_channels()
    run_sync(client.wait_for_ready)(timeout=120)
    client.execute(code, silent=True, store_history=False)
    client.stop_channels()


def _check_cell(stage: str) -> None:
    """Refuse a notebook whose parameters cell is not that of its stage; papermill would only warn."""
    notebook = notebook_of(stage)
    cell, wanted = set(pm.inspect_notebook(str(notebook))), {f.name for f in fields(STAGES[stage])}
    if cell != wanted:
        raise PipelineError(
            f"The parameters cell of {notebook.stem} differs from {STAGES[stage].__name__} in "
            f"{', '.join(sorted(cell ^ wanted))}. Give both the same names."
        )


def _check_machine(params: dict[str, Any]) -> None:
    """Refuse a reports folder that cannot be written and a disk that is too full, before any work."""
    reports = paths.REPORTS
    try:
        reports.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=reports):
            pass
    except OSError as error:
        raise PipelineError(f"The folder {reports} cannot be written ({error.strerror}). Make it writable.") from error
    needed = FREE_BYTES
    if "simulate" in params and "train" in params:
        impressions = params["train"].n_users * MEAN_SESSIONS * params["simulate"].slate_size
        needed += int(impressions * BYTES_PER_IMPRESSION)
    if (free := shutil.disk_usage(paths.ROOT).free) < needed:
        raise PipelineError(
            f"The disk of {paths.ROOT} has {free / 1e6:,.0f} MB free; this run needs about {needed / 1e6:,.0f} MB. "
            "Free some space or lower n_users."
        )
