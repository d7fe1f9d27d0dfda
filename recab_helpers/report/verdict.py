"""The verdict in words: the rule, the title, the sentence, the reasons and what to do next, from the facts of `decide`.

Variants are called by their models where those are known.
"""

import math

from recab_helpers.analysis import CTR, SMALL_N, Analysis, Effect, is_small, smallest
from recab_helpers.analysis.both_slates import METHODS
from recab_helpers.analysis.checks import SMALL_CLICKED
from recab_helpers.formats import confidence, count, label_of, lift, lift_interval, p_value, percent
from recab_helpers.references import CONTROL
from recab_helpers.report import instead
from recab_helpers.report.background import Background

HOPELESS = 20  # times its users, that a test would have to grow to show what it estimates: then it is better ended
RULE = (
    "Invalid when a gate failed, and inconclusive when the lift of a goal is not defined. Ship a treatment when the "
    "interval of a goal lies wholly on its good side of zero, that of no goal and of no metric that must not fall "
    "wholly on its bad side, and every guardrail's inside its margin; of several, the one with the largest goal lift. "
    "Where what a ratio goal divides by has moved, what it counts must hold per user. Where heavy users are capped, "
    "the capped goal decides, but nothing does where it is shown to point the other way with every user counted whole. "
    "Keep control when every treatment has lost: a goal on its bad side and none on its good one, or a guardrail "
    "wholly beyond its margin. Inconclusive otherwise."
)


def kind_of(known: Background) -> str:
    """What the page is of, in one word: simulated or real."""
    return "simulated" if known.simulated else "real"


def title(found: Analysis, known: Background) -> str:
    """What the page is, for lists that show its first words: simulated or real, the call, what was compared."""
    if found.verdict.call == "no lift":
        return instead.title(found, known, kind_of(known))
    treatments = [v for v in found.test.users.variants if v != CONTROL]
    compared = f"{', '.join(map(known.called, treatments))} against {known.called(CONTROL)}"
    return f"{kind_of(known).capitalize()}: {_call(found, known)}, test of {compared}"


def headline(found: Analysis, known: Background) -> str:
    """The call in a few words that cannot be missed."""
    if found.verdict.call == "no lift":
        return instead.headline(found, known)
    verdict = found.verdict
    if not verdict.valid:
        return "Invalid: the numbers cannot be read."
    if known.same_in_all:
        return "A/A: a difference where none can be." if _differs(found) else "A/A: no difference, as it should be."
    if verdict.call == "ship":
        name = known.called(verdict.winner)
        return f"Ship {name}, if this truth is the right one." if _hangs(found, known) else f"Ship {name}."
    if verdict.call == "keep control":
        name = known.called(CONTROL)
        return f"Keep {name}, if this truth is the right one." if _hangs(found, known) else f"Keep {name}."
    return f"Running: {_day(found)}, no call yet." if verdict.running else "No call."


def sentence(found: Analysis, known: Background) -> str:
    """The call in one plain sentence, and what makes it doubtful in another."""
    if found.verdict.call == "no lift":
        return instead.sentence(found, known)
    verdict, e = found.verdict, found.verdict.effect
    if e is None:  # invalid
        return f"The test cannot be trusted: {verdict.failed[0].name} failed. No winner is named."
    if verdict.undefined:
        return f"No call: the lift of {e.metric.label} is not defined, because {e.reason}."
    doubts = (
        _heavy(found),
        _read_by(found, known),
        _by_sessions(found),
        _heavy(found),
        _looked(found),
        _rivals(found, known),
        _small(found),
        _other_truth(found, known),
    )
    return " ".join(filter(None, [_moved(found, known), _called(found, known), *doubts]))


def reasons(found: Analysis, known: Background) -> tuple[str, ...]:
    """What the call rests on, a sentence each."""
    if found.verdict.call == "no lift":
        return instead.reasons(found, known)
    verdict, e = found.verdict, found.verdict.effect
    if e is None:  # invalid
        return tuple(f"{c.name}: {c.detail}" for c in verdict.failed)
    if verdict.undefined:
        return (e.reason,)
    reached = finds(found)
    if verdict.call == "ship":
        held = ", ".join(f"{g.metric.label} is inside its margin of {percent(g.margin, 0)}" for g in verdict.held)
        return (_where(e), *([f"Guardrails: {held}."] if held else []), reached)
    if verdict.call == "keep control":
        order = found.test.users.comparisons
        broken = sorted(verdict.broken, key=lambda g: order.index(g.comparison))
        lost = (f"{_of(g, known)} lies wholly beyond its margin of {percent(g.margin, 0)}." for g in broken)
        return (*lost, _where(e), reached)
    against = [g for g in found.goal_effects if g.comparison == e.comparison and g.worse and g is not e]
    doubtful = [
        f"{_of(g, known)} is not shown to stay within its margin of {percent(g.margin, 0)}." for g in verdict.doubtful
    ]
    fell = [f"{_of(f, known)} is shown to be worse ({lift(f.lift)})." for f in verdict.fell]
    return (_where(e), *map(_where, against), *([*fell, *doubtful] if e.better else []), reached)


def finds(found: Analysis) -> str:
    """The smallest lift that the test finds (MDE): the same number wherever the page gives it."""
    e, power = found.verdict.effect, percent(found.wanted_power, 0)
    if e is None or not math.isfinite(found.verdict.mde):
        return "What a test of this size finds is not defined."
    return f"A test of this size finds a {e.metric.label} lift of {percent(found.verdict.mde, 1)} with power {power}."


def next_step(found: Analysis, known: Background) -> str:
    """The one thing to do now, with the time that it takes where that is known."""
    if found.verdict.call == "no lift":
        return instead.next_step(found, known)
    verdict, e = found.verdict, found.verdict.effect
    if e is None:  # invalid
        return "Mend the cause and run the test again; these data cannot be repaired by analysis."
    if known.same_in_all:
        if _differs(found):
            return "Run it again with another seed or on other days. If it repeats, look at assignment and at the log."
        return "The machinery is sound at this size: compare two different models."
    if verdict.undefined:
        return "Wait for users and clicks in every variant, or choose another goal."
    if verdict.running:
        return _to_the_end(found)
    if verdict.call == "inconclusive":
        return _to_settle(found)
    if known.simulated:
        if _hangs(found, known):
            return "Settle which truth describes your users, such as by a small real test, before you rely on either."
        needed = verdict.users_for_estimate
        at_least = max(needed, SMALL_N * 2) if math.isfinite(needed) else SMALL_N * 2
        return (
            f"The rehearsal is done. A real test that finds a lift as large takes about {count(at_least)} users; "
            "make plan says how many days that is."
        )
    if is_small(found.test):
        return f"Run on until every variant has {SMALL_N} users, {SMALL_CLICKED} of whom clicked, and read it again."
    if verdict.call == "ship":
        return "Give it to all users and go on watching the guardrails; no more days are needed."
    return "End the test and leave control in place; no more days are needed."


def _day(found: Analysis) -> str:
    """How far the test is: 'day 5 of 14', 'day 5, 820 of 2,000 users', 'day 5'."""
    p = found.verdict.progress
    if p is None or not p.planned:
        return "" if p is None else f"day {p.days}"
    n, unit = p.planned.split(" ")
    if unit == "days":
        return f"day {p.days} of {n}"
    return f"day {p.days}, {count(found.test.users.n)} of {n} users"


def _looked(found: Analysis) -> str:
    """That an interval holds for who looks every evening, and so is wider."""
    p = found.verdict.progress
    if p is None or not p.running:
        return ""
    why = (
        "wide enough to be read every evening before the planned end"
        if p.planned
        else ("wide enough for any look to be the last, for no end was planned")
    )
    return f"The test runs ({_day(found)}): its intervals are {why}."


def _to_the_end(found: Analysis) -> str:
    p = found.verdict.progress
    if p is not None and p.planned:
        return (
            f"Run on to the planned end of {p.planned}; a look before it may call only what its wider interval shows."
        )
    return (
        "Run on, or name the planned end (planned_days or planned_users) if it was fixed before the test: the "
        "intervals are then narrower."
    )


def _to_settle(found: Analysis) -> str:
    """How much longer an open test must run, at the pace of its log; or that it is better ended."""
    verdict, e = found.verdict, found.verdict.about
    if e.better and verdict.fell:
        return f"Find out why {verdict.fell[0].metric.label} fell before anything ships: more of less may be a loss."
    if e.better and verdict.doubtful:
        return "Run on until the guardrail is shown to stay within its margin, or agree on a wider one."
    if any(t.contradicted for t in verdict.torn):
        return "Find out who the heavy users are: leave bots out of the log, and ask what a loss among customers costs."
    if e.better:
        return "The goals disagree: decide which of them matters more."
    n, needed = found.test.users.n, verdict.users_for_estimate
    if not math.isfinite(needed) or needed > HOPELESS * n:
        shown = f" (it would take about {count(needed)} users)" if math.isfinite(needed) else ""
        stop = f"End the test: so small a difference is not worth its time{shown}."
        return f"{stop} Choose by cost, not by {e.metric.label}."
    more = max(needed - n, 0)
    if not more:
        return "Run on for a few days: the estimate is as large as this test can just find."
    days = 0 if found.by_day is None else found.by_day.index.unique("day").size
    pace = f", {count(math.ceil(more / (n / days)))} days at the pace of this log" if days else ""
    return f"Run on: if the true lift is as large as the estimate, about {count(more)} more users show it{pace}."


def _call(found: Analysis, known: Background) -> str:
    verdict, e = found.verdict, found.verdict.effect
    if known.same_in_all and verdict.valid:
        return "A/A with a difference" if _differs(found) else "A/A without a difference"
    if e is None or verdict.undefined:
        return "invalid" if e is None else "no call"
    word = {"ship": f"ship {known.called(verdict.winner)}", "keep control": "keep control"}.get(verdict.call, "no call")
    return f"{word} ({lift(e.lift)}){', by one of two truths' if _hangs(found, known) else ''}"


def _called(found: Analysis, known: Background) -> str:
    verdict, e = found.verdict, found.verdict.about
    interval = f"{confidence(e.alpha)} interval {lift_interval(e.lift_ci)}"
    if known.same_in_all:
        same = "every variant was served the same model"
        if _differs(found):
            often = f"chance alone does this in {percent(found.alpha, 0)} of such tests"
            return f"A/A: {e.metric.label} differs by {lift(e.lift)} ({interval}), though {same}; {often}."
        return (
            f"A/A: no difference, as it should be: {same}, and {e.metric.label} differs by {lift(e.lift)} ({interval})."
        )
    if verdict.call == "keep control" and verdict.broken and not e.worse:
        g = next((b for b in verdict.broken if b.comparison == e.comparison), verdict.broken[0])
        beyond = f"which lies wholly beyond its margin of {percent(g.margin, 0)}"
        return f"Keep {known.called(verdict.winner)}: {_changed(g, known)}, {beyond}."
    if verdict.call in ("ship", "keep control"):
        return f"{'Ship' if verdict.call == 'ship' else 'Keep'} {known.called(verdict.winner)}: {_changed(e, known)}."
    why = "" if e.better or e.worse else ", which does not rule out zero"
    if e.better and verdict.fell:
        why = f", but {' and '.join(_changed(f, known) for f in verdict.fell)}"
    elif e.better and verdict.doubtful:
        names = " and ".join(g.metric.label for g in verdict.doubtful)
        margin = (
            "their margins" if len(verdict.doubtful) > 1 else f"its margin of {percent(verdict.doubtful[0].margin, 0)}"
        )
        why = f", but {names} {'are' if len(verdict.doubtful) > 1 else 'is'} not shown to stay within {margin}"
    return f"No call: {_changed(e, known)}{why}."


def _changed(e: Effect, known: Background) -> str:
    """How the metric differs between the variants."""
    same, owner = lift(e.lift) == lift(0), _owner(known, e.comparison.against)
    size = f"{percent(abs(e.lift), 1)} {'higher' if e.lift > 0 else 'lower'} than {owner}"
    interval = f"{confidence(e.alpha)} interval {lift_interval(e.lift_ci)}"
    return f"{_of(e, known)} is {f'the same as {owner}' if same else size} ({interval})"


def _moved(found: Analysis, known: Background) -> str:
    """That users of the treatment differ in what a ratio goal divides by, so that the ratio alone misleads."""
    return " ".join(
        f"Read with care: {_of(m, known)} moved by {lift(m.lift)} ({confidence(m.alpha)} interval "
        f"{lift_interval(m.lift_ci)}), and {' and '.join(_divided(found, m))} divides by it."
        for m in found.verdict.moved
    )


def _heavy(found: Analysis) -> str:
    """That the call hangs on how heavy users are counted."""
    said = []
    for e in found.verdict.torn:
        low, high = e.uncapped_ci
        if e.contradicted:
            shows = "which points the other way, so that neither is believed"
        elif low <= 0 <= high:
            shows = "which does not rule out zero: the call rests on the capped reading"
        else:
            shows = "but a call does not rest on a few users alone"
        whole = f"{lift(e.uncapped_lift)} ({confidence(e.alpha)} interval {lift_interval(e.uncapped_ci)})"
        said.append(f"It hangs on heavy users: with none of them capped, {e.metric.label} differs by {whole}, {shows}.")
    return " ".join(said)


def _divided(found: Analysis, moved: Effect) -> list[str]:
    goals = (e.metric for e in found.goal_effects if e.metric.denominator == moved.metric.numerator)
    return list(dict.fromkeys(g.label for g in goals))


def _read_by(found: Analysis, known: Background) -> str:
    """That the goal is read by both slates, as was chosen; or why it is not."""
    about = found.verdict.about
    if found.reading == "plain" or about.metric.columns != CTR.columns:
        return ""
    if about.method.startswith(METHODS["both"]):
        return "It is read by both slates, as was chosen before the test; the gate of that reading holds."
    reading, why = found.both_slates.get(about.comparison.variant), "it gives no lift"
    if reading and not reading.holds:
        why = f"clicks do not follow the model behind it (gate p {p_value(reading.gate_p)})"
    elif found.test.users.caps:
        why = "one user outweighs the rest"
    return f"Both slates were chosen before the test, but {why}: it is read as counted."


def _by_sessions(found: Analysis) -> str:
    """What is compared where every user meets both variants, and what that cannot see."""
    if found.test.users.within is None:
        return ""
    return (
        "Every session drew its variant, and users are compared with themselves; what one variant leaves behind for "
        "later sessions is in both numbers, and only a check looks for it."
    )


def _rivals(found: Analysis, known: Background) -> str:
    """The other treatments that may be as good as the one that ships."""
    verdict = found.verdict
    close = [
        e
        for e in found.among
        if verdict.call == "ship"
        and e.metric == verdict.about.metric
        and e.comparison.variant == verdict.winner
        and not e.better
    ]
    names = " and ".join(known.called(e.comparison.against) for e in close)
    return f"It is not shown to be better than {names}." if close else ""


def _small(found: Analysis) -> str:
    """The doubt of a test with few users or clicks, which no interval shows."""
    if not is_small(found.test):
        return ""
    n, clicked = smallest(found.test)
    who = f"{count(n)} users" + ("" if clicked is None else f", {count(clicked)} of whom clicked,")
    return f"With {who} in the smallest variant the interval itself is doubtful: take this as a hint."


def _other_truth(found: Analysis, known: Background) -> str:
    """That the call of a rehearsal depends on which truth the clicks are drawn from."""
    truth = known.truth
    if truth is None or not _hangs(found, known):
        return ""
    variant = found.verdict.about.comparison.variant
    (drawn,) = truth.loc[truth["drawn"].astype(bool), "truth"].unique()
    others = ", ".join(f"{lift(x)} by {label_of(t)}" for t, x in known.other_truths(variant).items())
    by = f"its true lift is {lift(known.true_lifts()[variant])} by {label_of(drawn)}, from which clicks were drawn"
    return f"The call hangs on how clicks are imagined: {by}, but {others}."


def _hangs(found: Analysis, known: Background) -> bool:
    e = found.verdict.effect
    return e is not None and not known.same_in_all and known.hangs_on_truth(e.comparison.variant)


def _differs(found: Analysis) -> bool:
    return any(e.better or e.worse for e in found.goal_effects)


def _owner(known: Background, variant: str) -> str:
    return f"that of {known.called(variant)}" if variant in known.models else f"{variant}'s"


def _of(e: Effect, known: Background) -> str:
    return f"{e.metric.label} of {known.called(e.comparison.variant)}"


def _where(e: Effect) -> str:
    """On which side of zero the interval lies."""
    low, high = e.lift_ci
    where = "above" if low > 0 else "below" if high < 0 else "on both sides of"
    return f"The interval of the {e.metric.label} lift lies {where} zero."
