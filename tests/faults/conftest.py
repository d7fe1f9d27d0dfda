"""A project folder of each test's own, real processes in it, and a table of what was done to them."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from recab_helpers.paths import ROOT
from tests.conftest import SMALL

TIMES = int(os.environ.get("RECAB_FAULTS", "3"))  # how often each fault is done; RECAB_FAULTS=50 for the full numbers
DONE: Counter[tuple[str, str]] = Counter()
LIMIT_S = 900


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
            said, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, said

    def numbers(self) -> dict:
        """What the newest report says, without ids and times."""
        document = json.loads((self.folder / "reports" / "ab_report.json").read_text())
        return {name: document[name] for name in ("effects", "variants", "verdict", "checks") if name in document}

    def statuses(self) -> Counter:
        with closing(sqlite3.connect(self.store)) as database:
            return Counter(status for (status,) in database.execute("select status from runs"))

    def left_processes(self) -> list[int]:
        """Processes whose files are in this project's temporary folder."""
        own = str(self.temporary)
        return [p.pid for p in psutil.process_iter() if any(own in word for word in _command(p))]

    def kernels(self) -> list[int]:
        return [p.pid for p in psutil.process_iter() if "ipykernel_launcher" in _command(p) and self._is_ours(p)]

    def _is_ours(self, process: psutil.Process) -> bool:
        return any(str(self.temporary) in word for word in _command(process))


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
def done():
    """Count what was done and how it ended, for the table."""
    return lambda fault, end: DONE.update([(fault, end)])


def pytest_terminal_summary(terminalreporter) -> None:
    if DONE:
        terminalreporter.section("faults")
        for (fault, end), times in sorted(DONE.items()):
            terminalreporter.write_line(f"{fault:<45} {end:<45} {times:>4}")
