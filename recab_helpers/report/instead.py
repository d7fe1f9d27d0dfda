"""The words of the first screen where a test gives no lift: who is preferred in interleaved slates."""

from recab_helpers.analysis import SMALL_N, Analysis, Preference
from recab_helpers.formats import confidence, count, lift, p_value, percent
from recab_helpers.report.background import Background


def call(found: Analysis, known: Background) -> str:
    """The finding in two or three words, for lists."""
    p = _preference(found)
    return f"prefers {known.called(p.preferred)}" if p.preferred else "no preference"


def headline(found: Analysis, known: Background) -> str:
    """The finding in a few words that cannot be missed."""
    p = _preference(found)
    if known.same_in_all:
        return "A/A: a preference where none can be." if p.preferred else "A/A: no preference, as it should be."
    return f"Users prefer {known.called(p.preferred)}." if p.preferred else "No preference shown."


def sentence(found: Analysis, known: Background) -> str:
    """The preference in plain words, and that it is no lift."""
    p = _preference(found)
    if p.reason:
        return f"No preference can be told, because {p.reason}."
    name = known.called(p.comparison.variant)
    size = f"{percent(p.share, 1)} of the clicks fell on items that {name} picked"
    interval = f"{confidence(p.alpha)} interval {percent(p.ci[0], 1)} to {percent(p.ci[1], 1)}"
    half = "" if p.preferred else ", which does not rule out one half"
    return (
        f"Where both models shared every slate, {size} ({interval}){half}. This says which is better, not by how much: "
        "it is no lift of CTR."
    )


def reasons(found: Analysis, known: Background) -> tuple[str, ...]:
    """What the finding rests on, a sentence each."""
    p = _preference(found)
    a, b = (known.called(v) for v in (p.comparison.variant, p.comparison.against))
    return (
        f"Of {count(p.n_users)} users, {count(p.for_treatment)} clicked more items of {a} and {count(p.for_control)} "
        f"more of {b} (sign test p {p_value(p.sign_p)}).",
        f"Of the slates with clicks, {count(p.slates_won)} were won by {a}, {count(p.slates_lost)} by {b}, and "
        f"{count(p.slates_tied)} were tied.",
        "Every slate is a team draft: in each round both pick their best item left, after a coin for who is first.",
    )


def next_step(found: Analysis, known: Background) -> str:
    """The one thing to do now."""
    p = _preference(found)
    if known.same_in_all:
        return "The machinery is sound at this size: compare two different models."
    if p.preferred:
        return (
            f"If the size of the gain or a guardrail matters, test {known.called(p.preferred)} against the other with "
            "users as the unit (design=users); if only the better one is wanted, take it."
        )
    needed = p.users_for(power=found.wanted_power)
    if not needed < 50 * max(p.n_users, SMALL_N):
        return "Choose by cost: so small a preference is not worth its time."
    return f"Run on: a preference as strong as the estimate takes about {count(needed)} users."


def against_truth(found: Analysis, known: Background) -> str:
    """What the known truth says of the finding; empty where there is none."""
    p = _preference(found)
    true = known.true_lifts().get(p.comparison.variant, 0.0)
    better = p.comparison.variant if true > 0 else p.comparison.against
    if known.same_in_all or not true:
        return "Both variants were served the same model."
    said = f"The model with the higher true CTR is {known.called(better)} (true lift {lift(true)})."
    if not p.preferred:
        return f"{said} The test does not tell."
    return f"{said} The preference is {'right' if p.preferred == better else 'wrong'}."


def _preference(found: Analysis) -> Preference:
    assert found.preference is not None
    return found.preference
