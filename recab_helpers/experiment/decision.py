"""The verdict, by a written rule: invalid, ship, keep control or inconclusive."""

import math
from dataclasses import dataclass
from typing import Literal

from recab_helpers.experiment.checks import Check
from recab_helpers.experiment.effects import Effect
from recab_helpers.experiment.power import mde, users_for_lift
from recab_helpers.formats import count, lift, lift_interval, percent

Call = Literal["ship", "keep control", "inconclusive", "invalid"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The call, one plain sentence, and the reasons behind it."""

    call: Call
    sentence: str
    reasons: tuple[str, ...]


def decide(effects: list[Effect], checks: list[Check], *, alpha: float = 0.05, power: float = 0.8) -> Verdict:
    """Invalid when a check failed; else by the lift interval of the goal metric.

    Ship when a treatment's interval lies above zero (the best such treatment), keep control when every
    interval lies below zero, inconclusive otherwise.
    """
    failed = [c for c in checks if not c.passed]
    if failed:
        sentence = f"The test cannot be trusted: {failed[0].name.lower()} failed. No winner is named."
        return Verdict(call="invalid", sentence=sentence, reasons=tuple(f"{c.name}: {c.detail}" for c in failed))
    goals = [e for e in effects if e.role == "goal"]
    if undefined := [e for e in goals if math.isnan(e.lift)]:
        sentence = f"The lift of {undefined[0].label} is not defined: {undefined[0].reason}."
        return Verdict(call="inconclusive", sentence=sentence, reasons=(undefined[0].reason,))
    best = max([e for e in goals if e.lift_ci[0] > 0] or goals, key=lambda e: e.lift)
    name = best.comparison.split(" vs ")[0]
    reached = mde(best, alpha=alpha, power=power)
    floor = f"A test of this size finds a lift of {percent(reached, 1)} with power {percent(power, 0)}."
    if best.lift_ci[0] > 0:
        call, reason = "ship", f"The {1 - alpha:.0%} interval of the {best.label} lift lies above zero."
    elif all(e.lift_ci[1] < 0 for e in goals):
        call, reason = (
            "keep control",
            f"The {1 - alpha:.0%} interval of the {best.label} lift lies below zero.",
        )
    else:
        needed = users_for_lift(best, best.lift, alpha=alpha, power=power)
        call, reason = "inconclusive", f"The {1 - alpha:.0%} interval of the {best.label} lift covers zero."
        if math.isfinite(needed):
            floor += f" A true lift as large as the estimate would take about {count(needed)} users."
    changed = f"{best.label} of {name} changed by {lift(best.lift)} ({lift_interval(best.lift_ci)})"
    advice = {
        "ship": f"Ship {name}: {changed}.",
        "keep control": f"Keep control: {changed}.",
        "inconclusive": f"No call: {changed}, which does not rule out zero.",
    }[call]
    return Verdict(call=call, sentence=advice, reasons=(reason, floor))
