"""recab: rehearse an A/B test of recommenders, then read the real one.

The folders are the flow: `data` -> `recommenders` -> `simulation` -> `experiment` -> `report`.
`import recab_helpers` reaches them all; each is loaded when first used.
"""

import importlib

__version__ = "0.1.0"
_MODULES = ("data", "experiment", "parameters", "recommenders", "report", "simulation", "tracking")


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"recab_helpers.{name}")
    raise AttributeError(f"recab_helpers has no part named {name}; it has {', '.join(_MODULES)}.")


def __dir__() -> list[str]:
    return [*_MODULES, "__version__"]
