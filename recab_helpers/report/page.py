"""The page: an executed notebook through our own nbconvert template; one file, no request to any host."""

import re
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import TagRemovePreprocessor

TEMPLATE = Path(__file__).parent / "template"
HEADING = re.compile(r"<h2>(.*?)</h2>")


def render(notebook: Path) -> str:
    """The notebook's prose and HTML outputs as one page, with the H1 as title and the H2s as contents."""
    exporter = HTMLExporter(template_file=str(TEMPLATE / "report.html.j2"))
    exporter.register_filter("report_markdown", markdown)
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags={"remove-cell"}), enabled=True)
    content = nbformat.read(notebook, as_version=4)
    prose = "\n".join(c.source for c in content.cells if c.cell_type == "markdown")
    resources = {
        "title": re.search(r"^# (.*)", prose, re.MULTILINE)[1],
        "contents": [{"id": slug(h), "text": h} for h in re.findall(r"^## (.*)", prose, re.MULTILINE)],
        "css": (TEMPLATE / "report.css").read_text(),
    }
    page, _ = exporter.from_notebook_node(content, resources=resources)
    return page


def markdown(source: str) -> str:
    """Markdown as HTML; H2 headings get the ids that the contents link to."""
    html = MarkdownWithMath(renderer=IPythonRenderer(escape=True, exclude_anchor_links=True)).render(source)
    return HEADING.sub(lambda h: f'<h2 id="{slug(h[1])}">{h[1]}</h2>', html)


def slug(heading: str) -> str:
    """A heading as an id: 'Trust checks?' -> 'trust-checks'."""
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
