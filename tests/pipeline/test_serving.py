"""Registered models are served on loopback until the command ends, however it ends, and no server is left."""

import signal
import socket
import subprocess
import sys

import psutil
import pytest
import requests

from recab_helpers import tracking
from recab_helpers.errors import ParameterError, PipelineError, TrackingError
from recab_helpers.parameters import ServeParams
from recab_helpers.paths import ROOT
from recab_helpers.pipeline import serving
from recab_helpers.pipeline.stopping import Stop
from recab_helpers.references import ModelAddress

SERVER = """
import http.server, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(999)"])  # as MLflow starts uvicorn
class Ping(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ping).serve_forever()
"""
MODELS = {"content": ModelAddress(name="x-content", version="1"), "ease": ModelAddress(name="x-ease", version="2")}
ASKED = f"""
import subprocess, sys, types
from recab_helpers.pipeline import command_line, serving
from recab_helpers.references import ModelAddress
found = dict(find_stage=lambda *_: "a run", addresses_of=lambda *_: {MODELS!r})
sys.modules["recab_helpers.tracking"] = types.SimpleNamespace(**found)  # loads no MLflow, which takes seconds
starts = subprocess.Popen
def start(address, port, place):
    log = serving._log(place, port).open("wb")
    return starts([sys.executable, "-c", {SERVER!r}, str(port)], stdout=log, stderr=log, start_new_session=True)
serving._start, serving.say_whose_code = start, lambda _: None
sys.exit(command_line.main(["serve", "--set", "port=PORT"]))
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_a_signal_ends_every_server_with_what_it_started(number, port):
    with subprocess.Popen(
        [sys.executable, "-c", ASKED.replace("PORT", str(port))], cwd=ROOT, stdout=-1, stderr=-1, text=True
    ) as process:
        said = [process.stdout.readline() for _ in range(4)]
        urls = [line.split()[-1] for line in said[1:3]]
        assert said[1:3] == [
            f"recab: {n} ({a}) is served at {u}\n" for (n, a), u in zip(MODELS.items(), urls, strict=True)
        ]
        assert f"variants=[{','.join(urls)}]" in said[3]
        assert all(requests.get(f"{url}/ping", timeout=5).ok for url in urls)
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) == 5  # two servers, what they started, and the watcher
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
    ends = {signal.SIGINT: 0, signal.SIGTERM: 128 + number, signal.SIGKILL: -number}
    assert process.returncode == ends[number]
    assert error.startswith("recab: stopped") or number == signal.SIGKILL
    _, alive = psutil.wait_procs(started, timeout=5)
    assert not alive


@pytest.fixture
def started(monkeypatch):
    """Serve in this process, with a program in the place of MLflow's server; the processes that it started."""
    processes = []

    def with_program(program: str) -> list[subprocess.Popen]:
        def start(address, port, place):
            log = serving._log(place, port).open("wb")
            made = subprocess.Popen([sys.executable, "-c", program, str(port)], stdout=log, stderr=log)
            processes.append(made)
            return made

        monkeypatch.setattr(serving, "_start", start)
        monkeypatch.setattr(serving, "say_whose_code", lambda _: None)
        monkeypatch.setattr(tracking, "find_stage", lambda *_: "a run")
        monkeypatch.setattr(tracking, "addresses_of", lambda *_: MODELS)
        return processes

    return with_program


def test_a_server_that_cannot_start_ends_the_others_and_its_last_words_are_told(started, port):
    ends = f"import sys\nif sys.argv[1] == '{port}': sys.exit('no module named neighbors')\nimport time; time.sleep(99)"
    processes = started(ends)
    with pytest.raises(PipelineError, match=rf"The server at http://127.0.0.1:{port} ended: no module named neighbors"):
        serving.serve(ServeParams(port=port), Stop())
    assert [p.poll() is not None for p in processes] == [True, True]


def test_a_server_that_dies_later_is_named_and_the_last_one_ends_the_command(started, port, capsys):
    dies = SERVER.replace(".serve_forever()", ".handle_request(); sys.exit('out of memory')").replace(
        "child =", "0 and"
    )
    started(dies)
    with pytest.raises(PipelineError, match="Every server has ended"):
        serving.serve(ServeParams(port=port), Stop())
    said = capsys.readouterr().err
    assert "recab: content is served no longer: out of memory" in said
    assert "recab: ease is served no longer: out of memory" in said


def test_ports_that_are_taken_are_left_out(port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert number not in list(serving.free_ports(number, 2))
    with pytest.raises(PipelineError, match="Fewer than 3 ports from 65534 on are free"):
        list(serving.free_ports(65_534, 3))


def test_the_command_of_a_server_is_that_of_mlflow_on_loopback(store, tmp_path, monkeypatch):
    """And it finds the store and the programs of this environment, whatever its PATH."""
    calls = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **more: calls.append((command, more)))
    serving._start(MODELS["ease"], 5007, tmp_path)
    [(command, more)] = calls
    assert command[1:7] == ["-m", "mlflow", "models", "serve", "--model-uri", "models:/x-ease/2"]
    assert {"127.0.0.1", "5007", "local"} <= set(command)
    assert more["env"]["MLFLOW_TRACKING_URI"] == store.tracking_uri
    assert more["start_new_session"]


def test_what_cannot_be_served_is_refused(store, started, monkeypatch):
    with pytest.raises(TrackingError, match="make train"):
        serving.serve(ServeParams(), Stop())
    started("")
    address = ModelAddress.parse("http://127.0.0.1:1")
    monkeypatch.setattr(tracking, "addresses_of", lambda *_: {str(address): address})
    with pytest.raises(ParameterError, match=r"which is served already"):
        serving.serve(ServeParams(), Stop())
