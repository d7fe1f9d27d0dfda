"""What a model that nobody was shown would have got, from a log with propensities."""

import math

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, OffPolicy
from recab_helpers.analysis.both_slates import GATE_ALPHA
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
        f"Effective sample size: the weights leave {formats.count(o.effective)} of {formats.count(o.n_users)} users. "
        f"{_gate(o)}{_unknown(o, known.called(variant))}"
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


def _gate(o: OffPolicy) -> str:
    """What the log says of the position model, on which every row rests."""
    if math.isnan(o.gate_p):
        return "Gate: not asked, since no user has two visits that tell whether a click lowers the clicks below it."
    said, p = "fewer" if o.gate_p < GATE_ALPHA else "not fewer, beyond chance,", formats.p_value(o.gate_p)
    return f"Gate: after a click on top, clicks below are {said} than after none on the same item (p {p})."


def _unknown(o: OffPolicy, name: str) -> str:
    if not o.unknown:
        return ""
    share = formats.percent(o.unknown / o.n_users, 0)
    return (
        f" {name} does not know {formats.count(o.unknown)} of the users ({share}); for them the number is of what it "
        "shows to those whom it does not know."
    )
