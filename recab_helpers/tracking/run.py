"""One run that recab writes to: its metrics, parameters, tables, arrays, JSON, tags and children."""

import getpass
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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

from recab_helpers.errors import TrackingError
from recab_helpers.tracking.copies import keep, repository
from recab_helpers.tracking.owners import OWNER, PARENT, owner
from recab_helpers.tracking.store import connect, git_commit, masked, said

FIRST_ROWS = 100  # of a table, in an artifact that MLflow's own pages show
KEY_LENGTH = 200  # MLflow takes 250 characters; the mark of a changed name and a suffix fit beside it


@dataclass(frozen=True)
class Run:
    """One MLflow run that recab writes to; `stage` is train, simulate or analyze."""

    run_id: str
    stage: str
    client: mlflow.MlflowClient = field(repr=False)
    owned: bool = False  # made by the stage itself, which therefore also ends it
    own_tags: dict[str, str] = field(default_factory=dict, repr=False)  # tags that were set here, without their prefix
    datasets: dict[str, TrackedDataset] = field(default_factory=dict, repr=False)  # that were logged here, by name
    at_end: dict[str, list] | None = field(default=None, repr=False)  # what one request says at the end of `together`

    @property
    def experiment_id(self) -> str:
        """The experiment of the run."""
        return info_of(self.run_id).experiment_id

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
        self._log(metrics=metrics)

    def log_series(self, table: pd.DataFrame) -> None:
        """Log each column as a metric with the index (days from 0) as step."""
        now = int(time.time() * 1000)
        points = [
            Metric(key_of(name), float(value), now, int(step))
            for name, column in table.items()
            for step, value in zip(column.index, column, strict=True)
            if np.isfinite(value)
        ]
        self._log(metrics=points)

    def log_params(self, values: Mapping[str, Any], **tags: str) -> None:
        """Log parameters under the stage's name, as text, and what `tag` takes, in one request."""
        self._log(params=[Param(key_of(f"{self.stage}.{k}"), str(v)) for k, v in values.items()], tags=_tags(tags))

    def log_json(self, name: str, content: dict[str, Any]) -> None:
        """Log one JSON document, `<stage>/<name>.json`."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{name}.json")
            file.write_text(json.dumps(content, indent=2, default=str), encoding="utf-8")
            self._put(file)

    def log_table(self, name: str, table: pd.DataFrame | Iterator[pa.Table]) -> None:
        """Log a table as `<stage>/<name>.parquet`, with its first rows as CSV, which MLflow's own pages show.

        An iterator of tables is written one at a time, so memory stays bounded by one of them.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._put_table(_written(table, Path(folder, f"{name}.parquet")))

    def log_tables(self, **tables: pd.DataFrame) -> None:
        """Log several tables under their names."""
        for name, table in tables.items():
            self.log_table(name, table)

    def log_data(self, **tables: pd.DataFrame | Iterator[pa.Table]) -> None:
        """`log_table` of what other runs build on: each table becomes a data set, `<stage>/<name>`, of this run."""
        with tempfile.TemporaryDirectory() as folder:
            files = [_written(table, Path(folder, f"{name}.parquet")) for name, table in tables.items()]
            described = [self._described(file) for file in files]
            self.client.log_inputs(self.run_id, [DatasetInput(d) for d in described])
            self.datasets.update({d.name: d for d in described})
            for file in files:
                self._put_table(file)

    def _put_table(self, file: Path) -> None:
        """Log a Parquet file and its first rows."""
        first = file.with_suffix(".csv")
        _first_rows(file).to_csv(first)
        self._put(file)
        self._upload(first, f"{self.stage}/first_rows")

    def _put(self, file: Path) -> None:
        """Log a temporary file that later stages read, `<stage>/<name>`."""
        self._upload(file, self.stage)
        keep(file, info_of(self.run_id).artifact_uri, f"{self.run_id}/{self.stage}/{file.name}")

    def _upload(self, file: Path, folder: str | None) -> None:
        repository(info_of(self.run_id).artifact_uri).log_artifact(str(file), folder)

    def _described(self, file: Path) -> TrackedDataset:
        """The file as a data set, by its digest and schema; the rows are in the artifact."""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
        described = pq.ParquetFile(file)
        columns = {f.name: str(f.type) for f in described.schema_arrow}
        return TrackedDataset(
            name=f"{self.stage}/{file.stem}",
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
        self._upload(file, None if on_top else self.stage)

    def name(self, title: str, note: str) -> None:
        """Name the run by what it is, with a description in Markdown."""
        self._log(tags=[RunTag("mlflow.runName", title), RunTag("mlflow.note.content", note)])

    def log_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Log numpy arrays as `<stage>/<name>.npz`."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.npz"
            np.savez(file, **arrays)
            self._put(file)

    def tag(self, **tags: str) -> None:
        """Set tags of this run, named `recab.<tag>`."""
        self._log(tags=_tags(tags))
        self.own_tags.update(tags)

    def _log(self, **said: list) -> None:
        if self.at_end is None:
            self._send(said)
            return
        for kind, values in said.items():
            self.at_end.setdefault(kind, []).extend(values)

    def _send(self, said: Mapping[str, list]) -> None:
        metrics, params, tags = (said.get(kind, []) for kind in ("metrics", "params", "tags"))
        self.client.log_batch(self.run_id, metrics, params, tags)

    @contextmanager
    def together(self) -> Iterator["Run"]:
        """This run, whose metrics, parameters and tags go in one request at the end of the block, if it gets there."""
        held: dict[str, list] = {}
        yield replace(self, at_end=held)
        self._send(held)

    @contextmanager
    def child(self, name: str) -> Iterator["Run"]:
        """A child run that ends FINISHED, or FAILED when the block raises; its metrics, parameters and tags go then."""
        tags = {PARENT: self.run_id, "recab.stage": self.stage} | provenance(self.stage)
        child = Run(meet(self.client.create_run(self.experiment_id, run_name=name, tags=tags)), self.stage, self.client)
        try:
            with child.together() as held:
                yield held
        except BaseException:
            child.close("FAILED")
            raise
        child.finish()

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
            for child in self.client.search_runs([self.experiment_id], still):
                self.client.set_terminated(child.info.run_id, status)
            self.client.set_terminated(self.run_id, status)
        except (MlflowException, OSError) as error:
            return f"Its run in MLflow could not be closed ({said(error)}); the next start closes it."
        return ""


def _tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(key_of(f"recab.{k}"), str(v)) for k, v in tags.items()]


def key_of(name: Hashable) -> str:
    """The name as MLflow takes it for a metric, a parameter or a tag; one that had to change ends in a mark of its own.

    People read the name as it was typed on the page and in ab_report.json.
    """
    text = str(name)
    safe = re.sub(r"[^\w.\- ]", "_", text)[:KEY_LENGTH].strip(" .")
    return text if text and safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def provenance(name: str) -> dict[str, str]:
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


_met: dict[str, mlflow.entities.Run] = {}  # by run id, as it was when this process last heard of it


def meet(run: mlflow.entities.Run) -> str:
    """Remember what MLflow said of a run; its id."""
    _met[run.info.run_id] = run
    return run.info.run_id


def met(run_id: str) -> mlflow.entities.Run:
    """The run as this process last heard of it, which asks for it at most once; its tags may be others by now.

    Raises:
        TrackingError: there is none.
    """
    return _met[run_id] if run_id in _met else get_run(run_id)


def info_of(run_id: str) -> mlflow.entities.RunInfo:
    """What of a run never changes: its experiment and where its artifacts are."""
    return met(run_id).info


def get_run(run_id: str) -> mlflow.entities.Run:
    """The run as MLflow has it.

    Raises:
        TrackingError: there is none.
    """
    try:
        return _met[meet(connect().get_run(run_id))]
    except MlflowException as error:
        raise TrackingError(
            f"MLflow has no run {run_id!r} in {masked(mlflow.get_tracking_uri())}. Correct the run id."
        ) from error


def _first_rows(file: Path) -> pd.DataFrame:
    batch = next(pq.ParquetFile(file).iter_batches(FIRST_ROWS), None)
    return pd.DataFrame() if batch is None else batch.to_pandas()


def _written(table: pd.DataFrame | Iterator[pa.Table], file: Path) -> Path:
    if isinstance(table, pd.DataFrame):
        table.to_parquet(file)
        return file
    first = next(table)
    with pq.ParquetWriter(file, first.schema) as writer, ThreadPoolExecutor(1) as beside:
        writing = beside.submit(writer.write_table, first)
        for more in table:  # made while the one before is written
            writing.result()
            writing = beside.submit(writer.write_table, more)
        writing.result()
    return file
