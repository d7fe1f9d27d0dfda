"""The only door to MLflow: runs, tables, models and how they are found again.

One parent run holds the stages of a pipeline run; its children are one per trained model, one per simulated
variant and one for the analysis. A stage is complete when its tag says so, which is the very last call; a
run's own status does not prove that.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_LOG_UV_FILES", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")  # at 10% of failures one request of 100,000 fails
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")  # 0, 2, 4 and 8 s, so a dead server is named in 18
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from recab_helpers.errors import TrackingError
from recab_helpers.tracking.addresses import addresses_of, model_ids, resolve
from recab_helpers.tracking.artifacts import artifact, load_arrays, load_json, load_table, load_tables
from recab_helpers.tracking.authors import author_of, author_of_run, check_names_are_ours, check_of_this_store
from recab_helpers.tracking.champion import check_promotable, set_champion
from recab_helpers.tracking.loading import RegisteredModel, as_served, load_model
from recab_helpers.tracking.owners import HANDED_ON, PARENT, owner
from recab_helpers.tracking.registering import log_model, registry_prefix
from recab_helpers.tracking.run import Run, key_of, this_user
from recab_helpers.tracking.runs import (
    address_of,
    datasets_of,
    file_as_dataset,
    find_stage,
    run_before,
    run_tags,
    start_run,
    start_stage,
    tagged,
)
from recab_helpers.tracking.store import STORE, connect, git_commit, masked, take_password_from_address

__all__ = [
    "HANDED_ON",
    "PARENT",
    "STORE",
    "RegisteredModel",
    "Run",
    "TrackingError",
    "address_of",
    "addresses_of",
    "artifact",
    "as_served",
    "author_of",
    "author_of_run",
    "check_names_are_ours",
    "check_of_this_store",
    "check_promotable",
    "connect",
    "datasets_of",
    "file_as_dataset",
    "find_stage",
    "git_commit",
    "key_of",
    "load_arrays",
    "load_json",
    "load_model",
    "load_table",
    "load_tables",
    "log_model",
    "masked",
    "model_ids",
    "owner",
    "registry_prefix",
    "resolve",
    "run_before",
    "run_tags",
    "set_champion",
    "start_run",
    "start_stage",
    "tagged",
    "take_password_from_address",
    "this_user",
]
