"""`report.page()` writes the page of the notebook that is open, from what it holds now."""

import nbformat
import pytest

from recab_helpers import paths, report
from recab_helpers.errors import DataError
from recab_helpers.report.open_notebook import SESSION


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """A folder of reports of this test's own, and no notebook that Jupyter names."""
    monkeypatch.setattr(paths, "REPORTS", tmp_path)
    monkeypatch.delenv(SESSION, raising=False)
    return tmp_path


def test_the_page_is_that_of_the_analysis_with_what_is_held_now(found, known, reports):
    page = report.page({"found": found, "known": known})
    assert page == reports / "notebook.html"
    text = page.read_text()
    assert report.sentence(found, known) in text
    for section in ("How much did each metric change?", "Can the numbers be trusted?"):
        assert f"{section}</h2>" in text
    assert "remove-cell" not in text


def test_an_open_notebook_of_ones_own_is_the_page(found, known, reports, tmp_path, monkeypatch):
    cells = [
        nbformat.v4.new_markdown_cell("# Mine\n\nA word before."),
        nbformat.v4.new_code_cell("report.sections.lifts(found, known)"),
        nbformat.v4.new_code_cell("1 / 0  # is not run again"),
    ]
    notebook = tmp_path / "mine.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    monkeypatch.setenv(SESSION, str(notebook))
    text = report.page({"found": found, "known": known}, tmp_path / "mine.html").read_text()
    assert "A word before." in text
    assert '<figure class="recab">' in text
    assert "Can the numbers be trusted?" not in text


def test_before_there_is_an_analysis_it_says_what_to_run():
    with pytest.raises(DataError, match=r"There is no found yet.* Run the cells of 03_analyze"):
        report.page({})
