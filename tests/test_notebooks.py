"""Notebooks stay good reads: prose that asks, cells that call and show, no outputs in git."""

import ast
import re

import nbformat
import pytest

import recab_helpers
from recab_helpers.paths import NOTEBOOKS

FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
SCREEN = 12  # lines of a cell that are seen together with what it shows
NAMED = re.compile(r"`[^`]*`|\b[A-Za-z][A-Za-z-]*@?\d+\b")  # code, and names such as NDCG@10 or H1
NUMBER = re.compile(r"\d|\bper ?cent\b|%")


@pytest.fixture(params=FILES, ids=lambda p: p.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook) -> list:
    return [c for c in notebook.cells if c.cell_type == "code"]


def prose(notebook) -> list[str]:
    return [c.source for c in notebook.cells if c.cell_type == "markdown"]


def has_tag(cell, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def test_one_title_and_one_parameters_cell(notebook):
    lines = "\n".join(prose(notebook)).splitlines()
    assert sum(line.startswith("# ") for line in lines) == 1
    assert sum(has_tag(c, "parameters") for c in code(notebook)) == 1


def test_no_outputs_and_no_counts_are_kept(notebook):
    assert not any(c.outputs or c.execution_count for c in code(notebook))


def test_cells_only_call(notebook):
    """Whatever branches, loops or is defined stands in the package, where it has a name, a docstring and a test."""
    refused = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Try, ast.Import, ast.ImportFrom)
    for cell in code(notebook)[1:]:
        assert not [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, refused)], cell.source


def test_a_cell_is_seen_whole_with_what_it_shows(notebook):
    """But for the settings, whose cell is as long as they are many."""
    cells = [c for c in code(notebook) if not has_tag(c, "parameters")]
    assert all(c.source.strip() for c in notebook.cells)
    assert [c.source for c in cells if len(c.source.splitlines()) > SCREEN] == []


def test_sections_ask_a_question_and_prose_stands_before_their_first_cell(notebook):
    headings = [line for text in prose(notebook) for line in text.splitlines() if line.startswith("## ")]
    assert [h for h in headings if not h.endswith("?")] == []
    bare = [text for text in prose(notebook) if text.startswith("## ") and len(text.splitlines()) < 2]
    assert bare == []


def test_prose_quotes_no_number(notebook):
    """Numbers change with the run; prose that quotes one is wrong after the next."""
    quoted = [(text, found) for text in prose(notebook) if (found := NUMBER.findall(NAMED.sub("", text)))]
    assert quoted == []


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        ("A lift of 5 comes", True),
        ("at five percent", True),
        ("H1, NDCG@10, `k=3`", False),
        ("A/B", False),
        ("12 users", True),
    ],
)
def test_what_counts_as_a_quoted_number(text, quotes):
    assert bool(NUMBER.search(NAMED.sub("", text))) == quotes


def test_every_cell_has_an_id_of_its_own(notebook):
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == len(ids)


def test_whatever_a_notebook_imports_is_reached_from_the_package(notebook):
    imported = {
        alias.name if node.module == "recab_helpers" else node.module.split(".")[1]
        for node in ast.walk(ast.parse(code(notebook)[0].source))
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "recab_helpers"
        for alias in node.names
    }
    assert imported
    assert imported <= set(dir(recab_helpers))
