"""`make server`: an MLflow server over the embedded store, so that people can look at runs and models."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from recab_helpers.tracking import connect, embedded
from recab_helpers.tracking.store import SQLITE

HOST, PORT = "127.0.0.1", 8080


def main() -> int:
    """Serve until interrupted; 1 when the port is taken."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, PORT)) == 0:
            print(
                f"Port {PORT} is in use, perhaps by another MLflow server: open http://{HOST}:{PORT}, or stop it.",
                file=sys.stderr,
            )
            return 1
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    store = connect().tracking_uri  # makes a fresh store before the server's workers race for it
    artifacts = embedded.artifacts_of(Path(store.removeprefix(SQLITE)))
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--default-artifact-root", artifacts.as_uri()]
    command += ["--host", HOST, "--port", str(PORT), "--workers", "1"]
    print(f"MLflow starts at http://{HOST}:{PORT} (some 20 seconds); Ctrl-C stops it.", flush=True)
    try:
        return subprocess.run(
            command, env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, check=False
        ).returncode
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
