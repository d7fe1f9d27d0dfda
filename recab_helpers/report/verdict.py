"""The verdict in words: the rule, the sentence, the reasons and what would change it, from the facts of `decide`."""

import math

from recab_helpers.analysis import Analysis, Effect
from recab_helpers.formats import confidence, count, lift_interval, percent

RULE = (
    "Invalid when a gate failed, and inconclusive when the lift of a goal is not defined. Ship a treatment when the "
    "interval of a goal lies wholly on its good side of zero, that of no goal wholly on its bad side, and every "
    "guardrail's inside its margin; of several, the one with the largest goal lift. Keep control when every treatment "
    "has lost: a goal on its bad side and none on its good one, or a guardrail wholly beyond its margin. Inconclusive "
    "otherwise."
)


def sentence(found: Analysis) -> str:
    """The call in one plain sentence."""
    verdict, e = found.verdict, found.verdict.effect
    if e is None:  # invalid
        return f"The test cannot be trusted: {verdict.failed[0].name} failed. No winner is named."
    if verdict.undefined:
        return f"No call: the lift of {e.metric.label} is not defined, because {e.reason}."
    interval = f"{confidence(e.alpha)} interval {lift_interval(e.lift_ci)}"
    size = f"{percent(abs(e.lift), 1)} {'higher' if e.lift > 0 else 'lower'} than {e.comparison.against}'s"
    changed = f"{e.metric.label} of {e.comparison.variant} is {size} ({interval})"
    if verdict.call == "ship":
        return f"Ship {verdict.winner}: {changed}."
    if verdict.call == "keep control":
        return f"Keep {verdict.winner}: {changed}."
    return f"No call: {changed}{'' if e.better or e.worse else ', which does not rule out zero'}."


def reasons(found: Analysis) -> tuple[str, ...]:
    """What the call rests on, a sentence each."""
    verdict, e = found.verdict, found.verdict.effect
    if e is None:  # invalid
        return tuple(f"{c.name}: {c.detail}" for c in verdict.failed)
    if verdict.undefined:
        return (e.reason,)
    power = percent(found.wanted_power, 0)
    reached = f"A test of this size finds a {e.metric.label} lift of {percent(verdict.mde, 1)} with power {power}."
    if verdict.call == "ship":
        held = ", ".join(f"{g.metric.label} is inside its margin of {percent(g.margin, 0)}" for g in verdict.held)
        return (_where(e), *([f"Guardrails: {held}."] if held else []), reached)
    if verdict.call == "keep control":
        order = found.test.users.comparisons
        broken = sorted(verdict.broken, key=lambda g: order.index(g.comparison))
        lost = (f"{_of(g)} lies wholly beyond its margin of {percent(g.margin, 0)}." for g in broken)
        return (*lost, _where(e), reached)
    against = [g for g in found.goal_effects if g.comparison == e.comparison and g.worse and g is not e]
    doubtful = [f"{_of(g)} is not shown to stay within its margin of {percent(g.margin, 0)}." for g in verdict.doubtful]
    return (_where(e), *map(_where, against), *(doubtful if e.better else []), reached)


def would_change(found: Analysis) -> str:
    """What would change the call; empty where nothing is known to."""
    verdict, e = found.verdict, found.verdict.effect
    if e is None:  # invalid
        return "Mend the cause and run the test again; these data cannot be repaired by analysis."
    if verdict.call == "ship":
        return "A failed check, or a guardrail beyond its margin, would change it."
    if verdict.call == "keep control":
        side = "above" if e.metric.direction > 0 else "below"
        return f"A treatment whose interval lies {side} zero would change it."
    needed = verdict.users_for_estimate
    if not math.isfinite(needed):
        return ""
    return f"If the true lift is as large as the estimate, about {count(needed)} users would show it."


def _of(e: Effect) -> str:
    return f"{e.metric.label} of {e.comparison.variant}"


def _where(e: Effect) -> str:
    """On which side of zero the interval lies."""
    low, high = e.lift_ci
    where = "above" if low > 0 else "below" if high < 0 else "on both sides of"
    return f"The interval of the {e.metric.label} lift lies {where} zero."
