"""Whose a run is: the process that writes it, so that what a dead one left is closed, and never a living one's."""

import os
import sys

import mlflow

from recab_helpers.processes import alive, this_machine, this_process

OWNER = "recab.owner"
HANDED_ON = "RECAB_OWNER"  # by a command to its kernels, whose runs end with the command's
PARENT = "mlflow.parentRunId"


def owner() -> str:
    """The process that writes a run."""
    return os.environ.get(HANDED_ON) or this_process()


def close_leftovers(client: mlflow.MlflowClient, experiments: list[str]) -> None:
    """Close as KILLED every run of theirs that a dead process of this machine left RUNNING, and say so in one line."""
    mine = f"attributes.status = 'RUNNING' and tags.`{OWNER}` like '{this_machine()}-%'"
    running = client.search_runs(experiments, mine, max_results=1000) if experiments else []
    dead = [run for run in running if not alive(run.data.tags[OWNER])]
    for run in dead:
        client.set_terminated(run.info.run_id, "KILLED")
    if parents := sum(PARENT not in run.data.tags for run in dead):
        runs = "a run" if parents == 1 else f"{parents} runs"
        print(f"recab: closed {runs} that an earlier process left unfinished (status KILLED).", file=sys.stderr)
