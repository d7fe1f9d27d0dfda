"""What a run holds, read back: tables, arrays and JSON, from their own place or a copy that is fetched once."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from recab_helpers.errors import TrackingError
from recab_helpers.tracking.copies import copy_of, repository
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
    if not copy_of(f"{run_id}/{name}.npz").exists():
        logged = repository(info_of(run_id).artifact_uri).list_artifacts(stage)
        if not any(Path(a.path).name == f"{file}.npz" for a in logged):
            return None
    with np.load(artifact(run_id, f"{name}.npz")) as stored:
        return dict(stored)


def artifact(run_id: str, path: str) -> Path:
    """Where an artifact can be read: in its own place, or a copy that is fetched once and gone with this process."""
    copy = copy_of(f"{run_id}/{path}")
    if copy.exists():
        return copy
    absent = TrackingError(f"Run {run_id} has no readable artifact {path}. Run its stage again.")
    home = info_of(run_id).artifact_uri
    if is_local_uri(home):
        file = Path(local_file_uri_to_path(home), path)
        if not file.exists():
            raise absent
        return file
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:  # what was fetched lies below its folder, by its name or by its path, as the store likes
        shutil.move(download_artifacts(f"{home}/{path}", dst_path=str(copy.parent)), copy)
    except (MlflowException, OSError) as error:
        raise absent from error
    return copy
