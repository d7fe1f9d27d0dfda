"""From what is typed to checked parameters: nothing starts before every value has been read and found right.

`make` hands its values over in the environment (RECAB_LOG and so on), as they were typed: neither make nor a shell
reads them.
"""

import argparse
import os
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import yaml

from recab_helpers import paths
from recab_helpers.errors import ParameterError, RecabError
from recab_helpers.parameters import PRESETS, STAGES, nearest
from recab_helpers.pipeline.doors import DOORS, Door, doors_that_take

PATHS = {"log_file": "LOG", "users_file": "USERS"}  # parameters with a name of their own on the command line
USAGE, STOPPED = 2, 130  # exit codes, as shells have them


def main(arguments: list[str] | None = None) -> int:
    """Open one door; 0 when it worked, 1 when it did not, 2 for a line that cannot be read, 130 when stopped.

    Whatever is refused is refused in one line on stderr.
    """
    args = _parser().parse_args(arguments)
    door = DOORS[args.door]
    try:
        settings = [*_words(os.environ.get("RECAB_SET", "")), *args.set]
        params_file = args.params or os.environ.get("RECAB_PARAMS", "")
        paths = {name: getattr(args, name) or os.environ.get(f"RECAB_{typed}", "") for name, typed in PATHS.items()}
        params = check_values(args.door, read_values(params_file, settings, **paths))
        if door.program:
            return _start(door)
        from recab_helpers.pipeline import notebooks  # loads papermill, when all values are right

        notebooks.run(args.door, params)
    except RecabError as error:
        print("recab:", *str(error).split(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("recab: stopped.", file=sys.stderr)
        return STOPPED
    return 0


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
    params = {stage: STAGES[stage].of(values) for stage in door.stages}
    _check_names(params)
    for parameter, value in values.items():
        _refuse_if_unused(params, parameter, value)
    train, simulate = params.get("train"), params.get("simulate")
    if train and simulate and train.dataset == "synthetic" and simulate.slate_size > train.n_items:
        raise ParameterError(
            f"slate_size is {simulate.slate_size}, but n_items is {train.n_items}. Lower the one or raise the other."
        )
    return params


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument DOOR: ")
        end = "" if message.endswith((".", "?")) else "."
        print(f"recab: {message}{end} See `{self.prog} --help`.", file=sys.stderr)
        sys.exit(USAGE)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, DOORS))
    doors = "\n".join(f"  {name:<{width}}  {door.does}" for name, door in DOORS.items())
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
    return parser


def _door(name: str) -> str:
    if name not in DOORS:
        raise argparse.ArgumentTypeError(f"There is no door {name!r}. {nearest(name, DOORS)}")
    return name


def _words(text: str) -> list[str]:
    """The text cut at blanks, with quotes as in a shell; nothing in it is expanded or run."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ParameterError(f"SET={text} cannot be read: {error}. Close the quote, or leave it out.") from error


def _of_file(params_file: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(params_file).expanduser().read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(f"PARAMS={params_file} cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ParameterError(f"PARAMS={params_file} holds no names; write one `name: value` per line.")
    return values


def _setting(setting: str) -> tuple[str, Any]:
    name, equals, text = setting.partition("=")
    if not equals:
        raise ParameterError(f"SET has {setting!r}; write name=value, such as seed=7.")
    try:
        return name.strip(), yaml.safe_load(text) if text.strip() else ""
    except yaml.YAMLError as error:
        raise ParameterError(f"SET has {setting!r}, which cannot be read as YAML: {error}") from error


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
    for stage in [params[s] for s in ("train", "simulate") if s in params]:
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
    return str(path.resolve()) if name in PATHS or name == "catalog_file" or typed_elsewhere else value


def _shown(parameter: str) -> str:
    return f"{parameter} ({PATHS[parameter]})" if parameter in PATHS else parameter


def _start(door: Door) -> int:
    """Run the door's program in the project folder, in this process: Ctrl-C reaches it as it does alone."""
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel, whatever others are registered
    os.chdir(paths.ROOT)
    sys.argv = list(door.program)
    runpy.run_module(door.program[0], run_name="__main__", alter_sys=True)
    return 0
