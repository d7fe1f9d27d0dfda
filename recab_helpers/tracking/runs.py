"""Runs of the store: how a stage begins one, finds the one before it, and reads its tags."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow.entities import Dataset as TrackedDataset
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from recab_helpers.errors import TrackingError
from recab_helpers.tracking import embedded
from recab_helpers.tracking.owners import close_leftovers
from recab_helpers.tracking.run import Run, get_run, meet, met, provenance
from recab_helpers.tracking.store import SERVER, SQLITE, connect

DOOR = "recab.door"  # tag of a run that is no child: what was typed


def start_run(experiment: str, name: str) -> Run:
    """A new parent run in the experiment, which is made when it does not exist; closes what dead processes left."""
    client = connect()
    there = client.search_experiments(ViewType.ALL)
    close_leftovers(client, [e.experiment_id for e in there if e.lifecycle_stage == "active"])
    found = next((e for e in there if e.name == experiment), None)
    if found is None and there.token:  # these are not all
        found = client.get_experiment_by_name(experiment)
    if found is None:
        experiment_id = _make_experiment(client, experiment)
    elif found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"The MLflow experiment {experiment} was deleted. Restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or name another: experiment=NAME."
        )
    else:
        experiment_id = found.experiment_id
    run = client.create_run(experiment_id, run_name=name, tags=provenance(name) | {DOOR: name})
    return Run(meet(run), name, client, owned=True)


def _make_experiment(client: mlflow.MlflowClient, experiment: str) -> str:
    """The id of a new experiment, or of the one that another run has made meanwhile."""
    try:
        return client.create_experiment(experiment, artifact_location=_artifact_location(experiment))
    except MlflowException:
        found = client.get_experiment_by_name(experiment)
        if found is None:
            raise
        return found.experiment_id


def _artifact_location(experiment: str) -> str | None:
    """A folder beside a SQLite store, whatever the working directory; a server chooses its own."""
    uri = mlflow.get_tracking_uri()
    if not uri.startswith(SQLITE):
        return None
    return (embedded.artifacts_of(Path(uri.removeprefix(SQLITE))) / experiment).as_uri()


def start_stage(stage: str, params, inputs: dict[str, str]) -> Run:
    """The run of a stage: the one that MLFLOW_RUN_ID names (the pipeline's), else a new one.

    `inputs` are what the stage builds on (a data hash, the run ids of earlier stages); they and the
    parameters are logged, and their hash becomes a tag.
    """
    given = os.environ.get("MLFLOW_RUN_ID")
    run = Run(given, stage, connect()) if given else start_run(params.experiment, stage)
    values = params.as_dict()
    known = json.dumps([inputs, values], sort_keys=True)
    run.log_params(values, **inputs, **{f"{stage}.inputs": hashlib.sha256(known.encode()).hexdigest()[:16]})
    run.log_json("parameters", values)
    return run


def find_stage(stage: str, experiment: str, run_id: str = "") -> str:
    """The run id of a complete stage: the given one, or the newest of the experiment.

    Raises:
        TrackingError: there is none, or the given run has not completed the stage.
    """
    client = connect()
    if run_id:
        if get_run(run_id).data.tags.get(f"recab.{stage}") != "complete":
            raise TrackingError(f"Run {run_id} has not completed {stage}. Run `make {stage}`, or name another run.")
        _complete.add(run_id)
        return run_id
    found = client.get_experiment_by_name(experiment)
    newest = found and client.search_runs(
        [found.experiment_id],
        filter_string=f"tags.`recab.{stage}` = 'complete'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if not newest:
        raise TrackingError(
            f"No run of experiment {experiment} has completed {stage}. Run `make {stage}` (or the notebook) first."
        )
    _complete.add(meet(newest[0]))
    return newest[0].info.run_id


_complete: set[str] = set()  # runs that `find_stage` found; what their complete stage says changes no more


def _settled(run_id: str) -> mlflow.entities.Run:
    """The run as MLflow has it; one that `find_stage` found, as it was then."""
    return met(run_id) if run_id in _complete else get_run(run_id)


def run_before(run: Run) -> mlflow.entities.Run | None:
    """The newest earlier run of the same door in the same experiment, whatever became of it and of its name."""
    same = f"tags.`{DOOR}` = '{run.stage}' and attributes.run_id != '{run.run_id}'"
    found = run.client.search_runs([run.experiment_id], same, order_by=["attributes.start_time DESC"], max_results=1)
    return found[0] if found else None


def datasets_of(run_id: str) -> dict[str, TrackedDataset]:
    """The data sets that the run logged, by name: `train/held_out`, `simulate/impressions`."""
    inputs = _settled(run_id).inputs
    return {i.dataset.name: i.dataset for i in inputs.dataset_inputs} if inputs else {}


def file_as_dataset(file: Path, digest: str, rows: int) -> TrackedDataset:
    """A recorded log as a data set; of its path only the name, since stores are shared."""
    return TrackedDataset(
        name=file.name,
        digest=digest,
        source_type="local",
        source=json.dumps({"uri": file.name}),
        profile=json.dumps({"num_rows": rows}),
    )


def address_of(client: mlflow.MlflowClient, experiment_id: str, run_id: str = "") -> str:
    """Where MLflow's pages show an experiment, or a run of it; of a store without a server, at that of `make server`.

    MLflow opens an experiment in its GenAI view unless the address says otherwise.
    """
    uri = client.tracking_uri
    root = uri.rstrip("/") if uri.startswith("http") else SERVER
    return f"{root}/#/experiments/{experiment_id}/runs{run_id and '/'}{run_id}?workflowType=machine_learning"


def tagged(experiment: str, tag: str) -> list[tuple[dict[str, float], dict[str, str]]]:
    """Metrics and tags of the finished runs that recab gave this tag, newest first; tags without their prefix."""
    client = connect()
    if (where := client.get_experiment_by_name(experiment)) is None:
        return []
    runs = client.search_runs(
        [where.experiment_id],
        f"attributes.status = 'FINISHED' and tags.`recab.{tag}` != ''",
        order_by=["attributes.start_time DESC"],
    )
    return [(dict(run.data.metrics), _ours(run.data.tags)) for run in runs]


def run_tags(run_id: str) -> dict[str, str]:
    """Tags of the run that recab set, without their `recab.` prefix."""
    return _ours(_settled(run_id).data.tags)


def _ours(tags: Mapping[str, str]) -> dict[str, str]:
    return {k.removeprefix("recab."): v for k, v in tags.items() if k.startswith("recab.")}
