"""The page of an open notebook: what `make analyze` writes, from the names that the notebook holds now."""

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from IPython import get_ipython
from IPython.core.formatters import DisplayFormatter

from recab_helpers import paths
from recab_helpers.errors import DataError
from recab_helpers.report.document import report_json
from recab_helpers.report.page import REMOVED, render

NEEDED = ("found", "known")
SESSION = "JPY_SESSION_NAME"  # where Jupyter tells a kernel the path of its notebook
NAME = "notebook.html"


def page(names: Mapping[str, Any] | None = None, to: str | Path = "") -> Path:
    """Write the page of the open notebook, or of 03_analyze where another is open; returns its path.

    Every cell that calls `report.` is computed anew from `found` and `known`, as the notebook holds them now or `names`
    gives them; other cells keep the outputs that were saved. The page is `to`, by default reports/notebook.html.

    Raises:
        DataError: there is no `found` or no `known` yet.
    """
    shell = get_ipython()
    held = dict(names if names is not None else shell.user_ns if shell else {})
    if absent := [n for n in NEEDED if n not in held]:
        raise DataError(
            f"There is no {absent[0]} yet, which the page is made from. Run the cells of 03_analyze up to its first "
            "section."
        )
    notebook = nbformat.read(_source(), as_version=4)
    formatter = shell.display_formatter if shell else DisplayFormatter()
    from recab_helpers import report

    held |= {"report": report}
    for cell in notebook.cells:
        if cell.cell_type == "code" and REMOVED not in cell.metadata.get("tags", []) and _is_section(cell.source):
            data, metadata = formatter.format(eval(cell.source, held))
            cell.outputs = [nbformat.v4.new_output("display_data", data, metadata=metadata)]
    target = Path(to) if to else paths.REPORTS / NAME
    target.write_text(render(notebook, document=report_json(held["found"], held["known"])), encoding="utf-8")
    return target


def _source() -> Path:
    """The notebook that is open, where Jupyter says which and it has sections; else that of the analysis."""
    ours = paths.NOTEBOOKS / "03_analyze.ipynb"
    opened = Path(os.environ.get(SESSION, ""))
    if opened.suffix != ".ipynb" or not opened.is_file():
        return ours
    cells = nbformat.read(opened, as_version=4).cells
    return opened if any(c.cell_type == "code" and _is_section(c.source) for c in cells) else ours


def _is_section(source: str) -> bool:
    """Whether the cell is one expression, a section of the report."""
    try:
        return ast.unparse(ast.parse(source.strip(), mode="eval")).startswith("report.sections.")
    except SyntaxError:
        return False
