"""Whose a run is: the process that writes it, so that what a dead one left is closed, and never a living one's."""

import functools
import hashlib
import os
import socket
import sys

import mlflow
import psutil

OWNER = "recab.owner"
HANDED_ON = "RECAB_OWNER"  # by a command to its kernels, whose runs end with the command's
PARENT = "mlflow.parentRunId"
TOLERANCE_S = 2  # a process's start is known from the clock, which may be set


def owner() -> str:
    """The process that writes a run: a hash of the machine, the process's number and its start in seconds."""
    return os.environ.get(HANDED_ON) or _this_process()


def close_leftovers(client: mlflow.MlflowClient) -> None:
    """Close as KILLED every run that a dead process of this machine left RUNNING, and say so in one line."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    mine = f"attributes.status = 'RUNNING' and tags.`{OWNER}` like '{_machine()}:%'"
    running = client.search_runs(experiments, mine, max_results=1000) if experiments else []
    dead = [run for run in running if not _alive(run.data.tags[OWNER])]
    for run in dead:
        client.set_terminated(run.info.run_id, "KILLED")
    if parents := sum(PARENT not in run.data.tags for run in dead):
        runs = "a run" if parents == 1 else f"{parents} runs"
        print(f"recab: closed {runs} that an earlier process left unfinished (status KILLED).", file=sys.stderr)


@functools.cache
def _this_process() -> str:
    me = psutil.Process()
    return f"{_machine()}:{me.pid}:{me.create_time():.0f}"


@functools.cache
def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]


def _alive(who: str) -> bool:
    _, pid, start = who.split(":")
    try:
        return abs(psutil.Process(int(pid)).create_time() - int(start)) <= TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
