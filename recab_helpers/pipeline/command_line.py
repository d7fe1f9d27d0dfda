"""The doors as they are typed: nothing starts before every value was read and found right; each ends in a code.

`make` hands its values over in the environment (RECAB_LOG and so on), as they were typed: neither make nor a shell
reads them.
"""

import argparse
import errno
import importlib
import os
import runpy
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from recab_helpers import paths
from recab_helpers.errors import DefectError, ParameterError, RecabError, Stopped, nearest
from recab_helpers.parameters import ReadParams
from recab_helpers.pipeline.doors import DOORS, Door
from recab_helpers.pipeline.stopping import SHELL, say_stopped, until_stopped
from recab_helpers.pipeline.values import PATHS, check_values, read_values, words

if TYPE_CHECKING:
    from recab_helpers.analysis import MetricSpec

FULL = ("database or disk is full", "No space left on device")  # of a disk, as SQLite and the system say
FAILED, USAGE, DEFECT, STOPPED = 1, 2, 70, 130  # exit codes, as shells and sysexits.h have them
ERROR_LOG = "error.log"  # in reports/: the traceback of what no line can say


def main(arguments: list[str] | None = None) -> int:
    """Open one door; 0 when it worked, else an exit code of its own with one line on stderr that says why.

    1 for a mistake or a machine that is not ready, 2 for a line that cannot be read, 70 for a defect of recab, and
    128 with the signal's number (130 for Ctrl-C, 143 for SIGTERM) when it was stopped.
    """
    args = _parser().parse_args(arguments)
    verbose = args.verbose or _is_on("RECAB_V")
    try:
        _open(args)
    except Stopped as error:
        say_stopped(error.args[0])
        return SHELL + error.args[0]
    except KeyboardInterrupt:
        print("recab: stopped.", file=sys.stderr)
        return STOPPED
    except Exception as error:
        if verbose:
            traceback.print_exception(error)
        line, code = _last_words(error)
        print("recab:", *line.split(), file=sys.stderr)
        return code
    return 0


def _open(args: argparse.Namespace) -> None:
    door = DOORS[args.door]
    settings = [*words(os.environ.get("RECAB_SET", "")), *args.set]
    params_file = args.params or os.environ.get("RECAB_PARAMS", "")
    files = {name: getattr(args, name) or os.environ.get(f"RECAB_{typed}", "") for name, typed in PATHS.items()}
    params = check_values(args.door, read_values(params_file, settings, **files))
    fresh = args.fresh or _is_on("RECAB_FRESH")
    if fresh and len(door.stages) < 2:
        raise ParameterError(f"FRESH is 1, but make {args.door} always runs anew. Leave it out.")
    if door.program:
        _start(door)
        return
    if door.function:
        _work(door, params[args.door])
        return
    tables = next((p for p in params.values() if isinstance(p, ReadParams) and p.reads), None)
    if tables is not None:
        from recab_helpers.impressions.look import check_early  # loads DuckDB, where a table is named

        metrics = _own_metrics(tables)
        asked = tuple(c for m in metrics for c in m.columns)
        check_early(tables, asked, [m.numerator for m in metrics if m.kind == "quantile"])
    from recab_helpers.pipeline import notebooks  # loads papermill, when all values are right

    until_stopped(lambda stop: notebooks.run(args.door, params, stop=stop, fresh=fresh))


def _own_metrics(params: ReadParams) -> list["MetricSpec"]:
    """The metrics of the parameters that read other columns than ours, which are left out where a table lacks them."""
    given = getattr(params, "metrics", [])
    if not given:
        return []
    from recab_helpers.analysis import METRICS, metrics_from  # loads SciPy, where metrics are named

    ours = {m.columns for m in METRICS}
    return [m for m in metrics_from(given) if m.columns not in ours or m.kind == "quantile"]


def _is_on(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0", "false", "no")


def _last_words(error: Exception) -> tuple[str, int]:
    """The one line that says what went wrong, and the exit code."""
    if isinstance(error, RecabError):
        return str(error), DEFECT if isinstance(error, DefectError) else FAILED
    if _is_full(error):
        where = getattr(error, "filename", None) or paths.ROOT
        return f"The disk is full ({where}). Free some space, and run it again.", FAILED
    if isinstance(error, PermissionError):
        return f"{error.filename} may not be written or read. Change its permissions, or move the project.", FAILED
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"A path is too long for this system ({str(error.filename)[:60]}...). Move the project up.", FAILED
    log = paths.REPORTS / ERROR_LOG
    try:
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        where = f"The full log is in {os.path.relpath(log)}; send it"
    except OSError:
        where = "Run it again with -v (make: V=1), and send the traceback"
    said = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {said} This is a defect of recab. {where} as CONTRIBUTING.md says.", DEFECT


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind the error, whichever library says so."""
    if error is None:
        return False
    said = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return said or any(words in str(error) for words in FULL) or _is_full(error.__cause__)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument DOOR: ")
        end = "" if message.endswith((".", "?")) else "."
        print(f"recab: {message}{end} See `{self.prog} --help`.", file=sys.stderr)
        sys.exit(USAGE)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, DOORS))
    doors = "\n".join(
        f"  {name:<{width}}  {door.does}{door.lasts and f' ({door.lasts})'}" for name, door in DOORS.items()
    )
    parser = _Parser(
        prog="python -m recab_helpers",
        description=f"Rehearse an A/B test of recommenders, then read the real one.\n\ndoors:\n{doors}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("door", metavar="DOOR", type=_door)
    parser.add_argument("--params", default="", metavar="FILE", help="YAML file of parameters")
    parser.add_argument("--set", nargs="*", action="extend", default=[], metavar="NAME=VALUE", help="parameters")
    files = {"log_file": "an impression log (.parquet, .csv)", "users_file": "its users: pre_ counts and segments"}
    for name, typed in PATHS.items():
        parser.add_argument(f"--{typed.lower()}", dest=name, default="", metavar="FILE", help=files[name])
    parser.add_argument("--fresh", action="store_true", help="report: reuse no stage of a report that died")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the traceback of an error")
    return parser


def _door(name: str) -> str:
    if name not in DOORS:
        raise argparse.ArgumentTypeError(f"There is no door {name!r}. {nearest(name, DOORS)}")
    return name


def _work(door: Door, params: Any) -> None:
    """Do the work of the door's function until it ends or is stopped; Ctrl-C is how a person ends it, so no failure."""
    module, _, function = door.function.partition(".")
    work = getattr(importlib.import_module(f"recab_helpers.pipeline.{module}"), function)
    try:
        until_stopped(lambda stop: work(params, stop))
    except Stopped as error:
        if error.args[0] != signal.SIGINT:
            raise
        say_stopped(signal.SIGINT)


def _start(door: Door) -> None:
    """Run the door's program in the project folder, in this process: Ctrl-C reaches it as it does alone."""
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel, whatever others are registered
    os.chdir(paths.ROOT)
    sys.argv = list(door.program)
    runpy.run_module(door.program[0], run_name="__main__", alter_sys=True)
