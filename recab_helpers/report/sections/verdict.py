"""The first screen: what this is, the call, its size, what it costs, whether to believe it, and what to do next."""

import math
from html import escape

from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Effect, losing, per_user
from recab_helpers.analysis.metrics import covariates_of
from recab_helpers.impressions.statistics import KNOWN, PRE
from recab_helpers.references import CONTROL
from recab_helpers.report import instead
from recab_helpers.report import verdict as words
from recab_helpers.report.background import Background
from recab_helpers.report.kit.words import agreement, difference, state_of, value

GOOD, BAD, CALM = "good", "bad", "calm"
MARKS = {GOOD: "better", BAD: "worse", CALM: "note"}  # said by a screen reader: color is never the only sign
EVEN = 0.02  # a difference of shares of places or of the catalog that costs nothing
NEAR = 0.15  # of the width of the axis


def verdict(found: Analysis, known: Background) -> HTML:
    """The call and all that one needs to act on it, on one screen."""
    tone = _tone(found, known)
    cards = [_gain(found, known), _costs(found, known)] if _has_lift(found) else []
    rest = [_trust(found), *([_truths(found, known)] if known.simulated else []), _next(found, known)]
    grid = f'<div class="grid two">{"".join(cards)}</div>' if cards else ""
    return HTML(
        f'{_band(known)}<div class="recab verdict {tone}" role="group" aria-label="Verdict">'
        f'<p class="about">{" ".join(f"<span>{escape(fact)}</span>" for fact in _about(found, known))}</p>'
        f"<h1>{escape(words.headline(found, known))}</h1>"
        f'<p class="sentence">{escape(words.sentence(found, known))}</p>{_hypothesis(known)}'
        f"{grid}{_reasons(found, known) if not cards else ''}"
        f'<div class="grid {"three" if len(rest) == 3 else "two"}">{"".join(rest)}</div></div>'
    )


def _has_lift(found: Analysis) -> bool:
    return found.verdict.effect is not None and not found.verdict.undefined


def _tone(found: Analysis, known: Background) -> str:
    if not found.verdict.valid:
        return "invalid"
    if known.same_in_all:
        return "open"
    return {"ship": "ship", "keep control": "keep"}.get(found.verdict.call, "open")


def _band(known: Background) -> str:
    if not known.simulated:
        return ""
    without = [f"{known.called(v)} for {of.without()}" for v, of in known.served.items() if of.without()]
    instead = (
        f"<br><b>Popular items took the place of lists of {escape('; of '.join(without))}.</b> The test compares what "
        "was shown, not what these models would have shown."
        if without
        else ""
    )
    diluted = (
        f" It is diluted on purpose: a session in treatment gets its own model with a chance of "
        f"{formats.percent(known.dial, 0)}, and control's slate otherwise."
        if known.diluted
        else ""
    )
    return (
        '<p class="recab band"><b>Simulated test.</b> No real user saw these slates: clicks were drawn from a known '
        f"truth, so that the estimate can be graded. Do not read it as a result of traffic.{diluted}{instead}</p>"
    )


def _about(found: Analysis, known: Background) -> list[str]:
    """Simulated or real, the models, the data, the days, and how many users there were."""
    others = instead.treatments(found) if found.verdict.call == "no lift" else found.test.users.variants
    treatments = [known.called(v) for v in others if v != CONTROL]
    facts = [f"{words.kind_of(known)} test", f"{', '.join(treatments)} against {known.called(CONTROL)}"]
    facts += [f"{'data set' if known.models else 'log'} {known.dataset}"] if known.dataset else []
    days = 0 if found.by_day is None else found.by_day.index.unique("day").size
    dates = f"{known.days[0]} to {known.days[1]}, " if known.days else ""
    facts += [f"{dates}{formats.count(days)} {'day' if days == 1 else 'days'}"] if days else []
    counts, n = found.test.users.counts, formats.count(found.test.users.n)
    if found.test.users.within:
        return [*facts, f"{n} users, each in both"]
    if found.off_policy:
        return [*facts, f"{n} users"]
    shares = " / ".join(formats.percent(n / sum(counts.values()), 0) for n in counts.values())
    return [*facts, f"{n} {'impressions as units' if found.test.by_impression else 'users'}, {shares}"]


def _hypothesis(known: Background) -> str:
    return f'<p class="hypothesis">Expected: {escape(known.hypothesis)}</p>' if known.hypothesis else ""


def _reasons(found: Analysis, known: Background) -> str:
    items = "".join(f"<li>{escape(r)}</li>" for r in words.reasons(found, known))
    return f'<ul class="reasons">{items}</ul>'


def _card(title: str, body: str) -> str:
    return f'<section class="card"><h2>{escape(title)}</h2>{body}</section>'


def _gain(found: Analysis, known: Background) -> str:
    e = found.verdict.about
    pair = f"{known.called(e.comparison.variant)} against {known.called(e.comparison.against)}"
    tone = "" if known.same_in_all else GOOD if e.better else BAD if e.worse else ""
    interval = f"{formats.confidence(e.alpha)} interval {formats.lift_interval(e.lift_ci)}"
    values = f"{value(e.metric, e.control)} to {value(e.metric, e.treatment)}, {difference(e.metric, e.difference)}"
    adjusted = f", adjusted for {_before(e, found)} before the test" if math.isfinite(e.variance_reduction) else ""
    facts = [*_counts(e, found, known), *_best(e, found, known), escape(words.finds(found))]
    return _card(
        f"{e.metric.label}, {pair}",
        f'<p class="big"><b class="lift {tone}">{formats.lift(e.lift)}</b> <span>{interval}<br>'
        f"{escape(values + adjusted)}</span></p>{_axis(e, known, tone)}"
        f'<ul class="counts">{"".join(f"<li>{fact}</li>" for fact in facts)}</ul>',
    )


def _before(e: Effect, found: Analysis) -> str:
    """What the values are adjusted for: 'clicks and age'."""
    there = next(iter(found.test.users.read_by(e.metric.columns).values())).columns
    names = dict.fromkeys(c[0].removeprefix(PRE) for c in covariates_of(e.metric, there) if c != (KNOWN,))
    return " and ".join(n.replace("_", " ") for n in names)


def _counts(e: Effect, found: Analysis, known: Background) -> list[str]:
    """The effect as a number of things that a person can picture, with its interval."""
    if found.test.users.within:  # a user's clicks are of both variants
        return []
    of = per_user(e, found.effects, found.test.users)
    if not math.isfinite(of.difference_ci[0]):
        return []
    label = of.metric.label
    what = label[:1].lower() + label[1:] if of.metric.share else of.metric.numerator.replace("_", " ")
    days = 0 if found.by_day is None else found.by_day.index.unique("day").size
    over = f" in {formats.count(days)} {'day' if days == 1 else 'days'}" if days else ""
    said = [f"<b>{_signed(of, 1000)}</b> {escape(what)} per 1,000 users{over} ({_range(of, 1000)})"]
    if not known.simulated:
        n = found.test.users.n
        all_users = f"if all {formats.count(n)} users of the test had had it instead of control"
        said.append(f"<b>{_signed(of, n)}</b> {escape(what)}{over} {all_users} ({_range(of, n)})")
    return said


def _best(e: Effect, found: Analysis, known: Background) -> list[str]:
    """Of several treatments, how likely this one is the best, and what it gains over the others."""
    of = found.best[(found.best["metric"] == e.metric.name) & (found.best["variant"] == e.comparison.variant)]
    if of.empty:
        return []
    chance, n = formats.percent(of["chance_to_be_best"].iloc[0], 0), formats.count(len(found.test.users.variants))
    over = [
        f"{formats.lift(a.lift)} over {known.called(a.comparison.against)} ({formats.lift_interval(a.lift_ci)})"
        for a in found.among
        if a.metric == e.metric and a.comparison.variant == e.comparison.variant and a.defined
    ]
    return [escape(f"The best of {n} with a chance of {chance}{''.join(f'; {text}' for text in over)}")]


def _signed(e: Effect, n: float) -> str:
    return ("+" if e.difference > 0 else "") + _whole(e.difference * n)


def _range(e: Effect, n: float) -> str:
    return " to ".join(("+" if x > 0 else "") + _whole(x * n) for x in e.difference_ci)


def _whole(x: float) -> str:
    return formats.count(round(x)) if abs(x) >= 1 else formats.number(x, 1)


def _axis(e: Effect, known: Background, tone: str) -> str:
    """The interval on a line with zero, and the true lift where it is known."""
    true = known.true_lifts().get(e.comparison.variant, math.nan) if e.metric.numerator == "clicks" else math.nan
    points = [0.0, *e.lift_ci, *([true] if math.isfinite(true) else [])]
    low, high = min(points), max(points)
    low, span = low - 0.12 * (high - low), 1.24 * (high - low)

    def at(x: float) -> str:
        return f"{100 * (x - low) / span:.1f}%"

    left, right = e.lift_ci
    said = f"The interval runs from {formats.lift(left)} to {formats.lift(right)}; zero is marked"
    truth, text = "", ""
    if math.isfinite(true):
        said += f", and the true lift of {formats.lift(true)}"
        truth = f'<i class="truth" style="left:{at(true)}"></i>'
        text = f'<small class="truth" style="left:{at(true)}">truth {formats.lift(true)}</small>'
    width = f"{100 * (right - left) / span:.1f}%"
    apart = not abs(true) < NEAR * span  # else the two names would lie on each other
    zero = f'<small style="left:{at(0)}">0</small>' if apart else ""
    return (
        f'<div class="axis {tone}" role="img" aria-label="{escape(said)}.">'
        f'<i class="line"></i><i class="zero" style="left:{at(0)}"></i>'
        f'<i class="bar" style="left:{at(left)};width:{width}"></i>{truth}'
        f'<i class="dot" style="left:{at(e.lift)}"></i>{zero}{text}</div>'
    )


def _costs(found: Analysis, known: Background) -> str:
    rows = [*_losers(found), *_guardrails(found, known), *_worse(found), *_places(found, known)]
    if known.same_in_all:
        rows = [(CALM, text) for _, text in rows]
    items = "".join(
        f'<li class="{tone}"><span class="said">{MARKS[tone]}: </span>{escape(text)}</li>' for tone, text in rows
    )
    what = "What differs beside the goal" if known.same_in_all else "What it costs, and to whom"
    return _card(what, f'<ul class="costs">{items}</ul>')


def _losers(found: Analysis) -> list[tuple[str, str]]:
    """The segment that loses most, or that none is shown to lose."""
    e = found.verdict.about
    lost = losing(found.segments, e.metric, e.comparison, alpha=found.alpha)
    looked = found.segments[found.segments["metric"] == e.metric.name]
    looked = looked[looked["variant"].eq(e.comparison.variant) & looked["lift"].notna()]
    if found.test.users.within:
        return [(CALM, "Who gains and who loses is not told where every user meets both variants.")]
    if looked.empty:
        return [(CALM, "Who gains and who loses is not known: the users have no segments.")]
    least = looked.loc[(e.metric.direction * looked["lift"]).idxmin()] if lost.empty else lost.iloc[0]
    share = formats.percent(least["users"] / e.n, 0)
    interval = formats.lift_interval((least["low"], least["high"]))
    group = f"{formats.label_of(least['segment'])} {least['level']}"
    who = f"{group}: {formats.lift(least['lift'])} ({interval}; {share} of users)"
    if lost.empty:
        below = (least["high"] if e.metric.direction > 0 else -least["low"]) < 0  # by chance, where many were looked at
        groups = f"No group of {formats.count(len(looked))} is shown to lose{', their number counted' if below else ''}"
        return [(CALM, f"{groups}; the lowest lift has {who}.")]
    more = f" {formats.count(len(lost) - 1)} more of {formats.count(len(looked))} groups lose." if len(lost) > 1 else ""
    return [(BAD, f"Users lose with {who}.{more}")]


def _guardrails(found: Analysis, known: Background) -> list[tuple[str, str]]:
    c, rows = found.verdict.about.comparison, []
    for g in (e for e in found.effects if e.metric.role == "guardrail" and e.comparison == c):
        margin = f"margin {formats.percent(g.margin, 0)}"
        if g in found.verdict.held:
            rows.append((GOOD, f"Guardrail held: {g.metric.label} {formats.lift(g.lift)} ({margin})."))
        elif g in found.verdict.broken:
            rows.append((BAD, f"Guardrail broken: {g.metric.label} {formats.lift(g.lift)} ({margin})."))
        else:
            interval = formats.lift_interval(g.lift_ci)
            rows.append((BAD, f"Guardrail not shown to hold: {g.metric.label} {interval} ({margin})."))
    fell = found.verdict.fell
    rows += [
        (BAD, f"Shown to be worse: {f.metric.label} {formats.lift(f.lift)}; nothing ships with that.") for f in fell
    ]
    watched = [e for e in found.effects if e.metric.role == "deterioration" and e.comparison == c and e not in fell]
    said = ", ".join(f"{e.metric.label} {formats.lift(e.lift)}" for e in watched)
    return [*rows, *([(GOOD, f"Not shown to be worse: {said}.")] if watched else [])]


def _worse(found: Analysis) -> list[tuple[str, str]]:
    """Other metrics that fell, in one line."""
    of = found.verdict.about
    fell = [
        e
        for e in found.effects
        if e.comparison == of.comparison
        and e.metric != of.metric
        and e.metric.role in ("goal", "secondary")
        and e.worse
    ]
    said = ", ".join(f"{e.metric.label} {formats.lift(e.lift)}" for e in fell)
    return [(BAD, f"Falls: {said}.")] if fell else []


def _places(found: Analysis, known: Background) -> list[tuple[str, str]]:
    """How popular, and how much of the catalog, what is shown is; against control."""
    shown, variant = known.slates.shown, found.verdict.about.comparison.variant
    if shown is None or not {CONTROL, variant} <= set(shown.index):
        return []
    rows, before, after = [], shown.loc[CONTROL], shown.loc[variant]
    if "head" in shown:
        tone = BAD if after["head"] > before["head"] + EVEN else GOOD if after["head"] < before["head"] - EVEN else CALM
        share, was = (formats.percent(x["head"], 0) for x in (after, before))
        rows.append((tone, f"The most popular fifth of the catalog gets {share} of the places (control {was})."))
    tone = BAD if after["coverage"] < before["coverage"] - EVEN else GOOD
    tone = CALM if abs(after["coverage"] - before["coverage"]) <= EVEN else tone
    share, was = (formats.percent(x["coverage"], 0) for x in (after, before))
    whole = "the catalog" if "head" in shown else "the items in the log"
    return [*rows, (tone, f"{share} of {whole} is ever shown (control {was}).")]


def _trust(found: Analysis) -> str:
    passed = sum(c.state == "passed" for c in found.checks)
    others = [f"{c.name}: {state_of(c)}" for c in found.checks if c.state != "passed"]
    failed = [c for c in found.checks if c.state == "failed"]
    said = f"{formats.count(passed)} of {formats.count(len(found.checks))} checks passed"
    rest = f" {'; '.join(others)}." if others else ""
    agree = f" {agreement(found)}" if _has_lift(found) else ""
    tone = BAD if failed else GOOD
    return _card("Can it be trusted?", f'<p><b class="{tone}">{said}.</b>{escape(rest + agree)}</p>')


def _truths(found: Analysis, known: Background) -> str:
    """What the known truth says of the estimate, and what the other truths say."""
    if found.verdict.call == "no lift":
        return _card("Was it right?", f"<p>{escape(instead.against_truth(found, known))}</p>")
    e = found.verdict.effect
    true = math.nan if e is None else known.true_lifts().get(e.comparison.variant, math.nan)
    if e is None or not math.isfinite(true) or e.metric.numerator != "clicks" or not e.defined:
        return _card("Was the estimate right?", "<p>It was not read.</p>")
    holds = e.lift_ci[0] <= true <= e.lift_ci[1]
    said = f"The interval {'holds' if holds else 'misses'} the true lift of {formats.lift(true)}."
    others = [
        f"{formats.lift(x)} by {formats.label_of(t)}" for t, x in known.other_truths(e.comparison.variant).items()
    ]
    more = f" By another truth it is {', '.join(others)}." if others else ""
    tone = GOOD if holds else BAD
    return _card("Was the estimate right?", f'<p><b class="{tone}">{said}</b>{escape(more)}</p>')


def _next(found: Analysis, known: Background) -> str:
    return _card("Next step", f"<p>{escape(words.next_step(found, known))}</p>")
