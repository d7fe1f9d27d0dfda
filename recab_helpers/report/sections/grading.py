"""How often the analysis, and the usual ways, raise a false alarm in A/A tests of the users of this very log."""

from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import table


def grading(found: Analysis, known: Background) -> HTML:
    """The rate at which each method rejects or stops, with its Monte Carlo error."""
    if known.grading is None:
        return HTML("")
    rows = known.grading
    named = rows.assign(method=rows["kind"] + ": " + rows["method"])
    return table(named.drop(columns="kind").set_index("method"))
