"""The page and its document: sections over a small kit, `ab_report.json`, and the sentences of the verdict."""

from recab_helpers.report import sections
from recab_helpers.report.background import Background, Served
from recab_helpers.report.document import effects_csv, lineage, report_json
from recab_helpers.report.kit.figures import counts_figure, ctr_figure, power_figure, rates_figure
from recab_helpers.report.kit.html import facts, note, show, style, table
from recab_helpers.report.kit.plot import report_style
from recab_helpers.report.open_notebook import page
from recab_helpers.report.sections.truth import yardsticks_table
from recab_helpers.report.verdict import sentence, title

__all__ = [
    "Background",
    "Served",
    "counts_figure",
    "ctr_figure",
    "effects_csv",
    "facts",
    "lineage",
    "note",
    "page",
    "power_figure",
    "rates_figure",
    "report_json",
    "report_style",
    "sections",
    "sentence",
    "show",
    "style",
    "table",
    "title",
    "yardsticks_table",
]
