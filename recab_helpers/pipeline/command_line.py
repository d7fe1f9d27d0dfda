"""From what is typed to checked parameters: nothing starts before every value has been read and found right.

`make` hands its values over in the environment (RECAB_LOG and so on), as they were typed: neither make nor a shell
reads them.
"""

import argparse
import errno
import importlib
import os
import re
import runpy
import signal
import sys
import traceback
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import yaml

from recab_helpers import paths
from recab_helpers.errors import DefectError, ParameterError, RecabError, Stopped
from recab_helpers.parameters import PRESETS, STAGES, ReadParams, ServeParams, nearest
from recab_helpers.pipeline.doors import DOORS, Door, doors_that_take
from recab_helpers.pipeline.stopping import SHELL, say_stopped, until_stopped

PATHS = {"log_file": "LOG", "users_file": "USERS"}  # parameters with a name of their own on the command line
OF_SEVERAL = {f.name for params in (*STAGES.values(), ServeParams) for f in fields(params) if f.type is not str}
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
    settings = [*_words(os.environ.get("RECAB_SET", "")), *args.set]
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

        check_early(tables)
    from recab_helpers.pipeline import notebooks  # loads papermill, when all values are right

    until_stopped(lambda stop: notebooks.run(args.door, params, stop=stop, fresh=fresh))


def _is_on(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0", "false", "no")


def _last_words(error: Exception) -> tuple[str, int]:
    """The one line that says what went wrong, and the exit code."""
    if isinstance(error, RecabError):
        return str(error), DEFECT if isinstance(error, DefectError) else FAILED
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full ({error.filename or paths.ROOT}). Free some space, and run it again.", FAILED
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


def read_values(params_file: str, settings: list[str], log_file: str = "", users_file: str = "") -> dict[str, Any]:
    """Values of the preset, then of the YAML file, then of NAME=VALUE settings and paths, later ones winning.

    Paths become absolute, since notebooks run in a folder of their own.

    Raises:
        ParameterError: what cannot be read, or a parameter that is set twice.
    """
    values = _of_file(params_file) if params_file else {}
    given = [_setting(setting) for setting in settings]
    given += [(name, path) for name, path in (("log_file", log_file), ("users_file", users_file)) if path]
    names = [name for name, _ in given]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ParameterError(f"{_shown(twice[0])} is given twice. Leave one of the two out.")
    values |= dict(given)
    preset = values.pop("preset", "default")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ParameterError(f"preset has {preset!r}. {nearest(str(preset), PRESETS)}")
    return {name: _from_here(name, value) for name, value in (PRESETS[preset] | values).items()}


def check_values(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The checked parameters of every stage of the door, by stage.

    Raises:
        ParameterError: a name that there is not, a value that the door does not use, or one that is not right.
    """
    door = DOORS[name]
    for parameter, value in values.items():
        _refuse_unless_taken(name, str(parameter), value)
    params: dict[str, Any] = {stage: STAGES[stage].of(values) for stage in door.stages}
    if door.parameters:
        params[name] = door.parameters.of(values)
    _check_names(params)
    for parameter, value in values.items():
        _refuse_if_unused(params, parameter, value)
    train, simulate = params.get("train"), params.get("simulate")
    if train and simulate and train.dataset == "synthetic" and simulate.slate_size > train.n_items:
        raise ParameterError(
            f"slate_size is {simulate.slate_size}, but n_items is {train.n_items}. Lower the one or raise the other."
        )
    return params


class _Loader(yaml.SafeLoader):
    """YAML that guesses little: dates, times and yes are text, and a number remembers how it was written."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node; an alias is refused, since a few of them can stand for millions of values."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"it uses the alias *{self.peek_event().anchor}. Write the value itself")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """A mapping in which no name stands twice."""
        names = [k.value for k, _ in node.value]
        if twice := [n for n in names if names.count(n) > 1]:
            raise yaml.YAMLError(f"{twice[0]} is given twice. Leave one of the two out")
        return super().construct_mapping(node, deep=deep)


class _Whole(int):
    text: str


class _Number(float):
    text: str


def _written(kind: type) -> Any:
    def construct(_: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
        value = kind(node.value.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        value.text = node.value
        return value

    return construct


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", "[-+]?[0-9][0-9_]*", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+0123456789."),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _written(_Whole))
_Loader.add_constructor("tag:yaml.org,2002:float", _written(_Number))


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


def _words(text: str) -> list[str]:
    """The text cut at blanks, but for those inside quotes or brackets; nothing in it is expanded or run."""
    words, word, open_, quote = [], "", 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"" and not word[-1:].isalnum():
            quote = c
        elif c in "[{":
            open_ += 1
        elif c in "]}":
            open_ -= 1
        if c.isspace() and not quote and open_ < 1:
            words.append(word)
            word = ""
        else:
            word += c
    if quote or open_ > 0:
        raise ParameterError(f"SET={text} cannot be read: a {'quote' if quote else 'bracket'} is not closed. Close it.")
    return [_bare(w) for w in (*words, word) if w]


def _bare(word: str) -> str:
    """The word without quotes around all of it."""
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def _of_file(params_file: str) -> dict[str, Any]:
    path = Path(params_file).expanduser()
    try:
        values = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader) or {}
    except UnicodeDecodeError as error:
        raise ParameterError(f"PARAMS={params_file} cannot be read: it is not UTF-8 text. Save it as UTF-8.") from error
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise ParameterError(f"PARAMS={params_file} cannot be read as YAML: {_cause(error)}.") from error
    if not isinstance(values, dict):
        raise ParameterError(f"PARAMS={params_file} holds no names; write one `name: value` per line.")
    return values


def _setting(setting: str) -> tuple[str, Any]:
    name, equals, text = setting.partition("=")
    if not equals:
        raise ParameterError(f"SET has {setting!r}; write name=value, such as seed=7.")
    if text.lstrip()[:1] in ("@", "`", "%", "&", "*", "!", "|", ">"):  # which mean something to YAML alone
        return name.strip(), text.strip()
    try:
        value = yaml.load(text, Loader=_Loader) if text.strip() else ""
        if isinstance(value, str) and value[:1] in ("[", "{") and name.strip() in OF_SEVERAL:  # in quotes of its own
            value = yaml.load(value, Loader=_Loader)
        return name.strip(), value
    except (yaml.YAMLError, RecursionError) as error:
        raise ParameterError(f"SET has {setting!r}, which cannot be read as YAML: {_cause(error)}.") from error


def _cause(error: Exception) -> str:
    """What is wrong with YAML, and where, in one line."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    said = " ".join(str(problem or getattr(error, "strerror", None) or error).split())
    return f"{said} in line {mark.line + 1}" if mark else said


def _refuse_unless_taken(name: str, parameter: str, value: Any) -> None:
    """Refuse a parameter that the door does not use, naming the doors that do, or the nearest right name."""
    takes = DOORS[name].takes
    if parameter in takes:
        return
    if others := doors_that_take(parameter):
        *most, last = [f"make {other}" for other in others]
        use = f"{', '.join(most)} and {last} do" if most else f"{last} does"
        raise ParameterError(f"{_shown(parameter)} is {value!r}, but make {name} does not use it; {use}. Leave it out.")
    if not takes:
        raise ParameterError(f"{parameter} is {value!r}, but make {name} takes no parameters. Leave it out.")
    raise ParameterError(f"There is no parameter {parameter}. {nearest(parameter, takes | {'preset'})}")


def _refuse_if_unused(params: dict[str, Any], parameter: str, value: Any) -> None:
    """Refuse a parameter that other values leave without a use in every stage that has it."""
    stages = [p for p in params.values() if hasattr(p, parameter)]
    reasons = [p.unused().get(parameter) for p in stages]
    if all(reasons):
        raise ParameterError(f"{_shown(parameter)} is {value!r}, but is not used: {reasons[0]}. Leave it out.")


def _check_names(params: dict[str, Any]) -> None:
    """Have data, models and metrics checked by the rooms that own their lists."""
    if "train" in params:
        from recab_helpers.data.sources import find_source

        find_source(params["train"].dataset)
    for stage in [params[s] for s in ("train", "simulate", "serve") if s in params]:
        from recab_helpers.recommenders.catalog import check_names

        check_names(stage.variants)
    if "analyze" in params and params["analyze"].metrics:  # loads numpy, so only where a metric is given
        from recab_helpers.analysis.metrics import goals_of, metrics_from

        goals_of(metrics_from(params["analyze"].metrics))


def _from_here(name: str, value: Any) -> Any:
    """A path that was typed in the working directory, so that it means the same in a notebook's."""
    if not isinstance(value, str) or not value:
        return value
    path = Path(value).expanduser()
    typed_elsewhere = name == "dataset" and path.exists() and Path.cwd() != paths.ROOT
    return str(path.resolve()) if name in PATHS or name in ("catalog_file", "clicks_file") or typed_elsewhere else value


def _shown(parameter: str) -> str:
    return f"{parameter} ({PATHS[parameter]})" if parameter in PATHS else parameter


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
