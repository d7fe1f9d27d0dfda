"""`make serve`: registered models over HTTP on this machine, each by `mlflow models serve` in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import requests

from recab_helpers.errors import ParameterError, PipelineError
from recab_helpers.parameters import ServeParams
from recab_helpers.pipeline.foreign import say_whose_code
from recab_helpers.pipeline.machine import KERNEL_BYTES, free_memory
from recab_helpers.pipeline.stopping import Stop
from recab_helpers.processes import end_with_children, temporary_place, tether
from recab_helpers.references import ModelAddress

HOST = "127.0.0.1"
READY_S = 180  # until a server has to answer
PAUSE_S = 0.3
LAST_PORT = 65_535


def serve(params: ServeParams, stop: Stop) -> None:
    """Serve the models until stopped; whatever ends it, `kill -9` too, ends the servers.

    Raises:
        TrackingError: there is no complete training, or no such model.
        PipelineError: memory does not hold so many, a port is not free, or no server is left.
    """
    with temporary_place() as place, tether() as tie:
        from recab_helpers import tracking  # loads MLflow

        say_whose_code({"serve": params})
        run_id = tracking.find_stage("train", params.experiment, params.train_run_id)
        models = tracking.addresses_of(run_id, params.variants)
        if served := [name for name, address in models.items() if address.url]:
            raise ParameterError(f"variants has {served[0]}, which is served already. Leave it out.")
        if (need := len(models) * KERNEL_BYTES) > (free := free_memory()):
            raise PipelineError(
                f"{len(models)} servers need about {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free. "
                "Serve fewer: variants=[content]."
            )
        ports = dict(zip(models, free_ports(params.port, len(models)), strict=True))
        started: dict[str, subprocess.Popen] = {}
        try:
            for name, address in models.items():
                stop.check()
                started[name] = _start(address, ports[name], place)
                stop.servers.append(started[name].pid)
                tie(started[name].pid)
            print(f"recab: {len(models)} models start, some 20 seconds; Ctrl-C stops them.", flush=True)
            for name, server in started.items():
                _wait_until_ready(server, ports[name], place, stop)
                print(f"recab: {name} ({models[name]}) is served at {url_of(ports[name])}", flush=True)
            _say_how(ports.values())
            _watch(started, ports, place, stop)
        finally:
            for server in started.values():
                end_with_children(server.pid)
                server.wait()


def free_ports(first: int, n: int) -> Iterator[int]:
    """The first `n` ports from `first` on that nothing listens on.

    Raises:
        PipelineError: there are not so many.
    """
    found = 0
    for port in range(first, LAST_PORT + 1):
        if found == n:
            return
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found += 1
        yield port
    if found < n:
        raise PipelineError(f"Fewer than {n} ports from {first} on are free. Name another: port=5001.")


def url_of(port: int) -> str:
    """Where a model is served."""
    return f"http://{HOST}:{port}"


def _start(address: ModelAddress, port: int, place: Path) -> subprocess.Popen:
    """A server of the model, in a session of its own, so that Ctrl-C in the terminal reaches this process alone."""
    from recab_helpers import tracking

    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(address), "--host", HOST]
    command += ["--port", str(port), "--env-manager", "local", "--workers", "1"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # where uvicorn is
    known = {"PATH": path, "MLFLOW_TRACKING_URI": tracking.connect().tracking_uri}
    with _log(place, port).open("wb") as log:
        return subprocess.Popen(
            command, env=os.environ | known, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait_until_ready(server: subprocess.Popen, port: int, place: Path, stop: Stop) -> None:
    end = time.monotonic() + READY_S
    with requests.Session() as session:
        session.trust_env = False  # no proxy stands before this machine
        while time.monotonic() < end:
            stop.check()
            if server.poll() is not None:
                raise PipelineError(f"The server at {url_of(port)} ended: {_last_line(place, port)}")
            try:
                if session.get(f"{url_of(port)}/ping", timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(PAUSE_S)
    raise PipelineError(f"The server at {url_of(port)} is not ready after {READY_S} s: {_last_line(place, port)}")


def _watch(servers: dict[str, subprocess.Popen], ports: dict[str, int], place: Path, stop: Stop) -> None:
    """Wait until stopped; say which server ended by itself, and end where none is left."""
    left = dict(servers)
    while left:
        time.sleep(PAUSE_S)
        stop.check()
        for name in [name for name, server in left.items() if server.poll() is not None]:
            print(f"recab: {name} is served no longer: {_last_line(place, ports[name])}", file=sys.stderr, flush=True)
            del left[name]
    raise PipelineError("Every server has ended. Start them anew: make serve.")


def _say_how(ports: Iterable[int]) -> None:
    urls = [url_of(port) for port in ports][:2]
    if len(urls) == 2:
        print(f'recab: in another terminal, make simulate SET="variants=[{",".join(urls)}]"', flush=True)


def _log(place: Path, port: int) -> Path:
    return place / f"served at {port}.log"


def _last_line(place: Path, port: int) -> str:
    lines = _log(place, port).read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing.")
