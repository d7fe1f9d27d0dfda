"""The verdict by a written rule, as facts: invalid, ship, keep control or inconclusive. A report words them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from recab_helpers.analysis.checks import Check
from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.metrics import COUNT_MARGIN
from recab_helpers.analysis.power import mde, users_for_lift
from recab_helpers.analysis.progress import Progress
from recab_helpers.brief import Brief
from recab_helpers.references import CONTROL

Call = Literal["ship", "keep control", "inconclusive", "invalid", "no lift"]
MOVED_ALPHA = 0.01  # of a change in what a ratio divides by; guardrails hold the verdict back at smaller ones too


@dataclass(frozen=True, kw_only=True)
class Verdict(Brief):
    """The call and the facts behind it.

    `winner` is the variant to go on with, empty where none is named. `effect` is the goal's effect that the call is
    about, and `held`, `doubtful` and `broken` are guardrails: of its treatment those shown to stay inside their margin
    and those not, and of every treatment those that lie wholly beyond it. `fell` are its deterioration metrics that are
    shown to be worse. `moved` are what ratio goals divide by, per user, where the treatment changed that: such a ratio
    compares other users or other visits. `torn` are its goals that hang on heavy users: significance or sign differs
    between these capped and these counted whole. `failed` are the gates that void the test, `undefined` the goals
    without a lift. `mde` is the smallest lift of `effect` that this test finds, and `users_for_estimate` would find one
    as large as the estimate. `progress` is how far a test is that may be read every evening, None of one that is read
    once.
    """

    call: Call
    winner: str = ""
    effect: Effect | None = None
    failed: tuple[Check, ...] = ()
    undefined: tuple[Effect, ...] = ()
    held: tuple[Effect, ...] = ()
    doubtful: tuple[Effect, ...] = ()
    broken: tuple[Effect, ...] = ()
    fell: tuple[Effect, ...] = ()
    moved: tuple[Effect, ...] = ()
    torn: tuple[Effect, ...] = ()
    mde: float = math.nan
    users_for_estimate: float = math.nan
    progress: Progress | None = None

    @property
    def running(self) -> bool:
        """Whether the test may go on: it is valid, its end is to come, and its bands call nothing yet."""
        return self.call == "inconclusive" and self.progress is not None and self.progress.running

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


def decide(
    effects: list[Effect], checks: list[Check], *, power: float = 0.8, progress: Progress | None = None
) -> Verdict:
    """Invalid when a gate failed, no lift where the design gives none, inconclusive when a goal's is not defined. Then:

    Ship a treatment when the interval of a goal lies wholly on its good side, no goal's or deterioration metric's lies
    wholly on its bad side, and every guardrail's lies inside its margin; of several such treatments, the one with the
    largest goal lift. Where what a ratio goal divides by has moved, what it counts must hold per user within
    COUNT_MARGIN, guardrail or not. Where heavy users are capped, the capped goal decides, but nothing does where it is
    shown to point the other way with every user counted whole. Keep control when every treatment has lost: a goal on
    its bad side and none on its good one, or a guardrail wholly beyond its margin. Inconclusive otherwise. Give the
    `progress` by which the effects' intervals were made.
    """
    if failed := tuple(c for c in checks if c.gate and c.state == "failed"):
        return Verdict(call="invalid", failed=failed, progress=progress)
    if not effects:
        return Verdict(call="no lift", progress=progress)
    goals = [e for e in effects if e.metric.role == "goal"]
    if undefined := tuple(e for e in goals if not e.defined):
        return Verdict(call="inconclusive", effect=undefined[0], undefined=undefined, progress=progress)
    guards = [e for e in effects if e.metric.role == "guardrail"]
    beyond = [e for e in guards if e.good_ci[1] < -e.margin]
    inside = [e for e in guards if e.good_ci[0] > -e.margin]
    winning, losing = ({e.comparison for e in goals if sign(e)} for sign in (lambda e: e.better, lambda e: e.worse))
    doubted = {e.comparison for e in guards if e not in inside}
    moved = [m for m in map(partial(_moved, effects), goals) if m]
    doubted |= {m.comparison for m in moved if not _count_holds(effects, goals, m)}
    fell = [e for e in effects if e.metric.role == "deterioration" and e.worse]
    doubted |= {e.comparison for e in fell}
    torn = {e.comparison for e in goals if e.contradicted}
    doubted |= torn
    lost = (losing - winning - torn) | {e.comparison for e in beyond}
    shippable = [e for e in goals if e.better and e.comparison not in losing | doubted]
    best = max(shippable or [e for e in goals if e.better] or goals, key=lambda e: e.metric.direction * e.lift)
    facts: dict[str, Any] = {
        "effect": best,
        "progress": progress,
        "held": tuple(e for e in inside if e.comparison == best.comparison),
        "doubtful": tuple(e for e in guards if e not in inside and e.comparison == best.comparison),
        "broken": tuple(beyond),
        "fell": tuple(e for e in fell if e.comparison == best.comparison),
        "moved": tuple(dict.fromkeys(m for m in moved if m.comparison == best.comparison)),
        "torn": tuple(e for e in goals if e.hangs_on_heavy and e.comparison == best.comparison),
        "mde": mde(best, power=power),
        "users_for_estimate": users_for_lift(best, best.lift, power=power),
    }
    if shippable:
        return Verdict(call="ship", winner=best.comparison.variant, **facts)
    if lost == {e.comparison for e in goals}:
        return Verdict(call="keep control", winner=CONTROL, **facts)
    return Verdict(call="inconclusive", **facts)


def _moved(effects: Sequence[Effect], goal: Effect) -> Effect | None:
    """The effect on what a ratio goal divides by, per user, where it is not zero."""
    of = _mean(effects, goal.metric.denominator, goal)
    return of if of and of.p_value < MOVED_ALPHA else None


def _count_holds(effects: Sequence[Effect], goals: Sequence[Effect], moved: Effect) -> bool:
    """Whether what the goals count over this denominator is shown to hold, per user."""
    ratios = [g for g in goals if g.comparison == moved.comparison and g.metric.denominator == moved.metric.numerator]
    counts = [(g.metric.direction, _mean(effects, g.metric.numerator, g)) for g in ratios]
    return all(e and (e.lift_ci[0] if way > 0 else -e.lift_ci[1]) > -COUNT_MARGIN for way, e in counts)


def _mean(effects: Sequence[Effect], column: str, of: Effect) -> Effect | None:
    """The effect on the mean of a column in the same comparison."""
    same = (e for e in effects if e.comparison == of.comparison and e.metric.kind == "mean")
    return next((e for e in same if e.metric.numerator == column), None)
