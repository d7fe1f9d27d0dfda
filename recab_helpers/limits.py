"""What a single parameter may be: its type and its limits, each refused with the value, the limit and the way out."""

import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from recab_helpers.errors import ParameterError, nearest

LONGEST_NAME = 200  # bytes; a folder's name holds 255, and a model's name has the experiment's before it
METRIC_FIELDS: dict[str, Any] = {  # of a metric that is given whole; `name` is required
    "name": str,
    "label": str,
    "kind": str,
    "numerator": str,
    "denominator": str,
    "role": str,
    "direction": int,
    "margin": float,
    "covariate": list[str],
    "share": bool,
    "quantile": float,
}


def typed(name: str, value: Any, kind: Any) -> Any:
    """The value in the declared type; a wrong type is refused, never guessed."""
    if get_origin(kind) is UnionType:
        kinds = get_args(kind)
        if value is None and type(None) in kinds:
            return None
        return typed(name, value, next((k for k in kinds if get_origin(k) is type(value)), kinds[0]))
    if get_origin(kind) is dict:
        return _typed_mapping(name, value, get_args(kind)[1])
    if get_origin(kind) is list:
        return _typed_list(name, value, get_args(kind)[0])
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, (int, float)):
        return _as_written(value)
    if kind in (int, float) and isinstance(value, kind) and not isinstance(value, bool):
        return kind(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    expected = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[kind]
    raise ParameterError(f"{name} is {value!r}; give {expected}.")


def _typed_list(name: str, value: Any, kind: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        value = [_as_written(v) if isinstance(v, (int, float)) else v for v in value]
        value = [v | {"name": _as_written(v["name"])} if _is_numbered(v) else v for v in value]
    if isinstance(value, (list, tuple)) and all(isinstance(v, kind) for v in value):
        return list(value)
    also = "" if kind is str else ", or of metrics, [{name: a, role: goal}]"
    raise ParameterError(f"{name} is {value!r}; give a list of names, [a, b]{also}.")


def _typed_mapping(name: str, value: Any, kind: Any) -> dict[str, Any]:
    """A mapping from names to values of the kind; () stands for an empty one."""
    values = dict(value) if isinstance(value, dict) or value == () else None
    if values is None:
        shown = "{control: 0.7, b: 0.3}" if kind is float else "{user_id: uid}"
        raise ParameterError(f"{name} is {value!r}; give values by name, {shown}.")
    return {
        _as_written(k) if isinstance(k, (int, float)) else str(k): typed(f"{k} of {name}", v, kind)
        for k, v in values.items()
    }


def _as_written(value: Any) -> str:
    """A number as it was typed, 1.10 or 007, where the command line has kept that; else as Python writes it."""
    return getattr(value, "text", str(value).lower() if isinstance(value, bool) else str(value))


def _is_numbered(metric: Any) -> bool:
    """Whether it is a metric whose name was typed as a number."""
    return isinstance(metric, dict) and isinstance(metric.get("name"), (int, float))


def within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ParameterError(f"{name} is {_plain(value)}; give a value from {_plain(low)} to {_plain(high)}.")


def inside(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        limits = f"{_plain(low)} and {_plain(high)}"
        raise ParameterError(f"{name} is {_plain(value)}; give a value between {limits}, both excluded.")


def _plain(value: float) -> str:
    """1000000000.0 -> '1,000,000,000', 0.5 -> '0.5': never a power of ten where it is whole."""
    return f"{value:,.0f}" if math.isfinite(value) and value == round(value) and abs(value) < 1e15 else f"{value:g}"


def one_of(name: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ParameterError(f"{name} has {value!r}. {nearest(value, choices)}")


def is_day(text: str) -> bool:
    """Whether the text is a date with or without its time, or the number of a day."""
    try:
        return text.lstrip("-").isdigit() or bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def folder_name(name: str, value: str) -> None:
    """A name that is also a folder's: it may not leave the folder above it, nor be one that no system takes."""
    wrong = set(value) & set("/\\:\"'") or not value.isprintable() or value != value.strip(" .")
    if not value or wrong:
        raise ParameterError(
            f"{name} is {value!r}; give a name without slash, colon or quote, and without a dot or blank at its ends, "
            "such as recab."
        )
    if len(value.encode()) > LONGEST_NAME:
        raise ParameterError(f"{name} has {len(value.encode())} bytes; give a name of at most {LONGEST_NAME}.")


def there(name: str, value: str) -> None:
    """A path, or a glob, of what is there; nothing given is nothing asked."""
    path = Path(value).expanduser()
    if value and not path.exists() and not (set("*?[") & set(value) and any(Path(path.anchor).glob(_below(path)))):
        raise ParameterError(f"{name} is {value!r}, but there is no such file or folder. Correct the path.")


def _below(path: Path) -> str:
    """The path as a pattern below its anchor."""
    return str(path.relative_to(path.anchor))


def shares(name: str, shares: dict[str, float]) -> None:
    """Refuse shares that are not those of at least two variants, or that do not make up a whole."""
    if len(shares) < 2 or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ParameterError(
            f"{name} is {shares}; give the planned share of every variant, above 0 and 1 in all, "
            "{control: 0.7, a: 0.2, b: 0.1}."
        )


def metrics(metrics: list[str | dict]) -> None:
    """Refuse a metric without a name, a field that no metric has, a value of the wrong type, a name given twice."""
    names = [_metric_name(metric) for metric in metrics]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ParameterError(f"metrics names {twice[0]} twice. Leave one out, or give it another name.")


def _metric_name(metric: str | dict) -> str:
    if isinstance(metric, str):
        return metric
    if not metric.get("name"):
        raise ParameterError(f"metrics has {metric!r} without a name. Add name: and the column that is read.")
    for field, value in metric.items():
        if field not in METRIC_FIELDS:
            raise ParameterError(f"metric {metric['name']} has {field!r}. {nearest(str(field), METRIC_FIELDS)}")
        typed(f"{field} of the metric {metric['name']}", value, METRIC_FIELDS[field])
    return str(metric["name"])


def is_number(text: str) -> bool:
    """Whether the text writes a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
