"""`make server` starts one server over the embedded store, or says why it cannot."""

import socket
import subprocess
import sys

from recab_helpers.tracking import server


def test_a_port_that_is_taken_is_named(monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind((server.HOST, 0))
        taken.listen()
        monkeypatch.setattr(server, "PORT", taken.getsockname()[1])
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: 1 / 0)
        assert server.main() == 1
    assert f"Port {server.PORT} is in use" in capsys.readouterr().err


def test_it_serves_the_embedded_store_whatever_store_the_environment_names(store, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(subprocess, "run", lambda command, **more: started.append((command, more)) or _Done)
    monkeypatch.setattr(server, "connect", lambda: store)  # leaves the project's own store alone
    with socket.socket() as free:
        free.bind((server.HOST, 0))
        monkeypatch.setattr(server, "PORT", free.getsockname()[1])
    assert server.main() == 0
    ((command, more),) = started
    assert command[:3] == [sys.executable, "-m", "mlflow"]
    assert {store.tracking_uri, (tmp_path / "mlartifacts").as_uri(), server.HOST} <= set(command)
    assert "MLFLOW_TRACKING_URI" not in more["env"]


class _Done:
    returncode = 0
