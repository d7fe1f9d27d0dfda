"""The structure stays what the README says: one door to MLflow, and imports that go one way."""

import ast
from pathlib import Path

import pytest

from recab_helpers.paths import ROOT

PACKAGE = ROOT / "recab_helpers"
FLOW = ("data", "recommenders", "simulation", "experiment", "report")
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(module: Path) -> set[str]:
    """Dotted names of everything the module imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return found


def users_of(package: str) -> set[str]:
    return {str(m.relative_to(PACKAGE)) for m in MODULES if any(i.split(".")[0] == package for i in imports_of(m))}


def test_mlflow_and_papermill_have_one_door_each():
    of_mlflow = users_of("mlflow") - {"recommenders/fitted.py"}  # the file that travels with a model
    assert {m.split("/")[0] for m in of_mlflow} == {"tracking"}
    assert users_of("papermill") == {"pipeline.py"}


def test_nothing_imports_the_pipeline():
    assert not [m for m in MODULES if any("recab_helpers.pipeline" in i for i in imports_of(m))]


@pytest.mark.parametrize("part", ["data", "recommenders", "experiment"])
def test_a_part_of_the_flow_does_not_import_a_later_one(part):
    later = {"data": FLOW[1:], "recommenders": FLOW[2:], "experiment": ("recommenders", "simulation", "report")}[part]
    for module in sorted((PACKAGE / part).glob("*.py")):
        wrong = {i for i in imports_of(module) for p in (*later, "tracking") if i.startswith(f"recab_helpers.{p}")}
        assert not wrong, module
