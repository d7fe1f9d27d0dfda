"""What is typed becomes checked parameters: YAML without its surprises, names and values that the door uses."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from recab_helpers import paths
from recab_helpers.errors import ParameterError, nearest
from recab_helpers.parameters import PRESETS, STAGES, ServeParams
from recab_helpers.pipeline.doors import DOORS, doors_that_take

PATHS = {"log_file": "LOG", "users_file": "USERS"}  # parameters with a name of their own on the command line
OF_SEVERAL = {f.name for params in (*STAGES.values(), ServeParams) for f in fields(params) if f.type is not str}


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


def words(text: str) -> list[str]:
    """The text cut at blanks, but for those inside quotes or brackets; nothing in it is expanded or run.

    Raises:
        ParameterError: a quote or a bracket is not closed.
    """
    found, word, open_, quote = [], "", 0, ""
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
            found.append(word)
            word = ""
        else:
            word += c
    if quote or open_ > 0:
        raise ParameterError(f"SET={text} cannot be read: a {'quote' if quote else 'bracket'} is not closed. Close it.")
    return [_bare(w) for w in (*found, word) if w]


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
        from recab_helpers.data.sources import source_of

        source_of(params["train"])
    for stage in [params[s] for s in ("train", "simulate", "designs", "serve") if s in params]:
        from recab_helpers.recommenders.catalog import check_names

        check_names(stage.variants)
    analyze = params.get("analyze")
    if analyze and (analyze.metrics or analyze.covariates):  # loads numpy, so only where one is given
        from recab_helpers.analysis.metrics import goals_of, metrics_from

        goals_of(metrics_from(analyze.metrics, analyze.covariates))


def _from_here(name: str, value: Any) -> Any:
    """A path that was typed in the working directory, so that it means the same in a notebook's."""
    if not isinstance(value, str) or not value:
        return value
    path = Path(value).expanduser()
    typed_elsewhere = name == "dataset" and path.exists() and Path.cwd() != paths.ROOT
    return str(path.resolve()) if name in PATHS or name in ("catalog_file", "clicks_file") or typed_elsewhere else value


def _shown(parameter: str) -> str:
    return f"{parameter} ({PATHS[parameter]})" if parameter in PATHS else parameter
