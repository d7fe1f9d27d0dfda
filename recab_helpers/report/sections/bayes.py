"""The estimates read the Bayesian way."""

from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Effect
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import folded, interval, note, said_once, table


def bayes(found: Analysis, known: Background) -> HTML:
    """Chance to be better and expected loss of every defined goal and secondary lift, with the prior stated.

    A lift so large that the prior pulls its reading out of its own interval is not read.
    """
    if not found.verdict.valid or found.bayes.empty:
        return HTML("")
    b = found.bayes
    estimates = {(e.metric.label, e.comparison.variant): e for e in found.effects}
    pulled = [
        _pulled(estimates[key], low, high)
        for key, low, high in zip(zip(b["metric"], b["variant"], strict=True), b["low"], b["high"], strict=True)
    ]
    rows = b[[not p for p in pulled]]
    intervals = [interval(ci) for ci in zip(rows["low"], rows["high"], strict=True)]
    frame = rows.drop(columns=["low", "high", "against"]).assign(**{"95% credible interval": intervals})
    tests = f", fitted to {formats.count(found.prior.tests)} past lifts" if found.prior.tests else ", stated"
    spread = f"mostly within {formats.percent(found.prior.sd, 0 if found.prior.sd >= 0.02 else 1)}"
    prior = (
        f"Prior of every log(1 + lift): normal, mean zero, standard deviation {found.prior.sd:.2g}{tests}: {spread}."
    )
    names = ", ".join(dict.fromkeys(b["metric"][pulled]))
    aside = note(f"Not read: {names}. So large a lift is outside what the prior expects, which would pull it to zero.")
    shown = table(said_once(frame, "variant").set_index("metric"), caption=prior) if len(rows) else HTML("")
    return folded("The same estimates, the Bayesian way", aside if any(pulled) else HTML(""), shown)


def _pulled(e: Effect, low: float, high: float) -> bool:
    """Whether the credible interval leaves the estimate out, so that the prior contradicts the data."""
    good = e.lift if e.metric.direction > 0 else 1 / (1 + e.lift) - 1
    return not low <= good <= high
