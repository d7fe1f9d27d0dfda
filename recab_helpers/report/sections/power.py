"""What this test could find: the smallest lift of every metric."""

from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import folded, said_once, table
from recab_helpers.report.verdict import finds


def power(found: Analysis, known: Background) -> HTML:
    """The smallest lift of the goal that this test finds (MDE), in a sentence; then that of every metric."""
    if found.power.empty or not found.verdict.valid:
        return HTML("")
    frame = found.power.assign(variant=[known.called(v) for v in found.power["variant"]])
    return folded(finds(found), table(said_once(frame.drop(columns="against"), "variant").set_index("metric")))
