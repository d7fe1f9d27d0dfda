"""Which processes live, and a temporary folder that goes with each, whatever ends it."""

import functools
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

TOLERANCE_S = 2  # a process's start is known from the clock, which may be set
PREFIX = "recab-"
TEMPORARY = ("TMPDIR", "TEMP", "TMP")  # what names the temporary folder, by system


@functools.cache
def this_machine() -> str:
    """A hash of the host's name, so that nobody reads the name."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


@functools.cache
def this_process() -> str:
    """`name_of` this one."""
    return name_of(os.getpid())


def name_of(pid: int) -> str:
    """Machine, number and start in seconds: a number alone is given again."""
    return f"{this_machine()}-{pid}-{psutil.Process(pid).create_time():.0f}"


def alive(who: str) -> bool:
    """Whether the process that `name_of` named still runs on this machine."""
    _, pid, start = who.split("-")
    try:
        return abs(psutil.Process(int(pid)).create_time() - int(start)) <= TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def end_with_children(pid: int) -> None:
    """Kill a process and all that it started; one that is gone is no error."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


@contextmanager
def tether() -> Iterator[Callable[[int], None]]:
    """A function that ties a process to this one: it ends with its children when this one does, even by `kill -9`.

    A watcher in a session of its own, which no Ctrl-C reaches, waits for the end of a pipe that only this process
    holds; every system closes it with the process.
    """
    with subprocess.Popen(
        [sys.executable, "-P", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
    ) as watcher:
        assert watcher.stdin is not None

        def tie(pid: int) -> None:
            with suppress(psutil.NoSuchProcess):
                print(name_of(pid), file=watcher.stdin, flush=True)

        yield tie


def end_after_parent() -> None:
    """What the watcher of `tether` does: read names until the pipe ends, then end those processes."""
    for name in sys.stdin.read().split():
        if alive(name):
            end_with_children(int(name.split("-")[1]))


@contextmanager
def temporary_place() -> Iterator[Path]:
    """A temporary folder for this process and all that it starts, gone at the end; those of dead processes go first."""
    home = Path(tempfile.gettempdir())
    clear_places_of_the_dead(home)
    folder = home / f"{PREFIX}{this_process()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    before = {name: os.environ.get(name) for name in TEMPORARY}
    kept = tempfile.tempdir
    os.environ |= dict.fromkeys(TEMPORARY, str(folder))
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = kept
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def clear_places_of_the_dead(home: Path) -> None:
    """Remove what killed processes of this machine left in the temporary folder."""
    for folder in home.glob(f"{PREFIX}{this_machine()}-*-*"):
        if not alive(folder.name.removeprefix(PREFIX).partition(".")[0]):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    end_after_parent()
