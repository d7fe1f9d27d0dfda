"""The verdict box: the call, its sentence and reasons, every check with its state, and what was compared."""

from html import escape

from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis
from recab_helpers.report import verdict as words
from recab_helpers.report.background import Background
from recab_helpers.report.kit.words import in_order, model_name, state_of


def verdict(found: Analysis, known: Background) -> HTML:
    """The call in a box that leads the page."""
    reasons = "".join(f"<li>{escape(r)}</li>" for r in words.reasons(found))
    states = "".join(
        f'<li class="{state_of(c).replace(" ", "-")}">{escape(c.name)}: {state_of(c)}</li>'
        for c in in_order(found.checks)
    )
    change = words.would_change(found)
    return HTML(
        f'<div class="recab verdict {found.verdict.call.replace(" ", "-")}" role="group" aria-label="Verdict">'
        f'<p class="call">{escape(found.verdict.call)}</p><p class="sentence">{escape(words.sentence(found))}</p>'
        f'<ul class="reasons">{reasons}</ul>{f"<p>{escape(change)}</p>" if change else ""}'
        f'<ul class="checks" aria-label="Checks">{states}</ul>'
        f'<p class="compared">{escape("; ".join(_compared(found, known)))}</p></div>'
    )


def _compared(found: Analysis, known: Background) -> list[str]:
    """The variants with their models and users, the days, and whether it was an A/A test."""
    models = {v: f" is {model_name(address)}" for v, address in known.models.items()}
    parts = [f"{v}{models.get(v, '')} ({formats.count(n)} users)" for v, n in found.test.users.counts.items()]
    if found.by_day is not None:
        days = found.by_day.index.unique("day").size
        parts.append(f"{formats.count(days)} {'day' if days == 1 else 'days'}")
    if len(known.models) > 1 and len(set(known.models.values())) == 1:
        parts.append("the same model in every variant (A/A test)")
    return parts
