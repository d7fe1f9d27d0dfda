"""`make server` starts one server over the embedded store, or says why it cannot."""

import contextlib
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from recab_helpers.paths import ROOT
from recab_helpers.tracking import server


def test_a_port_that_is_taken_is_named(monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind((server.HOST, 0))
        taken.listen()
        monkeypatch.setattr(server, "PORT", taken.getsockname()[1])
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: 1 / 0)
        assert server.main() == 1
    assert f"Port {server.PORT} is in use" in capsys.readouterr().err


def test_it_serves_the_embedded_store_whatever_store_the_environment_names(store, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **more: started.append((command, more)) or Done)
    monkeypatch.setattr(server, "tether", lambda: contextlib.nullcontext(lambda _: None))
    monkeypatch.setattr(server, "connect", lambda: store)  # leaves the project's own store alone
    with socket.socket() as free:
        free.bind((server.HOST, 0))
        monkeypatch.setattr(server, "PORT", free.getsockname()[1])
    assert server.main() == 0
    ((command, more),) = started
    assert command[:3] == [sys.executable, "-m", "mlflow"]
    assert {store.tracking_uri, (tmp_path / "mlartifacts").as_uri(), server.HOST} <= set(command)
    assert "MLFLOW_TRACKING_URI" not in more["env"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_a_signal_that_ends_it_ends_the_server_and_what_that_started(number):
    """`kill` left the server running, which then held the port, and so did `kill -9`."""
    inner = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(120)'])"
    serve = f"server._serve([sys.executable, '-c', {inner!r}])"
    code = f"import sys; from recab_helpers.tracking import server; sys.exit({serve})"
    process = psutil.Popen([sys.executable, "-c", code], cwd=ROOT)
    deadline = time.monotonic() + 60
    while len(started := process.children(recursive=True)) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(started) == 3  # the server, what it started, and the watcher
    process.send_signal(number)
    assert process.wait(30) == (-number if number == signal.SIGKILL else 128 + number)
    assert not psutil.wait_procs(started, timeout=10)[1]


class Done:
    """A server that ended at once."""

    pid = 2**22 + 7  # above what Linux gives

    @staticmethod
    def wait() -> int:
        return 0
