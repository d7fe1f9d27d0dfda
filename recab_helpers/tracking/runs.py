"""Runs and what they hold: tables, arrays, JSON, metrics and tags, and how a stage finds the one before it."""

import atexit
import functools
import getpass
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.entities import Dataset as TrackedDataset
from mlflow.entities import DatasetInput, InputTag, LoggedModelInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from recab_helpers.errors import TrackingError
from recab_helpers.processes import PREFIX, this_process
from recab_helpers.tracking import embedded
from recab_helpers.tracking.owners import OWNER, PARENT, close_leftovers, owner
from recab_helpers.tracking.store import SERVER, SQLITE, connect, git_commit, masked, said

BATCH = 1000  # metrics in one call, the limit of MLflow
DOOR = "recab.door"  # tag of a run that is no child: what was typed
FIRST_ROWS = 100  # of a table, in an artifact that MLflow's own pages show
KEY_LENGTH = 200  # MLflow takes 250 characters; the mark of a changed name and a suffix fit beside it


@dataclass(frozen=True)
class Run:
    """One MLflow run that recab writes to; `stage` is train, simulate or analyze."""

    run_id: str
    stage: str
    client: mlflow.MlflowClient = field(repr=False)
    experiment_id: str = ""  # empty where it is not known yet
    owned: bool = False  # made by the stage itself, which therefore also ends it

    def log_metrics(
        self, values: Mapping[Any, float], *, model_id: str | None = None, on: TrackedDataset | None = None
    ) -> None:
        """Log the finite values; an undefined metric is absent, not zero.

        They are also those of the logged model `model_id`, measured `on` a data set, where these are given.
        """
        of = {"model_id": model_id}
        if on is not None:
            of |= {"dataset_name": on.name, "dataset_digest": on.digest}
        now = int(time.time() * 1000)
        metrics = [Metric(key_of(k), float(v), now, 0, **of) for k, v in values.items() if np.isfinite(v)]
        self.client.log_batch(self.run_id, metrics=metrics)

    def log_series(self, table: pd.DataFrame) -> None:
        """Log each column as a metric with the index (days from 0) as step."""
        now = int(time.time() * 1000)
        points = [
            Metric(key_of(name), float(value), now, int(step))
            for name, column in table.items()
            for step, value in zip(column.index, column, strict=True)
            if np.isfinite(value)
        ]
        for start in range(0, len(points), BATCH):
            self.client.log_batch(self.run_id, metrics=points[start : start + BATCH])

    def log_params(self, values: dict[str, Any]) -> None:
        """Log parameters under the stage's name, as text for people and as JSON for loading back."""
        params = [Param(key_of(f"{self.stage}.{k}"), str(v)) for k, v in values.items()]
        self.client.log_batch(self.run_id, params=params)
        self.log_json("parameters", values)

    def log_json(self, name: str, content: dict[str, Any]) -> None:
        """Log one JSON document, `<stage>/<name>.json`."""
        self.client.log_dict(self.run_id, content, f"{self.stage}/{name}.json")

    def log_table(self, name: str, table: pd.DataFrame | Iterator[pa.Table]) -> None:
        """Log a table as `<stage>/<name>.parquet`, with its first rows as CSV, which MLflow's own pages show.

        An iterator of tables is written one at a time, so memory stays bounded by one of them.
        """
        self._log_table(name, table)

    def log_tables(self, **tables: pd.DataFrame) -> None:
        """Log several tables under their names."""
        for name, table in tables.items():
            self.log_table(name, table)

    def log_data(self, name: str, table: pd.DataFrame | Iterator[pa.Table]) -> None:
        """`log_table` of data that other runs build on: the table becomes a data set, `<stage>/<name>`, of this run."""
        self._log_table(name, table, is_data=True)

    def _log_table(self, name: str, table: pd.DataFrame | Iterator[pa.Table], *, is_data: bool = False) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file, first = Path(folder, f"{name}.parquet"), Path(folder, f"{name}.csv")
            if isinstance(table, pd.DataFrame):
                table.to_parquet(file)
            else:
                _write_chunks(file, table)
            if is_data:
                self.client.log_inputs(self.run_id, [DatasetInput(self._described(name, file))])
            self.client.log_artifact(self.run_id, str(file), self.stage)
            _first_rows(file).to_csv(first)
            self.client.log_artifact(self.run_id, str(first), f"{self.stage}/first_rows")

    def _described(self, name: str, file: Path) -> TrackedDataset:
        """The file as a data set, by its digest and schema; the rows are in the artifact."""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
        described = pq.ParquetFile(file)
        columns = {f.name: str(f.type) for f in described.schema_arrow}
        return TrackedDataset(
            name=f"{self.stage}/{name}",
            digest=digest,
            source_type="mlflow_artifact",
            source=json.dumps({"uri": f"runs:/{self.run_id}/{self.stage}/{file.name}"}),
            schema=json.dumps(columns),
            profile=json.dumps({"num_rows": described.metadata.num_rows}),
        )

    def log_inputs(self, datasets: Mapping[str, TrackedDataset], model_ids: Iterable[str] = ()) -> None:
        """Name the data sets, by what they are used for, and the logged models that this run builds on."""
        inputs = [DatasetInput(d, [InputTag("mlflow.data.context", used)]) for used, d in datasets.items()]
        models = [LoggedModelInput(model_id) for model_id in dict.fromkeys(model_ids)]
        if inputs or models:
            self.client.log_inputs(self.run_id, inputs, models)

    def log_file(self, file: Path, *, on_top: bool = False) -> None:
        """Log a finished file, `<stage>/<name>`, or above all folders, where a reader of the run looks first."""
        self.client.log_artifact(self.run_id, str(file), None if on_top else self.stage)

    def name(self, title: str, note: str) -> None:
        """Name the run by what it is, with a description in Markdown."""
        self.client.log_batch(self.run_id, tags=[RunTag("mlflow.runName", title), RunTag("mlflow.note.content", note)])

    def log_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Log numpy arrays as `<stage>/<name>.npz`."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.npz"
            np.savez(file, **arrays)
            self.client.log_artifact(self.run_id, str(file), self.stage)

    def tag(self, **tags: str) -> None:
        """Set tags of this run, named `recab.<tag>`."""
        self.client.log_batch(self.run_id, tags=[RunTag(key_of(f"recab.{k}"), str(v)) for k, v in tags.items()])

    @contextmanager
    def child(self, name: str) -> Iterator["Run"]:
        """A child run that ends FINISHED, or FAILED when the block raises."""
        tags = {PARENT: self.run_id, "recab.stage": self.stage} | _provenance(self.stage)
        made = self.client.create_run(self._experiment(), run_name=name, tags=tags)
        child = Run(made.info.run_id, self.stage, self.client, made.info.experiment_id)
        try:
            yield child
        except BaseException:
            child.close("FAILED")
            raise
        self.client.set_terminated(child.run_id, "FINISHED")

    def complete(self) -> None:
        """Say that the stage is whole: the last call of a stage."""
        self.tag(**{self.stage: "complete"})
        if self.owned:
            self.finish()

    def finish(self) -> None:
        """End the run as FINISHED."""
        self.client.set_terminated(self.run_id, "FINISHED")

    def close(self, status: str) -> str:
        """End the run, and its children that still run, as FAILED or KILLED; says why where it could not.

        It raises nothing: what made the run fail is what a person has to read, and the next start closes the rest.
        """
        still = f"tags.`{PARENT}` = '{self.run_id}' and attributes.status = 'RUNNING'"
        try:
            for child in self.client.search_runs([self._experiment()], still):
                self.client.set_terminated(child.info.run_id, status)
            self.client.set_terminated(self.run_id, status)
        except (MlflowException, OSError) as error:
            return f"Its run in MLflow could not be closed ({said(error)}); the next start closes it."
        return ""

    def _experiment(self) -> str:
        return self.experiment_id or _info(self.run_id).experiment_id


def start_run(experiment: str, name: str) -> Run:
    """A new parent run in the experiment, which is made when it does not exist; closes what dead processes left."""
    client = connect()
    close_leftovers(client)
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
    run = client.create_run(experiment_id, run_name=name, tags=_provenance(name) | {DOOR: name})
    return Run(run.info.run_id, name, client, experiment_id, owned=True)


def _provenance(name: str) -> dict[str, str]:
    """The tags of a new run that say who makes it, by which command, from which commit."""
    commit = {"mlflow.source.git.commit": known} if (known := git_commit()) else {}
    commit |= {"mlflow.user": user} if (user := this_user()) else {}
    return {OWNER: owner(), "mlflow.source.name": f"make {name}", "mlflow.source.type": "LOCAL"} | commit


def this_user() -> str:
    """The name of whoever runs this process; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


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
    run.log_params(values)
    known = json.dumps([inputs, values], sort_keys=True)
    run.tag(**inputs, **{f"{stage}.inputs": hashlib.sha256(known.encode()).hexdigest()[:16]})
    return run


def find_stage(stage: str, experiment: str, run_id: str = "") -> str:
    """The run id of a complete stage: the given one, or the newest of the experiment.

    Raises:
        TrackingError: there is none, or the given run has not completed the stage.
    """
    client = connect()
    if run_id:
        if _tags(client, run_id).get(f"recab.{stage}") != "complete":
            raise TrackingError(f"Run {run_id} has not completed {stage}. Run `make {stage}`, or name another run.")
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
    return newest[0].info.run_id


def run_before(run: Run) -> mlflow.entities.Run | None:
    """The newest earlier run of the same door in the same experiment, whatever became of it and of its name."""
    same = f"tags.`{DOOR}` = '{run.stage}' and attributes.run_id != '{run.run_id}'"
    found = run.client.search_runs([run.experiment_id], same, order_by=["attributes.start_time DESC"], max_results=1)
    return found[0] if found else None


def datasets_of(run_id: str) -> dict[str, TrackedDataset]:
    """The data sets that the run logged, by name: `train/held_out`, `simulate/impressions`."""
    inputs = _get_run(connect(), run_id).inputs
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
    stage = name.rpartition("/")[0]
    if not any(a.path == f"{name}.npz" for a in connect().list_artifacts(run_id, stage)):
        return None
    with np.load(artifact(run_id, f"{name}.npz")) as stored:
        return dict(stored)


def run_tags(run_id: str) -> dict[str, str]:
    """Tags of the run that recab set, without their `recab.` prefix."""
    return _ours(_tags(connect(), run_id))


def _ours(tags: Mapping[str, str]) -> dict[str, str]:
    return {k.removeprefix("recab."): v for k, v in tags.items() if k.startswith("recab.")}


def artifact(run_id: str, path: str) -> Path:
    """Where an artifact can be read: in its own place, or a copy that is fetched once and gone with this process."""
    absent = TrackingError(f"Run {run_id} has no readable artifact {path}. Run its stage again.")
    home = _info(run_id).artifact_uri
    if is_local_uri(home):
        file = Path(local_file_uri_to_path(home), path)
        if not file.exists():
            raise absent
        return file
    copy = _fetched() / run_id / path
    try:
        if not copy.exists():  # what was fetched lies below its folder, by its name or by its path, as the store likes
            shutil.move(connect().download_artifacts(run_id, path, str(_made(copy.parent))), copy)
    except (MlflowException, OSError) as error:
        raise absent from error
    return copy


def key_of(name: Hashable) -> str:
    """The name as MLflow takes it for a metric, a parameter or a tag; one that had to change ends in a mark of its own.

    People read the name as it was typed on the page and in ab_report.json.
    """
    text = str(name)
    safe = re.sub(r"[^\w.\- ]", "_", text)[:KEY_LENGTH].strip(" .")
    return text if text and safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


@functools.cache
def _fetched() -> Path:
    folder = Path(tempfile.gettempdir(), f"{PREFIX}{this_process()}")  # the next start clears it, whatever ends this
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def _info(run_id: str) -> mlflow.entities.RunInfo:
    """What of a run never changes: its experiment and where its artifacts are."""
    return _get_run(connect(), run_id).info


def _tags(client: mlflow.MlflowClient, run_id: str) -> dict[str, str]:
    return _get_run(client, run_id).data.tags


def _get_run(client: mlflow.MlflowClient, run_id: str) -> mlflow.entities.Run:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise TrackingError(
            f"MLflow has no run {run_id!r} in {masked(mlflow.get_tracking_uri())}. Correct the run id."
        ) from error


def _first_rows(file: Path) -> pd.DataFrame:
    batch = next(pq.ParquetFile(file).iter_batches(FIRST_ROWS), None)
    return pd.DataFrame() if batch is None else batch.to_pandas()


def _write_chunks(file: Path, tables: Iterator[pa.Table]) -> None:
    first = next(tables)
    with pq.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)
