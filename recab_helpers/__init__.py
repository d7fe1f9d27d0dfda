"""recab: rehearse an A/B test of recommenders, then read the real one.

Two wings. One makes a test: `data` -> `recommenders` -> `simulation`. The other reads one, wherever its log came from:
`impressions` -> `analysis` -> `report`, and `calibration`, which grades the analysis. They meet in the `stages`.
`import recab_helpers` reaches them all; each is loaded when first used.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"
_MODULES = (
    "analysis",
    "calibration",
    "data",
    "impressions",
    "parameters",
    "recommenders",
    "report",
    "simulation",
    "stages",
    "tracking",
)


def __getattr__(name: str) -> ModuleType:
    if name in _MODULES:
        return importlib.import_module(f"recab_helpers.{name}")
    raise AttributeError(f"recab_helpers has no part named {name}; it has {', '.join(_MODULES)}.")


def __dir__() -> list[str]:
    return [*_MODULES, "__version__"]
