"""The words of the first screen where a test gives no lift: interleaved slates, and a log read off-policy."""

from collections.abc import Mapping

from recab_helpers.analysis import SMALL_N, Analysis, OffPolicy, Preference
from recab_helpers.analysis.both_slates import GATE_ALPHA
from recab_helpers.formats import confidence, count, lift, lift_interval, p_value, percent
from recab_helpers.references import CONTROL
from recab_helpers.report.background import Background

SMALL_PREFERENCE = 50  # times its users, that a test would have to grow to show it


def title(found: Analysis, known: Background, kind: str) -> str:
    """What the page is, for lists that show its first words."""
    others = ", ".join(known.called(v) for v in treatments(found))
    way = "interleaved with" if found.preference else "judged from the log of"
    return f"{kind.capitalize()}: {call(found, known)}, {others} {way} {known.called(CONTROL)}"


def treatments(found: Analysis) -> list[str]:
    """The variants beside control, served or not."""
    return [p.comparison.variant] if (p := found.preference) else list(found.off_policy)


def call(found: Analysis, known: Background) -> str:
    """The finding in two or three words, for lists."""
    if p := found.preference:
        return f"prefers {known.called(p.preferred)}" if p.preferred else "no preference"
    one = _best(found.off_policy)
    return lift(one.main.lift) if one.main else "no number"


def headline(found: Analysis, known: Background) -> str:
    """The finding in a few words that cannot be missed."""
    if p := found.preference:
        if known.same_in_all:
            return "A/A: a preference where none can be." if p.preferred else "A/A: no preference, as it should be."
        return f"Users prefer {known.called(p.preferred)}." if p.preferred else "No preference shown."
    one = _best(found.off_policy)
    if not one.main:
        return "No number: the log does not tell."
    if not one.better:
        return "Not tested: the log does not tell which is better."
    return f"Not tested: by the log, {known.called(one.better)} is better."


def sentence(found: Analysis, known: Background) -> str:
    """The finding in plain words, and what it is not."""
    if p := found.preference:
        return _preferred(p, known)
    return " ".join(_told(o, known) for o in found.off_policy.values())


def _preferred(p: Preference, known: Background) -> str:
    if p.reason:
        return f"No preference can be told, because {p.reason}."
    size = f"{percent(p.share, 1)} of the clicks fell on items that {known.called(p.comparison.variant)} picked"
    interval = f"{confidence(p.alpha)} interval {percent(p.ci[0], 1)} to {percent(p.ci[1], 1)}"
    half = "" if p.preferred else ", which does not rule out one half"
    return (
        f"Where both models shared every slate, {size} ({interval}){half}. This says which is better, not by how much: "
        "it is no lift of CTR."
    )


def _told(o: OffPolicy, known: Background) -> str:
    name = known.called(o.comparison.variant)
    if not o.main:
        return f"What {name} would have got cannot be told from this log: {o.refused}."
    size = f"{lift(o.main.lift)} ({confidence(o.alpha)} interval {lift_interval(o.main.ci)})"
    return (
        f"Nobody was shown {name}. From clicks on items that the log's policy showed by chance, its CTR would have "
        f"been {percent(o.main.ctr)}, {size} against {known.called(CONTROL)}, if clicks follow the position model."
    )


def reasons(found: Analysis, known: Background) -> tuple[str, ...]:
    """What the finding rests on, a sentence each."""
    if p := found.preference:
        a, b = (known.called(v) for v in (p.comparison.variant, p.comparison.against))
        return (
            f"Of {count(p.n_users)} users, {count(p.for_treatment)} clicked more items of {a} and "
            f"{count(p.for_control)} more of {b} (sign test p {p_value(p.sign_p)}).",
            f"Of the slates with clicks, {count(p.slates_won)} were won by {a}, {count(p.slates_lost)} by {b}, and "
            f"{count(p.slates_tied)} were tied.",
            "Every slate is a team draft: in each round both pick their best item left, after a coin for who is first.",
        )
    return tuple(
        f"The log's policy could have shown {percent(min(o.support, 1.0), 0)} of what {known.called(v)} shows; its "
        f"weights leave {count(o.effective)} of {count(o.n_users)} users."
        + (f" {known.called(v)} does not know {count(o.unknown)} of them." if o.unknown else "")
        for v, o in found.off_policy.items()
    )


def next_step(found: Analysis, known: Background) -> str:
    """The one thing to do now."""
    if p := found.preference:
        return _after_preference(p, found, known)
    one = _best(found.off_policy)
    if not one.main:
        users = "test the two models with users."
        return users.capitalize() if one.gate_p < GATE_ALPHA else f"Mend what the log lacks, or {users}"
    if one.better == CONTROL:
        return "Spare users the test: nothing here speaks for it."
    return "Test it with users: a log tells what is worth a test, not what ships."


def _after_preference(p: Preference, found: Analysis, known: Background) -> str:
    if known.same_in_all:
        return "The machinery is sound at this size: compare two different models."
    if p.preferred:
        return (
            f"If the size of the gain or a guardrail matters, test {known.called(p.preferred)} against the other with "
            "users as the unit (design=users); if only the better one is wanted, take it."
        )
    needed = p.users_for(power=found.wanted_power)
    if not needed < SMALL_PREFERENCE * max(p.n_users, SMALL_N):
        return "Choose by cost: so small a preference is not worth its time."
    return f"Run on: a preference as strong as the estimate takes about {count(needed)} users."


def against_truth(found: Analysis, known: Background) -> str:
    """What the known truth says of the finding."""
    if known.same_in_all:
        return "Both variants are the same model."
    true = known.true_lifts()
    if p := found.preference:
        size = true.get(p.comparison.variant, 0.0)
        better = p.comparison.variant if size > 0 else p.comparison.against
        said = f"The model with the higher true CTR is {known.called(better)} (true lift {lift(size)})."
        right = "right" if p.preferred == better else "wrong"
        return f"{said} The preference is {right}." if p.preferred else f"{said} The test does not tell."
    parts = []
    for v, o in found.off_policy.items():
        said = f"The true lift of {known.called(v)} is {lift(true[v])}"
        if o.main:
            held = o.main.ci[0] <= true[v] <= o.main.ci[1]
            said += f", which the interval {'holds' if held else 'misses'}"
        parts.append(f"{said}.")
    return " ".join(parts)


def _best(targets: Mapping[str, OffPolicy]) -> OffPolicy:
    """The target with the largest lift, of those with a number where there are any."""
    return max(targets.values(), key=lambda o: o.main.lift if o.main else -2.0)
