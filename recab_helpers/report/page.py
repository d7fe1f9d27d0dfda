"""The pages: an executed notebook through our own nbconvert template, and the index of reports.

One file each, no request to any host: the policy in its head forbids them, and any script but our own.
"""

import base64
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from recab_helpers import formats
from recab_helpers.report.kit.html import ANSWER, TEMPLATE

HEADING = re.compile(r"<h2>(.*?)</h2>")
REMOVED, FOLDED, FIRST_IF_INVALID = "remove-cell", "folded", "first-if-invalid"


def render(
    notebook: Path | nbformat.NotebookNode, *, document: dict[str, Any] | None = None, files: Sequence[str] = ()
) -> str:
    """The notebook's prose and HTML outputs as one page, whose H2s are sections that fold.

    What stands before the first H2 leads the page. A section whose cells have nothing to show is left out; one tagged
    `folded` is closed but on paper, with the answer of its outputs (`html.answered`) beside its heading. `document` is
    the report's (`ab_report.json`), whose title the page takes; of an invalid test, the section tagged
    first-if-invalid moves above the others, and opens. `files` lie beside the page and are linked from its foot.
    """
    executed = nbformat.read(notebook, as_version=4) if isinstance(notebook, Path) else notebook
    cells = [c for c in executed.cells if REMOVED not in c.metadata.get("tags", [])]
    lead, *sections = _sections(cells)
    sections = [section for section in sections if _has_content(section)]
    invalid = document is not None and document["verdict"]["call"] == "invalid"
    if invalid:
        sections.sort(key=lambda section: FIRST_IF_INVALID not in section[0].metadata.get("tags", []))
    title = document["title"] if document else _heading("#", "\n".join(c.source for c in lead))
    resources = _frame(title) | {
        "lead": lead,
        "sections": [_section(cells, invalid=invalid) for cells in sections],
        "files": files,
    }
    exporter = HTMLExporter(template_file=str(TEMPLATE / "report.html.j2"))
    exporter.register_filter("report_markdown", markdown)
    page, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(), resources=resources)
    return page


def render_index(folder: Path) -> str:
    """The page that lists every report below `folder`, newest first, each in a folder of its own."""
    rows = [row for file in folder.glob("*/*/ab_report.json") if (row := _row(file, folder))]
    rows.sort(key=lambda row: row["created_at"], reverse=True)
    environment = Environment(loader=FileSystemLoader(TEMPLATE), autoescape=False)  # the template escapes
    return environment.get_template("index.html.j2").render(resources=_frame("Reports") | {"reports": rows})


def markdown(source: str) -> str:
    """Markdown as HTML, without its H2, which the summary of the section holds."""
    html = MarkdownWithMath(renderer=IPythonRenderer(escape=True, exclude_anchor_links=True)).render(source)
    return HEADING.sub("", html)


def slug(heading: str) -> str:
    """A heading as an id: 'Trust checks?' -> 'trust-checks'."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _heading(mark: str, source: str) -> str:
    """The first heading of this level; empty where there is none."""
    found = re.search(rf"^{mark} (.*)", source, re.MULTILINE)
    return found[1] if found else ""


def _sections(cells: list) -> list[list]:
    """The cells before the first H2, then those of each H2."""
    parts: list[list] = [[]]
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            parts.append([])
        parts[-1].append(cell)
    return parts


def _has_content(cells: list) -> bool:
    """Whether a cell of the section shows anything, or it is prose alone; prose above an empty output is not."""
    code = [c for c in cells if c.cell_type == "code"]
    return not code or any(o.get("data", {}).get("text/html", "").strip() for c in code for o in c.outputs)


def _section(cells: list, *, invalid: bool) -> dict[str, Any]:
    """What report.html.j2 takes of a section: prose above an output that is empty is left out with it."""
    tags = cells[0].metadata.get("tags", [])
    heading = _heading("##", cells[0].source)
    outputs = [o for c in cells for o in c.get("outputs", [])]
    answers = [o.metadata[ANSWER] for o in outputs if ANSWER in o.get("metadata", {})]
    followed = [*cells[1:], None]
    shown = [
        cell
        for cell, after in zip(cells, followed, strict=True)
        if cell is cells[0] or cell.cell_type == "code" or after is None or _has_content([after])
    ]
    return {
        "heading": heading,
        "id": slug(heading),
        "answer": ". ".join(answers),
        "open": FOLDED not in tags or (invalid and FIRST_IF_INVALID in tags),
        "cells": shown,
    }


def _frame(title: str) -> dict[str, Any]:
    """What frame.html.j2 takes: the title, the styles, the script and its hash for the policy."""
    script = (TEMPLATE / "page.js").read_text()
    return {
        "title": title,
        "css": "".join((TEMPLATE / f"{name}.css").read_text() for name in ("fragments", "page")),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }


def _row(file: Path, folder: Path) -> dict[str, Any]:
    """What the index says of a report; nothing, and a warning, where its document is cut or no report of recab's."""
    try:
        return _facts(json.loads(file.read_text(encoding="utf-8")), file, folder)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        shown = file.relative_to(folder)
        print(f"recab: passed over {shown}, which is no whole report ({type(error).__name__}).", file=sys.stderr)
        return {}


def _facts(document: dict[str, Any], file: Path, folder: Path) -> dict[str, Any]:
    goals = [e for e in document["effects"] if e["role"] == "goal" and e["lift"] is not None]
    goal = max(goals, key=lambda e: e["direction"] * e["lift"], default=None)
    read = None if document["verdict"]["call"] == "invalid" else goal
    return {
        "created_at": datetime.fromisoformat(document["created_at"]).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "variants": ", ".join(v["model"] or v["name"] for v in document["variants"]),
        "experiment": document["experiment"],
        "kind": document.get("kind", "not said"),
        "call": document["verdict"]["call"],
        "sentence": document["verdict"]["sentence"],
        "lift": read["lift"] if read else None,
        "lift_text": f"{read['label']} {formats.lift(read['lift'])}" if read else "none",
        "folder": file.parent.relative_to(folder).as_posix(),
        "run": file.parent.name[:8],
    }
