"""The one list of doors: what each command does, the stages that it runs and the page that it leaves."""

from dataclasses import dataclass, fields

from recab_helpers.parameters import STAGES, ReadParams

HANDED_ON = {  # parameters that a stage settles for the stages after it
    "train": ("train_run_id",),
    "simulate": ("simulate_run_id", *(f.name for f in fields(ReadParams))),
}


@dataclass(frozen=True, kw_only=True)
class Door:
    """A command: it runs the notebooks of its stages in turn, starts a program, a module with its arguments, or
    answers at once.

    `page` is the name in reports/ of what the last notebook becomes; empty where it stays a notebook. `lasts` is the
    time that it takes with its defaults on two cores, where that is known.
    """

    does: str
    lasts: str = ""
    stages: tuple[str, ...] = ()
    page: str = ""
    program: tuple[str, ...] = ()
    params: type[ReadParams] | None = None  # of a door that answers at once

    @property
    def takes(self) -> frozenset[str]:
        """Parameters that may be given: those of its stages, without what one of them hands to the next."""
        names = {f.name for stage in self.stages for f in fields(STAGES[stage])}
        names |= {f.name for f in fields(self.params)} if self.params else set()
        return frozenset(names - {n for stage in self.stages[:-1] for n in HANDED_ON.get(stage, ())})


DOORS = {
    "report": Door(
        does="train, simulate, analyze; write reports/ab_report.html and .json",
        lasts="about 2 minutes",
        stages=("train", "simulate", "analyze"),
        page="ab_report",
    ),
    "train": Door(does="fit, log and register the models", stages=("train",)),
    "simulate": Door(does="serve the newest trained models to simulated users", stages=("simulate",)),
    "analyze": Door(
        does="analyze the newest simulation, or a real log: LOG=impressions.parquet",
        stages=("analyze",),
        page="ab_report",
    ),
    "look": Door(does="what recab understands of a file: LOG=impressions.csv, or USERS=users.csv", params=ReadParams),
    "plan": Door(
        does="before a test: users, days and the smallest lift it finds; a pilot log: LOG=pilot.parquet",
        stages=("plan",),
        page="plan",
    ),
    "calibrate": Door(
        does="grade the analysis on thousands of simulated tests", stages=("calibrate",), page="calibration"
    ),
    "lab": Door(does="open the notebooks in JupyterLab", program=("jupyterlab", "notebooks")),
    "server": Door(
        does="browse runs and models at http://127.0.0.1:8080 (Ctrl-C stops it)",
        program=("recab_helpers.tracking.server",),
    ),
}


def doors_that_take(parameter: str) -> list[str]:
    """Names of the doors to which the parameter may be given."""
    return [name for name, door in DOORS.items() if parameter in door.takes]
