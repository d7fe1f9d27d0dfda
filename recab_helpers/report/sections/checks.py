"""The checks that gate the verdict, each with what it counted."""

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis
from recab_helpers.analysis.checks import GATE_ALPHA, NOVELTY_ALPHA, SRM_ALPHA
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import answered, table
from recab_helpers.report.kit.words import in_order, state_of

LEVELS = (
    f"Levels: each check has its own, {SRM_ALPHA:g} for a split of users, {GATE_ALPHA:g} for other gates and "
    f"{NOVELTY_ALPHA:g} for warnings, which its days, segments, columns or treatments share equally (Bonferroni)."
)


def checks(found: Analysis, known: Background) -> HTML:
    """Every check with its state, p and the counts behind it: those that failed first, then those not tested."""
    rows = [
        {"check": c.name, "state": state_of(c), "p_value": c.p_value, "detail": c.detail}
        for c in in_order(found.checks)
    ]
    passed = sum(c.state == "passed" for c in found.checks)
    said = f"{formats.count(passed)} of {formats.count(len(found.checks))} checks passed"
    return answered(said, table(pd.DataFrame(rows).set_index("check"), caption=LEVELS))
