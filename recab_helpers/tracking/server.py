"""`make server`: an MLflow server over the embedded store, so that people can look at runs and models."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from recab_helpers.processes import end_with_children, tether
from recab_helpers.tracking import address_of, connect, embedded
from recab_helpers.tracking.store import HOST, PORT, SQLITE

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def main() -> int:
    """Serve until a signal ends it, and then leave no process behind; 1 when the port is taken."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, PORT)) == 0:
            print(
                f"Port {PORT} is in use, perhaps by another MLflow server: open http://{HOST}:{PORT}, or stop it.",
                file=sys.stderr,
            )
            return 1
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    client = connect()  # makes a fresh store before the server's workers race for it
    store = client.tracking_uri
    artifacts = embedded.artifacts_of(Path(store.removeprefix(SQLITE)))
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--default-artifact-root", artifacts.as_uri()]
    command += ["--host", HOST, "--port", str(PORT), "--workers", "1"]
    print(f"MLflow starts at http://{HOST}:{PORT} (some 20 seconds); Ctrl-C stops it.")
    for experiment in client.search_experiments():
        if client.search_runs([experiment.experiment_id], max_results=1):
            print(f"  {experiment.name}: {address_of(client, experiment.experiment_id)}")
    sys.stdout.flush()
    return _serve(command)


def _serve(command: list[str]) -> int:
    """Run the server; whatever ends this process, `kill -9` too, ends it and its workers. Its exit code."""

    def end(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    with tether() as tie:
        server = subprocess.Popen(command, env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
        tie(server.pid)
        before = {number: signal.signal(number, end) for number in ENDING}
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            end_with_children(server.pid)
            for number, handler in before.items():
                signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
