"""Notebooks run in turn, each in a kernel of its own, and a page made of the last one.

The kernels start at once and warm up with the imports of their notebooks while the earlier notebooks run.
"""

import ast
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # many small products: threads cost more than they give
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

import nbformat
import papermill as pm
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import DeadKernelError
from tqdm.auto import tqdm

from recab_helpers import paths
from recab_helpers.errors import (
    DataError,
    DefectError,
    NoAnswerError,
    ParameterError,
    PipelineError,
    RecabError,
    TrackingError,
)
from recab_helpers.formats import duration
from recab_helpers.parameters import STAGES
from recab_helpers.pipeline.doors import DOORS
from recab_helpers.pipeline.foreign import named_in, say_whose_code
from recab_helpers.pipeline.machine import check_machine
from recab_helpers.pipeline.publish import RUNS, publish, shown
from recab_helpers.pipeline.resuming import Known, known_stages
from recab_helpers.pipeline.stopping import Stop
from recab_helpers.processes import end_with_children, temporary_place, this_process
from recab_helpers.references import ModelAddress

SAID = (RecabError, ParameterError, DataError, NoAnswerError, TrackingError, PipelineError)
REFUSALS = {error.__name__ for error in SAID}
OF_THE_MACHINE = {"MemoryError", "ArrowMemoryError", "MlflowException", "RestException", "ConnectionError"}
FOREIGN = {"PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONSTARTUP", "JUPYTER_PATH"}
STARTS = 3  # of a kernel whose port another program may have
ANSWER_S = 120  # in which a kernel must
SOCKET_NAME = 100  # bytes that the path of a socket may have on every system that has them


def run(door: str, params: dict[str, Any], *, stop: Stop | None = None, fresh: bool = False) -> None:
    """Run the notebooks of the door's stages with these parameters, and publish its page where it has one.

    A report continues where one with the same inputs died, unless it is to be `fresh`. Whatever ends it early, the run
    in MLflow is closed, no kernel is left and nothing in the temporary folder.

    Raises:
        PipelineError: the machine is not ready, a notebook is not as it should be, failed or stopped.
        TrackingError: MLflow cannot be used.
    """
    stop = stop or Stop()
    for stage in params:
        _check_cell(stage)
    check_machine(params)
    with temporary_place() as place, warm_kernels(params, stop, place) as kernels:
        from recab_helpers import tracking  # loads MLflow, while the kernels warm up

        if "simulate" in params and "analyze" in params and params["analyze"].promote:  # else all work is in vain
            tracking.check_promotable(ModelAddress.parse(v) for v in params["simulate"].variants if ":/" in v)
        say_whose_code(params)
        _check_served(params)
        first = next(iter(params.values()))
        stop.check()
        mlflow_run = stop.run = tracking.start_run(getattr(first, "experiment", "recab"), door)
        try:
            stop.check()
            before = tracking.run_before(mlflow_run)
            print(f"recab: {how_long(door, before)}", flush=True)
            known = Known() if fresh or len(params) < 2 else known_stages(mlflow_run, params, before)
            executed = _run_in_turn(mlflow_run, params, kernels, stop, known)
            if DOORS[door].page:
                publish(executed, mlflow_run, DOORS[door].page)
            mlflow_run.finish()
        except BaseException as error:
            _end(kernels)
            left = mlflow_run.close("KILLED" if stop.signal else "FAILED")
            if left and isinstance(error, RecabError):
                raise type(error)(f"{error} {left}") from error
            raise


def how_long(door: str, before: Any) -> str:
    """How long the door takes: what the run before took, else what is known of its defaults, else that nobody knows."""
    if before is not None and before.info.status == "FINISHED":
        seconds = (before.info.end_time - before.info.start_time) / 1000
        return f"{door} starts; the one before took {duration(seconds)}."
    lasts = DOORS[door].lasts
    return f"{door} starts; with its defaults it takes {lasts} on two cores." if lasts else f"{door} starts."


def _check_served(params: dict[str, Any]) -> None:
    """Refuse a model at whose address nothing is served, before anything is trained for it."""
    from recab_helpers.recommenders.remote import RemoteModel

    for address in named_in(params).values():
        if address.url:
            RemoteModel(address).check_there()


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


def own_kernels() -> KernelSpecManager:
    """Knows the kernel of this very Python, and none that is registered somewhere, JUPYTER_PATH included."""
    return KernelSpecManager(kernel_dirs=[])


@contextmanager
def warm_kernels(stages: Iterable[str], stop: Stop, place: Path) -> Iterator[dict[str, AsyncKernelManager]]:
    """One kernel per stage, started together, warming up with its notebook's imports; `place` holds their files."""
    managers: dict[str, AsyncKernelManager] = {}
    try:
        for stage in stages:
            stop.check()
            managers[stage] = _started(stage, stop, place)
        for stage in managers:
            for left in reversed(range(STARTS)):
                stop.check()
                try:
                    _execute(stage, managers[stage], warm_up_of(notebook_of(stage)))
                    break
                except PipelineError:
                    if not left or managers[stage].transport == "ipc":
                        raise
                _end({stage: managers[stage]})
                managers[stage] = _started(stage, stop, place)
        yield managers
    finally:
        _end(managers)


def _started(stage: str, stop: Stop, place: Path) -> AsyncKernelManager:
    file = str(place / f"{stage}.json")
    transport = _transport(file)
    manager = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=own_kernels(),
        transport_encryption="auto",
        connection_file=file,
        transport=transport,
    )
    stop.kernels.append(manager)
    said = {} if transport == "ipc" else {"stderr": subprocess.DEVNULL}  # of a port that was taken it tells in 30 lines
    run_sync(manager.start_kernel)(cwd=str(paths.ROOT), env=_environment(place), **said)
    return manager


def _transport(connection_file: str) -> str:
    """How a kernel is reached: by sockets beside its file, where the system has them and their names are short enough.

    A free TCP port may be another program's before the kernel has it, which is then started again.
    """
    longest = os.fsencode(f"{connection_file.removesuffix('.json')}-ipc-99")
    return "ipc" if os.name == "posix" and len(longest) < SOCKET_NAME else "tcp"


def _environment(place: Path) -> dict[str, str]:
    """What a kernel sees: nothing that other Pythons were told, and files of its own only in `place`."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    own = {"IPYTHONDIR": str(place / "ipython"), "SURPRISE_DATA_FOLDER": str(place), "RECAB_OWNER": this_process()}
    return kept | own


def _end(managers: dict[str, AsyncKernelManager]) -> None:
    """End these kernels at once, with what they started."""
    while managers:
        _, manager = managers.popitem()
        if pid := getattr(manager.provisioner, "pid", None):
            end_with_children(pid)
        if manager.has_kernel:
            run_sync(manager.shutdown_kernel)(now=True)


def _run_in_turn(
    run: Any, params: dict[str, Any], kernels: dict[str, AsyncKernelManager], stop: Stop, known: Known
) -> Path:
    """Execute each stage's notebook into the run's folder of reports; returns the last executed copy."""
    found: dict[str, str] = {}
    folder = paths.REPORTS / RUNS / run.run_id
    folder.mkdir(parents=True)
    for stage, checked in params.items():
        stop.check()
        kernel = {stage: kernels.pop(stage)}
        if stage in known.complete:
            found[f"{stage}_run_id"] = known.complete[stage]
            print(f"recab: {stage} is complete in run {known.complete[stage]} and is reused; FRESH=1 makes all anew.")
            _end(kernel)
            continue
        notebook = notebook_of(stage)
        copy = folder / notebook.name
        values = checked.as_dict() | {k: v for k, v in found.items() if k in checked.as_dict()}
        try:
            _execute(stage, kernel[stage], f"import os; os.environ['MLFLOW_RUN_ID'] = '{run.run_id}'")
            _run_one(notebook, copy, values, kernel[stage])
        finally:
            _end(kernel)
        found[f"{stage}_run_id"] = run.run_id
    return copy


def _run_one(notebook: Path, copy: Path, values: dict[str, Any], kernel: AsyncKernelManager) -> None:
    """Execute one notebook; whatever ends it early is a PipelineError, and the copy holds how far it came."""
    name = notebook.stem
    try:
        bar = {"desc": name}
        done = pm.execute_notebook(notebook, copy, values, kernel_name="python3", km=kernel, progress_bar=bar)
    except pm.PapermillExecutionError as error:
        raise _failure(name, copy, error) from error
    except DeadKernelError as error:
        raise PipelineError(f"{_death(name, kernel)} {shown(copy)} shows how far it came.") from error
    finally:
        for drawn in list(tqdm._instances):  # papermill leaves its bar open when a disk is full
            drawn.close()
        _mask(copy)
    if skipped := [c for c in done.cells if c.cell_type == "code" and c.source and not c.execution_count]:
        raise PipelineError(f"{name} stopped early: {len(skipped)} cells never ran. See {shown(copy)}.")


def _failure(name: str, copy: Path, error: pm.PapermillExecutionError) -> PipelineError:
    """A cell's error as one line: a refusal as it was said, a machine that is not ready, or a defect of recab."""
    message = str(error.evalue).splitlines()[0] if error.evalue else ""
    said = f"{name} failed in cell {error.exec_count}: {error.ename}: {message}"
    if error.ename in REFUSALS or error.ename in OF_THE_MACHINE or "No space left" in message:
        return PipelineError(f"{said} The traceback is in {shown(copy)}.")
    return DefectError(
        f"{said} Unless you changed the notebook or brought the model, this is a defect of recab. The full log is in "
        f"{shown(copy)}; send it as CONTRIBUTING.md says."
    )


def _death(name: str, kernel: AsyncKernelManager) -> str:
    """How a kernel died, by its exit code."""
    code = run_sync(kernel.provisioner.poll)() if kernel.provisioner is not None else None
    if code == -9:
        return f"The kernel of {name} was killed (signal 9), probably out of memory. Lower n_users, or close programs."
    if code is None:
        return (
            f"The kernel of {name} did not answer in {ANSWER_S} seconds: the machine is too busy. Run it again later."
        )
    how = f"died by signal {-code}" if code < 0 else f"ended with code {code}"
    return f"The kernel of {name} {how}, most likely for want of memory. Close other programs, or lower n_users."


def _mask(copy: Path) -> None:
    """Take the password of a store out of an executed notebook, where a traceback may have quoted it."""
    from recab_helpers.tracking import masked

    if copy.exists() and masked(text := copy.read_text(encoding="utf-8")) != text:
        copy.write_text(masked(text), encoding="utf-8")


def _execute(stage: str, manager: AsyncKernelManager, code: str) -> None:
    """Send code to a kernel without waiting for it."""
    client = manager.client()
    client.start_channels()
    try:
        run_sync(client.wait_for_ready)(timeout=ANSWER_S)
        client.execute(code, silent=True, store_history=False)
    except RuntimeError as error:
        raise PipelineError(_death(stage, manager)) from error
    finally:
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
