"""The one list of doors: what each command does, the stages that it runs and the page that it leaves."""

from dataclasses import dataclass, fields

from recab_helpers.parameters import STAGES, ReadParams, ServeParams

HANDED_ON = {  # parameters that a stage settles for the stages after it
    "train": ("train_run_id",),
    "simulate": ("simulate_run_id", *(f.name for f in fields(ReadParams))),
}


@dataclass(frozen=True, kw_only=True)
class Door:
    """A command: it runs the notebooks of its stages in turn, starts a program, or does the work of a function.

    `page` is the name in reports/ of what the last notebook becomes; empty where it stays a notebook. `lasts` is the
    time that it takes with its defaults on two cores, where that is known. A program is a module with its arguments. A
    function, `module.function` of this folder, takes checked parameters of its own.
    """

    does: str
    lasts: str = ""
    stages: tuple[str, ...] = ()
    page: str = ""
    program: tuple[str, ...] = ()
    function: str = ""
    parameters: type[ServeParams] | type[ReadParams] | None = None

    @property
    def takes(self) -> frozenset[str]:
        """Parameters that may be given: those of its stages, without what one of them hands to the next."""
        own = [self.parameters] if self.parameters else []
        names = {f.name for params in (*(STAGES[s] for s in self.stages), *own) for f in fields(params)}
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
    "look": Door(
        does="what recab understands of a file: LOG=impressions.csv, or USERS=users.csv",
        function="looking.say",
        parameters=ReadParams,
    ),
    "plan": Door(
        does="before a test: users, days and the smallest lift it finds; a pilot log: LOG=pilot.parquet",
        stages=("plan",),
        page="plan",
    ),
    "designs": Door(
        does="how to test two models: every design graded on the exact truth; a pilot log: LOG=pilot.parquet",
        lasts="about 1 minute",
        stages=("designs",),
        page="designs",
    ),
    "calibrate": Door(
        does="grade the analysis on thousands of simulated tests",
        lasts="about 3 minutes; n_tests=400 gives a first idea in less than half of that",
        stages=("calibrate",),
        page="calibration",
    ),
    "lab": Door(does="open the notebooks in JupyterLab", program=("jupyterlab", "notebooks")),
    "server": Door(
        does="browse runs and models at http://127.0.0.1:8080 (Ctrl-C stops it)",
        program=("recab_helpers.tracking.server",),
    ),
    "serve": Door(
        does="serve the models of the newest training over HTTP on this machine (Ctrl-C stops them)",
        function="serving.serve",
        parameters=ServeParams,
    ),
}


def doors_that_take(parameter: str) -> list[str]:
    """Names of the doors to which the parameter may be given."""
    return [name for name, door in DOORS.items() if parameter in door.takes]
