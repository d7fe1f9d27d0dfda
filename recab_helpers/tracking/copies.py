"""Artifacts that lie on a server, read on this machine where a kernel of the same command logged or fetched them."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.uri import is_local_uri

from recab_helpers.processes import PREFIX, this_process
from recab_helpers.tracking.owners import owner
from recab_helpers.tracking.store import connect


@functools.lru_cache(maxsize=64)
def repository(home: str) -> ArtifactRepository:
    """What holds the artifacts of a run or model whose address is known; the client would ask for it."""
    return get_artifact_repository(home, tracking_uri=connect().tracking_uri)


def keep(logged: Path, home: str, name: str) -> None:
    """Move a file or folder that was logged to a server to where the later kernels of the same command read it.

    Where it lies on this machine already, or where no other kernel follows, it stays for its owner to remove.
    """
    folder = _of_the_command()
    if folder is not None and not is_local_uri(home):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(logged, folder / name)


def copy_of(name: str) -> Path:
    """Where the copy of `<run id>/<path>` or `models/<id>` lies, if there is one."""
    return (_of_the_command() or _of_this_process()) / name


def _of_the_command() -> Path | None:
    """In the temporary place that a command shares with its kernels, and that goes with it; None outside of one."""
    place = Path(tempfile.gettempdir())
    return place / "artifacts" if place.name == f"{PREFIX}{owner()}" else None


@functools.cache
def _of_this_process() -> Path:
    folder = Path(tempfile.gettempdir(), f"{PREFIX}{this_process()}")  # the next start clears it, whatever ends this
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
