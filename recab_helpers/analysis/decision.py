"""The verdict, by a written rule: invalid, ship, keep control or inconclusive."""

import math
from dataclasses import dataclass
from typing import Literal

from recab_helpers.analysis.checks import Check
from recab_helpers.analysis.effects import Effect
from recab_helpers.analysis.power import alpha_of, mde, users_for_lift
from recab_helpers.formats import confidence, count, lift_interval, percent

Call = Literal["ship", "keep control", "inconclusive", "invalid"]
RULE = (
    "Invalid when a gate failed. Ship when the interval of a goal metric lies above zero in its direction and every "
    "guardrail's interval lies inside its margin. Keep control when every goal interval lies below zero or a "
    "guardrail's lies wholly beyond its margin. Inconclusive otherwise."
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The call, one plain sentence, the reasons behind it and what would change it; `winner` is a variant."""

    call: Call
    sentence: str
    reasons: tuple[str, ...]
    would_change: str = ""
    winner: str = ""

    @property
    def valid(self) -> bool:
        """Whether results may be read at all; where a gate failed, the page names nothing better or worse."""
        return self.call != "invalid"


def decide(effects: list[Effect], checks: list[Check], *, alpha: float = 0.05, power: float = 0.8) -> Verdict:
    """Apply RULE; of several treatments that may be shipped, the one with the largest goal lift is."""
    failed = [c for c in checks if c.gate and not c.passed]
    if failed:
        return Verdict(
            call="invalid",
            sentence=f"The test cannot be trusted: {failed[0].name} failed. No winner is named.",
            reasons=tuple(f"{c.name}: {c.detail}" for c in failed),
            would_change="Mend the cause and run the test again; these data cannot be repaired by analysis.",
        )
    goals = {e.name: e for e in effects if e.role == "goal"}
    if undefined := [e for e in goals.values() if math.isnan(e.lift)]:
        sentence = f"No call: the lift of {undefined[0].label} is not defined, because {undefined[0].reason}."
        return Verdict(call="inconclusive", sentence=sentence, reasons=(undefined[0].reason,))
    guards = {name: [e for e in effects if e.role == "guardrail" and e.name == name] for name in goals}
    broken = {name: [e for e in guards[name] if _good(e)[1] < -e.margin] for name in goals}
    open_ = {name: [e for e in guards[name] if not _good(e)[0] > -e.margin] for name in goals}
    better = [e for e in goals.values() if _good(e)[0] > 0]
    worse = [e for e in goals.values() if _good(e)[1] < 0 or broken[e.name]]
    shippable = [e for e in better if not open_[e.name]]
    best = max(shippable or better or list(goals.values()), key=lambda e: e.direction * e.lift)
    way = "higher" if best.lift > 0 else "lower"
    design = {"alpha": alpha_of(best, effects, alpha), "power": power}
    interval = f"{confidence(design['alpha'])} interval {lift_interval(best.lift_ci)}"
    size = f"{percent(abs(best.lift), 1)} {way} than control's ({interval})"
    changed = f"{best.label} of {best.name} is {size}"
    smallest = percent(mde(best, **design), 1)
    reached = f"A test of this size finds a {best.label} lift of {smallest} with power {percent(power, 0)}."
    if shippable:
        held = ", ".join(f"{e.label} is inside its margin of {percent(e.margin, 0)}" for e in guards[best.name])
        return Verdict(
            call="ship",
            sentence=f"Ship {best.name}: {changed}.",
            reasons=(_interval_reason(best), *([f"Guardrails: {held}."] if held else []), reached),
            would_change="A failed check, or a guardrail beyond its margin, would change it.",
            winner=best.name,
        )
    if len(worse) == len(goals):
        lost = [
            f"{e.label} of {e.name} lies wholly beyond its margin of {percent(e.margin, 0)}."
            for n in goals
            for e in broken[n]
        ]
        return Verdict(
            call="keep control",
            sentence=f"Keep control: {changed}.",
            reasons=(*lost, _interval_reason(best), reached),
            would_change="A treatment whose interval lies above zero would change it.",
            winner="control",
        )
    needed = users_for_lift(best, best.lift, **design)
    longer = (
        f"If the true lift is as large as the estimate, about {count(needed)} users would show it."
        if math.isfinite(needed)
        else ""
    )
    doubtful = [
        f"{e.label} of {best.name} is not shown to stay within its margin of {percent(e.margin, 0)}."
        for e in open_[best.name]
    ]
    return Verdict(
        call="inconclusive",
        sentence=f"No call: {changed}{'' if best in better else ', which does not rule out zero'}.",
        reasons=(_interval_reason(best), *(doubtful if best in better else []), reached),
        would_change=longer,
    )


def _good(effect: Effect) -> tuple[float, float]:
    """The lift interval in the metric's good direction, low end first."""
    low, high = effect.lift_ci
    return (low, high) if effect.direction > 0 else (-high, -low)


def _interval_reason(e: Effect) -> str:
    low, high = e.lift_ci
    where = "above" if low > 0 else "below" if high < 0 else "on both sides of"
    return f"The interval of the {e.label} lift lies {where} zero."
