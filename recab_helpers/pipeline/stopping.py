"""A signal ends a run as a person expects: kernels gone and the run closed within seconds, whatever it was doing."""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from recab_helpers.errors import Stopped
from recab_helpers.processes import PREFIX, end_with_children, this_process

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
SHELL = 128  # a shell's exit code for a signal is this and the signal's number
GRACE_S = 2.0


class Stop:
    """Whether a run was asked to end, with the kernels, servers and the MLflow run that end with it."""

    def __init__(self) -> None:
        self.signal = 0
        self.kernels: list[Any] = []
        self.servers: list[int] = []  # process numbers
        self.run: Any = None

    def check(self) -> None:
        """Raise Stopped where the run was asked to end."""
        if self.signal:
            raise Stopped(self.signal)

    def ask(self, number: int, _: Any = None) -> None:
        """Handle a signal."""
        self.signal = number

    def end_started(self) -> None:
        """Kill every kernel and server that was started, with its children."""
        for pid in list(self.servers):
            end_with_children(pid)
        for kernel in list(self.kernels):
            if kernel.provisioner is not None and kernel.provisioner.pid:
                end_with_children(kernel.provisioner.pid)


def until_stopped(work: Callable[[Stop], None]) -> None:
    """Do the work in a thread of its own, while this one waits for signals.

    A signal so never meets a library half way through an import or a write of its own: the kernels are killed, the run
    in MLflow is closed, the work ends by itself or is left, and all of that within GRACE_S seconds.

    Raises:
        Stopped: a signal asked for it.
        BaseException: whatever the work raised.
    """
    stop, raised = Stop(), []

    def worker() -> None:
        try:
            work(stop)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=worker, name="recab", daemon=True)
    before = {number: signal.signal(number, stop.ask) for number in SIGNALS}
    try:
        thread.start()
        while thread.is_alive() and not stop.signal:
            thread.join(0.1)
        if stop.signal:
            _end(stop, thread)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    stop.check()
    if raised:
        raise raised[0]


def _end(stop: Stop, thread: threading.Thread) -> None:
    """End what was started, close the run and wait for the work; what does not end in time is left behind.

    A server that is gone is asked again for many seconds, by the closing and by the work, so that both may be left.
    """
    stop.end_started()
    deadline = time.monotonic() + GRACE_S
    closing = threading.Thread(target=_close, args=(stop,), daemon=True)
    closing.start()
    while (thread.is_alive() or closing.is_alive()) and time.monotonic() < deadline:
        thread.join(0.05)
        stop.end_started()  # one may have been starting
    if thread.is_alive() or closing.is_alive():  # the end of the interpreter could wait for what these started
        shutil.rmtree(_place(), ignore_errors=True)
        say_stopped(stop.signal)
        os._exit(SHELL + stop.signal)


def say_stopped(number: int) -> None:
    """The last line; a terminal that was closed takes none."""
    with suppress(OSError, ValueError):
        end = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
        print(f"recab: stopped{end}.", file=sys.stderr, flush=True)


def _close(stop: Stop) -> None:
    if stop.run is not None:
        stop.run.close("KILLED")


def _place() -> Path:
    here = Path(tempfile.gettempdir())
    return here if here.name.startswith(PREFIX) else here / f"{PREFIX}{this_process()}"
