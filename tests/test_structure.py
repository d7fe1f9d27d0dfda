"""The house stays as it was drawn: two wings over leaves, imports that go one way, one door to each big library."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "recab_helpers"
LEAVES = "leaves"
MAKING = {"data": set(), "recommenders": {"data"}, "simulation": {"data", "recommenders"}}
READING = {
    "impressions": set(),
    "analysis": {"impressions"},
    "calibration": {"impressions", "analysis"},
    "report": {"impressions", "analysis"},
}
MEETING = {
    "tracking": {"recommenders"},
    "stages": {*MAKING, *READING, "tracking"},
    "pipeline": {"data", "recommenders", "impressions", "analysis", "report", "tracking"},
}
MAY_IMPORT = {LEAVES: set(), **MAKING, **READING, **MEETING}  # beside itself and the leaves
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(module: Path) -> str:
    """'recab_helpers/data/split.py' -> 'data.split'."""
    return ".".join(module.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def room_of(name: str) -> str:
    """The folder of a module; the modules beside the folders are the leaves."""
    folder = name.split(".")[0]
    return folder if (PACKAGE / folder).is_dir() else LEAVES


@cache
def imports_of(module: Path) -> frozenset[str]:
    """Dotted names of everything the module imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return frozenset(found)


@cache
def own_imports(module: Path) -> frozenset[str]:
    """Modules of the package that the module imports, each by its full name."""
    known = {name_of(m) for m in MODULES} - {"__init__"}
    ours = {i.removeprefix("recab_helpers.") for i in imports_of(module) if i.startswith("recab_helpers.")}
    return frozenset(i for i in ours if i in known)


def users_of(package: str) -> set[str]:
    return {name_of(m) for m in MODULES if any(i.split(".")[0] == package for i in imports_of(m))}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_its_rule_says(room):
    allowed = {room, LEAVES, *MAY_IMPORT[room]}
    entry = {"__init__", "__main__"}  # the package itself reaches every room
    wrong = {
        (name_of(m), i)
        for m in MODULES
        if room_of(name_of(m)) == room and name_of(m) not in entry
        for i in own_imports(m)
        if room_of(i) not in allowed
    }
    assert not wrong


def test_every_room_has_a_rule_and_no_rule_is_left_over():
    rooms = {room_of(name_of(m)) for m in MODULES}
    assert rooms == set(MAY_IMPORT)


def test_the_import_graph_shows_two_wings():
    """`pytest -s tests/test_structure.py` prints it: who imports whom, folder by folder."""
    graph = {
        room: {room_of(i) for m in MODULES if room_of(name_of(m)) == room for i in own_imports(m)} - {room, LEAVES}
        for room in MAY_IMPORT
    }
    for room, needs in graph.items():
        print(f"{room:>13} -> {', '.join(sorted(needs)) or 'leaves only'}")
    for room in READING:
        assert not graph[room] & {*MAKING, *MEETING}, room
    for room in MAKING:
        assert not graph[room] & {*READING, *MEETING}, room
    assert graph["stages"] >= {"simulation", "analysis", "report", "tracking"}


def test_no_modules_import_each_other_in_a_circle():
    graph = {name_of(m): {i for i in own_imports(m) if i != name_of(m)} for m in MODULES}
    packages = {name_of(m.parent / "__init__.py") for m in MODULES if m.name == "__init__.py"}
    graph = {m: {i for i in needs if i not in packages} for m, needs in graph.items() if m not in packages}
    while free := {m for m, needs in graph.items() if not needs & graph.keys()}:
        graph = {m: needs for m, needs in graph.items() if m not in free}
    assert not graph, f"in circles, or behind one: {sorted(graph)}"


def test_the_big_libraries_have_one_door_each():
    travels = {"recommenders.fitted"}  # goes with every registered model, and MLflow runs it
    assert {room_of(m) for m in users_of("mlflow") - travels} == {"tracking"}
    assert {room_of(m) for m in users_of("papermill")} == {"pipeline"}
    assert {room_of(m) for m in users_of("surprise")} == {"recommenders"}
    assert {room_of(m) for m in users_of("duckdb") - {"tables", "engine", "cells"}} == {"impressions"}
    assert {room_of(m) for m in users_of("matplotlib") | users_of("seaborn")} == {"report"}


def test_a_function_of_the_analysis_takes_no_impressions():
    for module in (PACKAGE / "analysis").glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                names = {a.arg for a in (*node.args.args, *node.args.kwonlyargs)}
                assert not names & {"impressions", "log", "rows"}, (module.name, node.name)


def test_every_test_file_is_named_after_a_module_or_a_file_of_the_project():
    of_project = {
        "contributing",
        "doctests",
        "docs",
        "environment",
        "notebooks",
        "faults",
        "fuzz",
        "mutations",
        "published",
        "structure",
        "readme",
        "browser",
        "page",
    }
    names = {name_of(m) for m in MODULES}
    for file in (ROOT / "tests").rglob("test_*.py"):
        parts = file.relative_to(ROOT / "tests").with_suffix("").parts
        about = parts[-1].removeprefix("test_")  # a module, or the whole folder
        module = ".".join(parts[:-1] if about == "".join(parts[-2:-1]) else [*parts[:-1], about])
        assert module in names or about in of_project, file
