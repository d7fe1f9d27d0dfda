"""The verdict by a written rule, as facts: invalid, ship, keep control or inconclusive. A report words them."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from recab_helpers.analysis.checks import Check
from recab_helpers.analysis.effects import Effect
from recab_helpers.analysis.power import mde, users_for_lift
from recab_helpers.brief import Brief
from recab_helpers.references import CONTROL

Call = Literal["ship", "keep control", "inconclusive", "invalid"]


@dataclass(frozen=True, kw_only=True)
class Verdict(Brief):
    """The call and the facts behind it.

    `winner` is the variant to go on with, empty where none is named. `effect` is the goal's effect that the call is
    about, and `held`, `doubtful` and `broken` are guardrails: of its treatment those shown to stay inside their margin
    and those not, and of every treatment those that lie wholly beyond it. `failed` are the gates that void the test,
    `undefined` the goals without a lift. `mde` is the smallest lift of `effect` that this test finds, and
    `users_for_estimate` would find one as large as the estimate.
    """

    call: Call
    winner: str = ""
    effect: Effect | None = None
    failed: tuple[Check, ...] = ()
    undefined: tuple[Effect, ...] = ()
    held: tuple[Effect, ...] = ()
    doubtful: tuple[Effect, ...] = ()
    broken: tuple[Effect, ...] = ()
    mde: float = math.nan
    users_for_estimate: float = math.nan

    def in_words(self) -> str:
        """The call, with the effect that it is about or the gates that failed."""
        winner = f" {self.winner}" if self.call == "ship" else ""
        why = [self.effect.in_words()] if self.effect else [c.name for c in self.failed]
        return f"{self.call}{winner}: {', '.join(why)}"

    @property
    def about(self) -> Effect:
        """The effect that the call is about.

        Raises:
            ValueError: the test is invalid, so that no effect may be read.
        """
        if self.effect is None:
            raise ValueError(f"The verdict is {self.call}: no effect may be read. Ask `valid` first.")
        return self.effect

    @property
    def valid(self) -> bool:
        """Whether results may be read at all; where a gate failed, the page names nothing better or worse."""
        return self.call != "invalid"


def decide(effects: list[Effect], checks: list[Check], *, power: float = 0.8) -> Verdict:
    """Invalid when a gate failed, and inconclusive when a goal's lift is not defined. Then:

    Ship a treatment when the interval of a goal lies wholly on its good side, no goal's lies wholly on its bad side,
    and every guardrail's lies inside its margin; of several such treatments, the one with the largest goal lift. Keep
    control when every treatment has lost: a goal on its bad side and none on its good one, or a guardrail wholly
    beyond its margin. Inconclusive otherwise.
    """
    if failed := tuple(c for c in checks if c.gate and c.state == "failed"):
        return Verdict(call="invalid", failed=failed)
    goals = [e for e in effects if e.metric.role == "goal"]
    if undefined := tuple(e for e in goals if not e.defined):
        return Verdict(call="inconclusive", effect=undefined[0], undefined=undefined)
    guards = [e for e in effects if e.metric.role == "guardrail"]
    beyond = [e for e in guards if e.good_ci[1] < -e.margin]
    inside = [e for e in guards if e.good_ci[0] > -e.margin]
    winning, losing = ({e.comparison for e in goals if sign(e)} for sign in (lambda e: e.better, lambda e: e.worse))
    doubted = {e.comparison for e in guards if e not in inside}
    lost = (losing - winning) | {e.comparison for e in beyond}
    shippable = [e for e in goals if e.better and e.comparison not in losing | doubted]
    best = max(shippable or [e for e in goals if e.better] or goals, key=lambda e: e.metric.direction * e.lift)
    facts: dict[str, Any] = {
        "effect": best,
        "held": tuple(e for e in inside if e.comparison == best.comparison),
        "doubtful": tuple(e for e in guards if e not in inside and e.comparison == best.comparison),
        "broken": tuple(beyond),
        "mde": mde(best, power=power),
        "users_for_estimate": users_for_lift(best, best.lift, power=power),
    }
    if shippable:
        return Verdict(call="ship", winner=best.comparison.variant, **facts)
    if lost == {e.comparison for e in goals}:
        return Verdict(call="keep control", winner=CONTROL, **facts)
    return Verdict(call="inconclusive", **facts)
