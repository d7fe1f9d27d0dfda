"""recab: rehearse an A/B test of recommenders, then read the real one.

Two wings. One makes a test: `data` -> `recommenders` -> `simulation`. The other reads one, wherever its log came from:
`impressions` -> `analysis` -> `report`, and `calibration`, which grades the analysis. They meet in the `stages`.
`import recab_helpers` reaches them all; each is loaded when first used. Whoever brings a model of their own needs two
functions of the stages, which it reaches too: `load_training` and `check_model`.
"""

import importlib
from typing import Any

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
_OWN_MODELS = ("check_model", "load_training")  # what who brings a model needs; docs/your_model.md


def __getattr__(name: str) -> Any:
    if name in _OWN_MODELS:
        return getattr(importlib.import_module("recab_helpers.stages"), name)
    if name in _MODULES:
        return importlib.import_module(f"recab_helpers.{name}")
    raise AttributeError(f"recab_helpers has no part named {name}; it has {', '.join(_MODULES)}.")


def __dir__() -> list[str]:
    return [*_MODULES, *_OWN_MODELS, "__version__"]
