"""A project folder of each test's own, real processes in it, and a table of what was done to them."""

import json
import math
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from recab_helpers.paths import ROOT
from recab_helpers.processes import end_with_children
from tests.conftest import SMALL

SHARE = float(os.environ.get("RECAB_FAULTS_SHARE", "0.1"))  # of the full numbers; 1 does each fault as often as TIMES
TIMES = {
    "kill": 50,  # in all, over the signals and both kinds of store
    "two at once": 20,
    "disk full": 10,
    "server killed": 10,
    "flaky server": 10,
    "copied": 10,
    "moved": 10,
    "closed terminal": 10,
}
LIMIT_S = 900


def times(fault: str, parts: int = 1) -> range:
    """How often a fault is done, at least once, where a test does one of so many parts of it."""
    return range(max(1, round(TIMES[fault] * SHARE / parts)))


class Project:
    """A copy of the project with a store, reports and a temporary folder of its own."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder, self.temporary = folder, temporary
        self.store = folder / "mlflow.db"

    def start(self, door: str = "report", *more: str, **environment: str) -> subprocess.Popen:
        """Start a door as a person does, in a session of its own."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RECAB_", "MLFLOW_", "MAKE"))}
        settings = [] if door == "analyze" else ["--set", *SMALL]
        return subprocess.Popen(
            [sys.executable, "-m", "recab_helpers", door, *settings, *more],
            cwd=self.folder,
            env=kept | {"TMPDIR": str(self.temporary)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, door: str = "report", *more: str, **environment: str) -> tuple[int, str]:
        """Exit code and what was said."""
        with self.start(door, *more, **environment) as process:
            try:
                said, _ = process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                end_with_children(process.pid)
                raise
        return process.returncode, said

    def numbers(self) -> dict:
        """What the newest report says, without ids, versions and times, by the path of each value."""
        document = json.loads((self.folder / "reports" / "ab_report.json").read_text())
        for variant in document["variants"]:  # every training registers new versions, those of a killed run too
            variant["model"] = variant["model"].rpartition(":")[0]
        return dict(_leaves({name: document[name] for name in ("effects", "variants", "verdict", "checks")}, ()))

    def statuses(self) -> Counter:
        with closing(sqlite3.connect(self.store)) as database:
            return Counter(status for (status,) in database.execute("select status from runs"))

    def left_processes(self) -> list[int]:
        """Processes whose files are in this project's temporary folder."""
        own = str(self.temporary)
        return [p.pid for p in psutil.process_iter() if any(own in word for word in _command(p))]

    def forget(self) -> None:
        """Make the store fresh."""
        self.store.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "mlartifacts", ignore_errors=True)

    def kernels(self) -> list[int]:
        return [p.pid for p in psutil.process_iter() if "ipykernel_launcher" in _command(p) and self._is_ours(p)]

    def _is_ours(self, process: psutil.Process) -> bool:
        return any(str(self.temporary) in word for word in _command(process))


def _leaves(value: Any, path: tuple) -> Iterator[tuple[tuple, Any]]:
    """Every value that is no list or mapping, with the keys and places that lead to it."""
    if not isinstance(value, dict | list):
        yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from _leaves(inner, (*path, key))


def differing(found: dict, expected: dict) -> list[tuple]:
    """Paths whose values differ, of numbers by more than 1e-9 of them: threads add up floats in any order."""
    paths = dict.fromkeys([*found, *expected])
    return [p for p in paths if not _alike(found.get(p, "not there"), expected.get(p, "not there"))]


def _alike(a: Any, b: Any) -> bool:
    return math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def soon(condition, seconds: float = 5) -> bool:
    """Whether it comes true within these seconds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(condition())


def copy_of_the_project(folder: Path) -> Path:
    for part in ("recab_helpers", "notebooks"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", folder)
    (folder / "reports").mkdir()
    return folder


@pytest.fixture
def project(tmp_path) -> Iterator[Project]:
    (tmp_path / "t").mkdir()
    made = Project(copy_of_the_project(tmp_path / "project"), tmp_path / "t")
    yield made
    for pid in made.left_processes():
        psutil.Process(pid).kill()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of its own, which a test can fill; only an administrator can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=900m", "tmpfs", folder], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip(f"needs a disk of its own, which this user may not make: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def project_on_a_small_disk(small_disk) -> Iterator[Project]:
    (small_disk / "t").mkdir()
    made = Project(copy_of_the_project(small_disk / "project"), small_disk / "t")
    yield made
    for pid in made.left_processes():
        psutil.Process(pid).kill()


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory) -> dict:
    """The numbers of a report to which nothing was done."""
    home = tmp_path_factory.mktemp("unbroken")
    (home / "t").mkdir()
    made = Project(copy_of_the_project(home / "project"), home / "t")
    code, said = made.run()
    assert code == 0, said
    return made.numbers()


@pytest.fixture
def done(record_property):
    """Count what was done and how it ended, for the table below the tests."""
    return lambda fault, end: record_property("fault", (fault, end))


class Flaky(ThreadingHTTPServer):
    """Hands every request on to an MLflow server, counts it, and answers a share of them with 500, done or not."""

    daemon_threads = True

    def __init__(self, behind: str, share: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.share, self.draw = behind, share, random.Random(29)
        self.seen: Counter[str] = Counter()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        server: Flaky = self.server  # type: ignore[assignment]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server.seen[f"{self.command} {self.path.partition('?')[0]}"] += 1
        fails, does = server.draw.random() < server.share, server.draw.random() < 0.5
        answer = None
        if does or not fails:
            kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            answer = requests.request(self.command, server.behind + self.path, data=body, headers=kept, timeout=60)
        content = b"broken" if fails else answer.content
        self.send_response(500 if fails else answer.status_code)
        self.send_header("Content-Length", str(len(content)))
        if not fails:
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(serve) -> tuple[str, subprocess.Popen]:
    """An MLflow server of the test's own: its address and its process."""
    return serve()


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[[], tuple[str, subprocess.Popen]]]:
    """A function that starts MLflow's server over one store, at an address of its own each time."""
    started: list[subprocess.Popen] = []

    def start() -> tuple[str, subprocess.Popen]:
        uri, process = _start_server(tmp_path)
        started.append(process)
        assert soon(lambda: _answers(uri), 240)
        return uri, process

    yield start
    for process in started:
        end_with_children(process.pid)


def _start_server(tmp_path: Path) -> tuple[str, subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RECAB_", "MLFLOW_"))}
    kept |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        command, env=kept, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    return f"http://127.0.0.1:{port}", process


def _answers(uri: str) -> bool:
    try:
        return requests.get(f"{uri}/health", timeout=5).ok
    except requests.RequestException:
        return False
