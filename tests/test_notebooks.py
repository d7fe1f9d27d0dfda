"""Notebooks stay good reads: short cells, no definitions, no outputs in git."""

import ast

import nbformat
import pytest

from recab_helpers.pipeline import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook) -> list:
    return [c for c in notebook.cells if c.cell_type == "code"]


def test_one_title_and_one_parameters_cell(notebook):
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert sum(line.startswith("# ") for line in prose.splitlines()) == 1
    assert sum("parameters" in c.metadata.get("tags", []) for c in code(notebook)) == 1


def test_no_outputs_and_no_counts_are_kept(notebook):
    assert not any(c.outputs or c.execution_count for c in code(notebook))


def test_cells_are_short_and_only_call(notebook):
    cells = code(notebook)
    lines = [len(c.source.splitlines()) for c in cells]
    assert max(lines) <= 10
    assert sum(lines) <= 60
    assert sorted(lines)[len(lines) // 2] <= 3
    refused = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Import, ast.ImportFrom)
    for cell in cells[1:]:
        assert not [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, refused)]


def test_prose_asks_and_never_quotes_a_number(notebook):
    words = sum(len(c.source.split()) for c in notebook.cells if c.cell_type == "markdown")
    lines = sum(len(c.source.splitlines()) for c in code(notebook))
    assert 4 <= words / lines <= 12
    assert all(c.source.strip() for c in notebook.cells)


def test_every_cell_has_an_id_of_its_own(notebook):
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == len(ids)
