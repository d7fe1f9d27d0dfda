"""Where runs and models are kept: a server that is named, else the SQLite store of the project folder."""

import functools
import logging
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import requests
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy.engine import make_url

from recab_helpers.errors import TrackingError
from recab_helpers.paths import ROOT
from recab_helpers.tracking import embedded
from recab_helpers.tracking.owners import HANDED_ON

HOST, PORT = "127.0.0.1", 8080
SERVER = f"http://{HOST}:{PORT}"  # of `make server`
FILE = ROOT / "mlflow.db"
STORE = f"sqlite:///{FILE}"
HEALTH_TIMEOUT_S = 5
SQLITE = "sqlite:///"
SHORTEST_SECRET = 4  # a shorter one would take whole words apart; in an address it is masked all the same
DATABASES = ("postgresql", "mysql", "mssql")
SHAPES = "http://HOST:PORT, sqlite:////FOLDER/mlflow.db or postgresql://USER@HOST/NAME"

logging.getLogger("mlflow").setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db").setLevel(logging.CRITICAL)  # a traceback of what it also raises
logging.getLogger("alembic").setLevel(logging.ERROR)


def connect() -> mlflow.MlflowClient:
    """The one client of the store that MLFLOW_TRACKING_URI names, else of the SQLite store in the project folder.

    The first call of a process makes or checks the store; the later ones cost nothing.

    Raises:
        TrackingError: the address is none, its server does not answer or lets nobody in, or the store is not whole.
    """
    take_password_from_address()
    client = _open(os.environ.get("MLFLOW_TRACKING_URI") or STORE)
    if {mlflow.get_tracking_uri(), mlflow.get_registry_uri()} != {client.tracking_uri}:  # either may be inherited
        mlflow.set_tracking_uri(client.tracking_uri)
        mlflow.set_registry_uri(client.tracking_uri)
    return client


def take_password_from_address() -> None:
    """Move the user and password of a server's address to the variables where MLflow looks for them.

    No error, notebook or traceback can then print them, whoever writes it; kernels inherit the variables.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    parts = _split(uri)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(user), unquote(password)
    os.environ["MLFLOW_TRACKING_URI"] = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def masked(text: str) -> str:
    """The text without the password of the store, which a database's driver may have quoted in its error."""
    parts = _split(os.environ.get("MLFLOW_TRACKING_URI", ""))
    known = {os.environ.get(f"MLFLOW_TRACKING_{kind}", "") for kind in ("PASSWORD", "TOKEN")}
    if "@" in parts.netloc:
        password = parts.netloc.rpartition("@")[0].partition(":")[2]
        known |= {password, unquote(password)}
    for secret in sorted((k for k in known if len(k) >= SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(secret, "***")
    return re.sub(r"(://[^/:@\s]*):[^/@\s]*@", r"\1:***@", text)


@functools.cache
def _open(uri: str) -> mlflow.MlflowClient:
    scheme = _checked_scheme(uri)
    if scheme == "sqlite":
        uri = f"{SQLITE}{embedded.prepare(Path(uri.removeprefix(SQLITE)))}"
    elif scheme.startswith("http"):
        _probe(uri)
    client = mlflow.MlflowClient(uri, uri)
    if os.environ.get(HANDED_ON):  # the command asked before it had a kernel do anything
        return client
    try:
        client.search_experiments(max_results=1)
    except (mlflow.MlflowException, requests.RequestException) as error:
        raise TrackingError(
            refused(error) or f"The MLflow store {masked(uri)} cannot be read: {said(error)}"
        ) from error
    return client


def _checked_scheme(uri: str) -> str:
    """The scheme of an address that recab can use; any other is refused with the right spelling."""
    shown = f"MLFLOW_TRACKING_URI is {masked(uri)!r}"
    scheme, _, rest = uri.partition("://")
    if scheme == "sqlite":
        path = Path(uri.removeprefix(SQLITE))
        if not uri.startswith(SQLITE) or not path.is_absolute():
            right = path.resolve() if uri.startswith(SQLITE) else Path("/", rest)
            raise TrackingError(f"{shown}, a relative path. Write it whole: {SQLITE}{right}.")
        return scheme
    if scheme in ("http", "https") and rest.strip("/"):
        return scheme
    if scheme.partition("+")[0] in DATABASES:
        try:
            make_url(uri).get_dialect().import_dbapi()
        except ModuleNotFoundError as error:
            raise TrackingError(f"{shown}, but its driver is not installed. Run: pip install {error.name}.") from error
        return scheme
    if uri.startswith("file:") or ("://" not in uri and "/" in uri and not uri.endswith(".db")):
        raise TrackingError(f"{shown}, a folder, which holds no registry of models. Write sqlite:////FOLDER/mlflow.db.")
    if not rest and uri.endswith((".db", ".sqlite")):
        raise TrackingError(f"{shown}, which names no kind of store. Write {SQLITE}{Path(uri).resolve()}.")
    if not rest and ":" in uri and uri.rpartition(":")[2].strip("/").isdigit():
        raise TrackingError(f"{shown}, which names no protocol. Write http://{uri}.")
    raise TrackingError(f"{shown}, which recab cannot use. Write {SHAPES}, or unset it for the project's own store.")


def _probe(uri: str) -> None:
    """Ask once whether the server is there, with the retries of any request but no long pauses between them."""
    try:
        answer = http_request(get_default_host_creds(uri), "/health", "GET", timeout=HEALTH_TIMEOUT_S, backoff_factor=0)
    except (mlflow.MlflowException, requests.RequestException) as error:
        raise TrackingError(no_answer(uri, f"does not answer ({_kind(error)})")) from error
    if answer.status_code in (401, 403):
        raise TrackingError(refused(answer.status_code))
    if not answer.ok:
        raise TrackingError(no_answer(uri, f"answers {answer.status_code} to /health, so it is no MLflow server"))


def no_answer(uri: str, what: str) -> str:
    """The sentence for a server that is not there."""
    return (
        f"The MLflow server {masked(uri)} {what}. Start it, correct MLFLOW_TRACKING_URI, or unset it to use the store "
        "in the project folder."
    )


def refused(error: Exception | int) -> str:
    """The sentence for a server that lets nobody in; empty for any other error."""
    code = error if isinstance(error, int) else getattr(error, "get_http_status_code", lambda: 0)()
    if code not in (401, 403):
        return ""
    uri = masked(os.environ.get("MLFLOW_TRACKING_URI", ""))
    why = "does not know the user or password (401)" if code == 401 else "does not allow this user to (403)"
    return (
        f"The MLflow server {uri} {why}. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        "MLFLOW_TRACKING_TOKEN."
    )


def said(error: Exception) -> str:
    """The first line of what MLflow said, without a password."""
    return masked((str(error).splitlines() or [""])[0])


def _kind(error: Exception) -> str:
    """The cause that a person knows, such as ConnectionError."""
    text = str(error)
    return next(
        (k for k in ("ConnectTimeout", "Connection refused", "500", "503", "502") if k in text), type(error).__name__
    )


def _split(uri: str):
    try:
        return urlsplit(uri)
    except ValueError:  # such as a bracket that is not closed
        return urlsplit("")


@functools.cache
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
