"""How an object of results shows itself in a notebook: its parts in a line each, never a wall of their contents."""

from dataclasses import fields, is_dataclass
from typing import Any

LONGEST = 100  # letters of a part that is shown as it is


class Brief:
    """A dataclass that a notebook shows in brief; `repr()` still gives all of it.

    A class may say itself in one line, by `in_words`; its parts are shown else.
    """

    def in_words(self) -> str:
        """What it says, in a line; empty where only its parts do."""
        return ""

    def __init_subclass__(cls) -> None:
        cls._repr_pretty_ = _show  # type: ignore[attr-defined]  # IPython prefers the repr of a class to its parent's


def _show(thing: Brief, printer: Any, cycle: bool) -> None:
    """What IPython asks of what a cell gives."""
    printer.text(type(thing).__name__ if cycle else thing.in_words() or in_brief(thing))


def in_brief(thing: Any) -> str:
    """The fields of a dataclass, one a line: short values as they are, of the others what they hold.

    >>> from dataclasses import make_dataclass
    >>> print(in_brief(make_dataclass("Box", ["size", "rows"])(3, list(range(500)))))
    Box
      size  3
      rows  500 of int
    """
    width = max((len(f.name) for f in fields(thing)), default=0)
    lines = [f"  {f.name:<{width}}  {_part(getattr(thing, f.name))}" for f in fields(thing)]
    return "\n".join([type(thing).__name__, *lines])


def _part(value: Any) -> str:
    if isinstance(value, Brief) and (said := value.in_words()):
        return said
    if hasattr(value, "columns") and hasattr(value, "index"):  # a data frame
        return f"table of {len(value):,} rows: {', '.join(map(str, value.columns))}"[:LONGEST]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"array {value.shape}"
    if isinstance(value, (list, tuple)) and value and (len(value) > 3 or is_dataclass(value[0])):
        return f"{len(value):,} of {type(value[0]).__name__}"
    if is_dataclass(value):
        return type(value).__name__
    if isinstance(value, dict) and len(repr(value)) > LONGEST:
        return f"{len(value)} by name: {', '.join(map(str, value))}"[:LONGEST]
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
