"""The SQLite store of a folder: whole or not there, of this MLflow's version, with its artifacts beside it."""

import hashlib
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from recab_helpers.errors import TrackingError

ARTIFACTS = "mlartifacts"  # folder beside the store
LOCATIONS = {  # where MLflow writes absolute addresses of artifacts
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
ODD = frozenset("%?#")  # in a folder's name, MLflow and SQLAlchemy read these as part of an address
WAIT_S = 600


def prepare(file: Path) -> Path:
    """The store ready for MLflow, made when it is not there; its path, free of characters that MLflow misreads.

    A new store is made whole beside its place under an operating-system lock, which a dead process cannot hold, and
    renamed: whatever dies on the way leaves none. Where the folder was copied or moved, the addresses of its artifacts
    are rewritten, so that they hold inside the folder that is used.

    Raises:
        TrackingError: the store cannot be made here, is not whole, or belongs to another MLflow.
    """
    file = _plain(file.parent) / file.name
    try:
        if not _there(file):
            _make(file)
        with closing(sqlite3.connect(file, timeout=60)) as database:
            _check(file, database)
            _adopt(file, database)
    except sqlite3.DatabaseError as error:
        raise _not_whole(file, str(error)) from error
    except OSError as error:
        raise TrackingError(
            f"The MLflow store {file} cannot be used ({error.strerror or error}). Make its folder writable, or name "
            "another store: MLFLOW_TRACKING_URI=sqlite:////path/to/mlflow.db."
        ) from error
    return file


def artifacts_of(file: Path) -> Path:
    """The folder of a store's artifacts."""
    return file.parent / ARTIFACTS


def _there(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0  # SQLite's first touch leaves an empty file


def _make(file: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with _locked(file, "is making the MLflow store"):
        if _there(file):
            return
        part = file.with_name(f"{file.name}.making")
        for left in file.parent.glob(f"{part.name}*"):
            left.unlink()
        SqlAlchemyStore(f"sqlite:///{part}", artifacts_of(file).as_uri())._dispose_engine()
        part.replace(file)


def _check(file: Path, database: sqlite3.Connection) -> None:
    """Refuse what is not a whole store of this MLflow, with the way out."""
    import mlflow.store.model_registry.dbmodels.models
    import mlflow.store.tracking.dbmodels.models  # noqa: F401  # both fill the list of tables
    from alembic.script import ScriptDirectory
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.db.utils import _get_alembic_config

    script = ScriptDirectory.from_config(_get_alembic_config(""))
    tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    if "alembic_version" not in tables:
        raise _not_whole(file, "it holds no version")
    version = next((v for (v,) in database.execute("select version_num from alembic_version")), "none")
    if version == script.get_current_head():
        if missing := sorted(set(Base.metadata.tables) - tables):
            raise _not_whole(file, f"it lacks the table {missing[0]}")
        return
    if version not in {revision.revision for revision in script.walk_revisions()}:
        raise TrackingError(
            f"The MLflow store {file} was made by another, newer MLflow (schema {version}). Use that version, or move "
            f"it away: mv {file.name} {file.name}.newer."
        )
    if "runs" not in tables or not database.execute("select count(*) from runs").fetchone()[0]:
        raise _not_whole(file, f"it stopped at version {version} and holds no run")
    raise TrackingError(
        f"The MLflow store {file} was made by an older MLflow (schema {version}). Keep a copy of it, then run: "
        f"{sys.executable} -m mlflow db upgrade 'sqlite:///{file}'"
    )


def _not_whole(file: Path, why: str) -> TrackingError:
    return TrackingError(
        f"The MLflow store {file} is not whole ({why}): it was cut, or killed while it was made. Put a copy of it "
        f"back, or move it away, and the next run makes a new one: mv '{file}' '{file}.broken'"
    )


def _adopt(file: Path, database: sqlite3.Connection) -> None:
    """Let every artifact address that held beside this store, wherever it stood, hold beside it here."""
    here = artifacts_of(file).as_uri()
    known = {str(location) for (location,) in database.execute("select artifact_location from experiments")}
    roots = {str(PurePosixPath(k).parent).replace("file:/", "file:///", 1) for k in known if k.startswith("file:///")}
    moved = sorted(r for r in roots - {here} if r.endswith(f"/{ARTIFACTS}"))
    if not moved:
        return
    with _locked(file, "moves the addresses of the MLflow store"), database:
        for root in moved:
            for table, columns in LOCATIONS.items():
                for column in columns:
                    database.execute(
                        f"update {table} set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ?",
                        (here, len(root) + 1, len(root) + 1, f"{root}/"),
                    )
    print(
        "recab: this folder was copied or moved; its runs now read and write the artifacts inside it.", file=sys.stderr
    )


def _plain(folder: Path) -> Path:
    """The folder, or a link to it from the user's cache where its name holds what MLflow reads as an address."""
    if not ODD & set(str(folder)):
        return folder
    link = Path.home() / ".cache" / "recab" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(folder, target_is_directory=True)
    except OSError as error:
        raise TrackingError(
            f"The folder {folder} has one of {' '.join(sorted(ODD))} in its name, which MLflow cannot hold, and no "
            f"link to it can be made at {link} ({error.strerror}). Rename the folder."
        ) from error
    return link


@contextmanager
def _locked(file: Path, busy_with: str) -> Iterator[None]:
    """Hold the store's lock; says what another run does while it waits for it."""
    lock = FileLock(f"{file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"recab: another run {busy_with} {file.name}; waiting for it.", file=sys.stderr, flush=True)
        try:
            lock.acquire(timeout=WAIT_S)
        except Timeout as error:
            raise TrackingError(f"Another run {busy_with} {file} since {WAIT_S} s. End it, and try again.") from error
    try:
        yield
    finally:
        lock.release()
