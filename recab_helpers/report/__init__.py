"""The report's figures, tables and sentences; the same functions serve Jupyter and the page."""

from recab_helpers.report.fragments import (
    checks_table,
    effects_table,
    facts,
    lineage_table,
    quality_table,
    show,
    table,
    totals_table,
    truth_table,
    verdict_box,
    yardsticks_table,
)
from recab_helpers.report.plots import clicks_distribution, daily_ctr, lift_forest, report_style
from recab_helpers.report.sentences import (
    daily_headline,
    describe,
    describe_daily,
    describe_tail,
    headline,
    tail_headline,
)
from recab_helpers.report.summary import lineage, report_json

__all__ = [
    "checks_table",
    "clicks_distribution",
    "daily_ctr",
    "daily_headline",
    "describe",
    "describe_daily",
    "describe_tail",
    "effects_table",
    "facts",
    "headline",
    "lift_forest",
    "lineage",
    "lineage_table",
    "quality_table",
    "report_json",
    "report_style",
    "show",
    "table",
    "tail_headline",
    "totals_table",
    "truth_table",
    "verdict_box",
    "yardsticks_table",
]
