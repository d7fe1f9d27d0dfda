"""Where runs and models are kept: a server that is named, else the SQLite store of the project folder."""

import logging
import os
import subprocess

import mlflow
import requests

from recab_helpers.errors import TrackingError
from recab_helpers.paths import ROOT

STORE = f"sqlite:///{ROOT / 'mlflow.db'}"
ARTIFACTS = ROOT / "mlartifacts"
HEALTH_TIMEOUT_S = 5

logging.getLogger("mlflow").setLevel(logging.ERROR)


def connect() -> mlflow.MlflowClient:
    """A client of the store that MLFLOW_TRACKING_URI names, else of the SQLite store in the project folder.

    Raises:
        TrackingError: the server that MLFLOW_TRACKING_URI names does not answer within HEALTH_TIMEOUT_S seconds.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or STORE
    if uri.startswith(("http://", "https://")):
        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=HEALTH_TIMEOUT_S).raise_for_status()
        except requests.RequestException as error:
            raise TrackingError(
                f"The MLflow server {uri} does not answer ({type(error).__name__}). Start it, correct "
                "MLFLOW_TRACKING_URI, or unset it to use the store in the project folder."
            ) from error
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient()


def git_commit() -> str:
    """The commit of the project folder, with + when there are changes; empty outside a checkout."""
    try:
        described = [
            "git",
            "-C",
            str(ROOT),
            "describe",
            "--always",
            "--abbrev=12",
            "--dirty=+",
            "--exclude=*",
        ]
        return subprocess.run(described, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
