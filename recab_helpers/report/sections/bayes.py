"""The estimates read the Bayesian way."""

from IPython.display import HTML

from recab_helpers.analysis import Analysis
from recab_helpers.assumptions import PRIOR_SD
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import interval, note, said_once, table
from recab_helpers.report.kit.words import NOT_READ


def bayes(found: Analysis, known: Background) -> HTML:
    """Chance to be better and expected loss of every defined goal and secondary lift, with the prior stated."""
    if not found.verdict.valid:
        return note(NOT_READ)
    if found.bayes.empty:
        return note("No lift is defined, so there is nothing to read.")
    intervals = [interval(ci) for ci in zip(found.bayes["low"], found.bayes["high"], strict=True)]
    frame = found.bayes.drop(columns=["low", "high"]).assign(**{"95% credible interval": intervals})
    prior = f"Prior of every log(1 + lift): normal, mean zero, standard deviation {PRIOR_SD:g}: mostly within 20%."
    return table(said_once(frame, "variant", "against").set_index("metric"), caption=prior)
