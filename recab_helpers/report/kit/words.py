"""Wording that sections share; an invalid test has no finding."""

from collections.abc import Iterable
from typing import Protocol

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Check, Effect, MetricSpec
from recab_helpers.references import ModelAddress

INVALID = "of an invalid test"  # ends the titles of figures that then state no finding
NO_RESULT = "The test is invalid: these numbers may show where its fault lies, and nothing else."
STATES = ("failed", "not tested", "passed")
NOT_READ = "Not shown: the test is invalid."


def sentence(parts: Iterable[str]) -> str:
    """The parts as one sentence that begins with a capital letter."""
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def named(found: Analysis, goal: MetricSpec) -> str:
    """What begins the title of a figure of one of several goals; nothing where there is one goal."""
    return f"{goal.label}: " if len(found.goals) > 1 else ""


def labels_of(found: Analysis) -> dict[str, str]:
    """Label of every goal by its name."""
    return {goal.name: goal.label for goal in found.goals}


def several(found: Analysis) -> bool:
    """Whether more than one comparison was made, so that rows must say which they are of."""
    return len(found.test.users.comparisons) > 1


class Known(Protocol):
    """What names variants: `Background`, which is built on this module."""

    def called(self, variant: str) -> str: ...


def with_variant(text: str, effect: Effect, found: Analysis, known: Known) -> str:
    """The text with the name of the treatment behind it where there are several."""
    return f"{text}, {known.called(effect.comparison.variant)}" if several(found) else text


def value(metric: MetricSpec, number: float) -> str:
    """A value of the metric: a share in percent, else a number."""
    return formats.percent(number) if metric.share else formats.number(number)


def difference(metric: MetricSpec, number: float) -> str:
    """A difference of two values of the metric, with its sign."""
    return formats.points(number) if metric.share else ("+" if number > 0 else "") + formats.number(number)


def state_of(check: Check) -> str:
    """A check's state in words: a failed check that is no gate is a warning."""
    return "warning" if check.state == "failed" and not check.gate else check.state


def in_order(checks: Iterable[Check]) -> list[Check]:
    """The checks with those that failed first, then those that could not be tested; gates before warnings."""
    return sorted(checks, key=lambda c: (STATES.index(c.state), not c.gate))


def model_name(address: ModelAddress) -> str:
    """A model as people call it: its name and version, alias or run, or where it is served."""
    if address.url:
        return address.name
    return f"{address.name}@{address.alias}" if address.alias else f"{address.name}:{address.version or address.run_id}"


def agreement(found: Analysis) -> str:
    """Whether the other methods say what the main estimate says of the goals, in a sentence."""
    others = [e for e in found.sensitivity if e.defined]
    main = {(e.metric.name, e.comparison): _side(e) for e in found.goal_effects if e.defined}
    pairs = [(e, main[e.metric.name, e.comparison]) for e in others if (e.metric.name, e.comparison) in main]
    if not pairs:
        return "No other method could be tried."
    unlike = [
        f"{e.method} ({formats.lift(e.lift)}{f', {e.comparison.variant}' if several(found) else ''})"
        for e, side in pairs
        if _side(e) != side
    ]
    if not unlike:
        return f"Other methods agree: {formats.count(len(pairs))} of {formats.count(len(pairs))}."
    return f"Not all other methods agree: {', '.join(unlike)}."


def _side(e: Effect) -> int:
    """Side of zero on which the whole interval lies; 0 where it covers zero."""
    return int(e.lift_ci[0] > 0) - int(e.lift_ci[1] < 0)
