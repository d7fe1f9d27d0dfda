"""Packages whose names are loaded when first used, so that reading a list of names loads no library."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attach(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package (PEP 562); `homes` gives the names of each of its modules."""
    home_of = {name: module for module, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        if name in home_of:
            return getattr(import_module(f"{package}.{home_of[name]}"), name)
        raise AttributeError(f"{package} has no part named {name}; it has {', '.join(sorted(home_of))}.")

    return get, lambda: sorted(home_of), sorted(home_of)
