"""What a model that nobody was shown would have got, from a log with propensities."""

import math

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, OffPolicy
from recab_helpers.report import instead
from recab_helpers.report.background import Background
from recab_helpers.report.kit.figures import LiftRow, lifts_figure
from recab_helpers.report.kit.html import Number, answered, interval, joined, note, table

WAYS = {
    "doubly robust": "Appeals of items, corrected by the weighed clicks",
    "inverse propensity": "Clicks, weighed",
    "self-normalized": "Clicks, weighed, over the sum of weights",
    "direct method": "Appeals of items alone",
}


def off_policy(found: Analysis, known: Background) -> HTML:
    """Each estimate of each target with its interval, and what the log supports; no number where it does not."""
    if not found.off_policy or not found.verdict.valid:
        return HTML("")
    pieces = [_one(v, o, known) for v, o in found.off_policy.items()]
    return answered(instead.headline(found, known), *pieces)


def _one(variant: str, o: OffPolicy, known: Background) -> HTML:
    low, high = (formats.percent(min(x, 1.0), 0) for x in o.support_ci)
    support = note(
        f"Support: the log's policy could have shown {formats.percent(min(o.support, 1.0), 0)} of what "
        f"{known.called(variant)} shows, by how likely each place is looked at (interval {low} to {high}). "
        f"Effective sample size: the weights leave {formats.count(o.effective)} of {formats.count(o.n_users)} users."
    )
    if not o.main:
        return joined(note(f"No number is given: {o.refused}."), support)
    truth = known.true_lifts().get(variant, math.nan)
    rows = [LiftRow(label=WAYS[e.method], lift=e.lift, ci=e.ci, truth=truth) for e in o.estimates]
    title = f"By the log, {known.called(variant)} would have had {formats.lift(o.main.lift)} in CTR"
    values = [
        {
            "method": f"{WAYS[e.method]} ({e.method})",
            "CTR": Number(e.ctr, formats.percent(e.ctr)),
            "lift": Number(e.lift, formats.lift(e.lift)),
            f"{formats.confidence(o.alpha)} interval": interval(e.ci),
            "p_value": e.p_value,
        }
        for e in o.estimates
    ]
    own = f"CTR of the log's own model: {formats.percent(o.own_ctr)}. The first row is the one that is read."
    return joined(
        lifts_figure(rows, title=title), support, table(pd.DataFrame(values).set_index("method"), caption=own)
    )
