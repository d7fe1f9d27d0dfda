"""What a run holds, read back: tables, arrays and JSON, from their own place or a copy that is fetched once."""

import atexit
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from recab_helpers.errors import TrackingError
from recab_helpers.processes import PREFIX, this_process
from recab_helpers.tracking.run import info_of


def load_table(run_id: str, name: str) -> pd.DataFrame:
    """Read a logged table back; `name` is `<stage>/<name>`."""
    return pd.read_parquet(artifact(run_id, f"{name}.parquet"))


def load_tables(run_id: str, stage: str, *names: str) -> dict[str, pd.DataFrame]:
    """Several tables of a stage by name."""
    return {name: load_table(run_id, f"{stage}/{name}") for name in names}


def load_json(run_id: str, name: str) -> dict[str, Any]:
    """Read a logged JSON document back."""
    return json.loads(artifact(run_id, f"{name}.json").read_text())


def load_arrays(run_id: str, name: str) -> dict[str, np.ndarray] | None:
    """Read logged arrays back, or None when the run has none of that name."""
    stage, _, file = name.rpartition("/")
    if not any(Path(a.path).name == f"{file}.npz" for a in list_artifacts(f"{info_of(run_id).artifact_uri}/{stage}")):
        return None
    with np.load(artifact(run_id, f"{name}.npz")) as stored:
        return dict(stored)


def artifact(run_id: str, path: str) -> Path:
    """Where an artifact can be read: in its own place, or a copy that is fetched once and gone with this process."""
    absent = TrackingError(f"Run {run_id} has no readable artifact {path}. Run its stage again.")
    home = info_of(run_id).artifact_uri
    if is_local_uri(home):
        file = Path(local_file_uri_to_path(home), path)
        if not file.exists():
            raise absent
        return file
    copy = _fetched() / run_id / path
    try:
        if not copy.exists():  # what was fetched lies below its folder, by its name or by its path, as the store likes
            shutil.move(download_artifacts(f"{home}/{path}", dst_path=str(_made(copy.parent))), copy)
    except (MlflowException, OSError) as error:
        raise absent from error
    return copy


@functools.cache
def _fetched() -> Path:
    folder = Path(tempfile.gettempdir(), f"{PREFIX}{this_process()}")  # the next start clears it, whatever ends this
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
