"""What the graded designs say of two models: a written rule's advice, and the tables and figures under it."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import HTML

from recab_helpers import report, tracking
from recab_helpers.analysis.off_policy import EFFECTIVE, SUPPORTED
from recab_helpers.formats import count, lift, percent, points
from recab_helpers.parameters import DesignsParams
from recab_helpers.report.kit.html import Number, joined
from recab_helpers.simulation import Pair
from recab_helpers.simulation.plan import EXPLORED
from recab_helpers.stages.designs import HARDLY, WAYS, Way
from recab_helpers.stages.plan import USERS_PER_DAY
from recab_helpers.stages.tested import Tested

COVERS = 0.9  # share of intervals that hold the truth, below which a design of 95% is not to be relied on
TELLS = 0.5  # share of drawn tests with a number, below which a design is not to be waited for
RULE = (
    f"The rule: take the design that tells a lift with the fewest users, of those that gave a number in at least "
    f"{percent(TELLS, 0)} of the drawn tests and whose 95% intervals then held the truth in at least "
    f"{percent(COVERS, 0)}, under both click models. If it takes more than the longest bearable test, interleave as "
    "long as that is short enough: it tells which model is better, not by how much. If not even that, do not test: "
    "choose by cost."
)

FIRST = ("counted", "cuped", "gated", "sessions", "interleaved")  # ways that the answer of a pilot names
UNTOLD = (
    "A pilot tells slates, traffic and how much users differ. It does not tell what users would click of the other "
    "model's items. So the true lift, whether each design's intervals would hold it, whether clicks follow the "
    "position model, and what a test costs its users are not known, and nothing here is graded. Users needed rest on "
    "an assumption: a user likes all items alike, but those that only the treatment shows by so much more that the "
    "lift is the one to find. make designs without LOG grades every design in the rehearsed world."
)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What RULE says of a pair: the way, or none where the pair is better not tested; and why, in a sentence."""

    way: Way | None
    why: str


def advise(graded: pd.DataFrame, params: DesignsParams) -> Advice:
    """RULE, applied to the grades."""
    own, out = graded[graded["model"] == params.click_model].set_index("way"), left_out(graded, params)
    a_day = params.users_per_day or USERS_PER_DAY
    most = params.longest_days * a_day
    days = f"{count(params.longest_days)} days of {count(a_day)} users"
    lifts = [w for w in WAYS if w.lift and w.name not in out and math.isfinite(own.loc[w.name, "users_needed"])]
    if lifts:
        best = min(lifts, key=lambda w: own.loc[w.name, "users_needed"])
        needed = own.loc[best.name, "users_needed"]
        if needed <= most:
            other = graded[(graded["way"] == best.name) & (graded["model"] != params.click_model)].iloc[0]
            also = f"{count(other['users_needed'])} if users click by the {other['model']} model"
            why = (
                f"{best.label} tells the lift with {count(needed)} users ({also}), fewest of those whose intervals hold"
            )
            return Advice(way=best, why=f"{why} under either click model.{_without(best, lifts, own)}")
        true = lift(math.expm1(own.loc[best.name, "truth"]))
        why = f"A lift of {true} takes at least {count(needed)} users, more than {days}"
    else:
        why = (
            "No way tells a lift whose intervals hold under either click model"
            if abs(own["truth"]).max() > HARDLY
            else ("Both models have the same CTR")
        )
    needed, way = own.loc["interleaved", "users_needed"], next(w for w in WAYS if not w.lift)
    if needed <= most and "interleaved" not in out:
        right = own.loc["interleaved", "truth"] * own.loc["counted", "truth"] > 0
        aside = "" if right else ", though here users prefer the model with the lower CTR"
        return Advice(way=way, why=f"{why}. Interleaving says which is better with {count(needed)} users{aside}.")
    return Advice(way=None, why=f"{why}, and interleaving takes {count(needed)}. Choose by cost.")


def _without(best: Way, lifts: list[Way], own: pd.DataFrame) -> str:
    """What the best way rests on and no drawn test grades, and the best of those that do not rest on it."""
    if not best.assumed:
        return ""
    others = [w for w in lifts if not w.assumed]
    said = f" That {best.assumed} is assumed here and in every drawn test, so that it is not graded."
    if not others:
        return said
    next_best = min(others, key=lambda w: own.loc[w.name, "users_needed"])
    return f"{said} If you doubt it: {next_best.label}, {count(own.loc[next_best.name, 'users_needed'])} users."


def left_out(graded: pd.DataFrame, params: DesignsParams) -> dict[str, str]:
    """The ways that RULE may not take, each with the reason."""
    out = {way.name: "it is never read where its gate says no" for way in WAYS if way.trusting}
    for row in graded.itertuples():
        if row.way in out:
            continue
        if row.tests < TELLS * params.n_tests:
            share = f"only {percent(row.tests / params.n_tests, 1)}" if row.tests else "none"
            out[row.way] = f"under the {row.model} model it gave a number in {share} of the tests"
        elif not row.coverage >= COVERS:
            held = percent(row.coverage, 1)
            out[row.way] = f"under the {row.model} model its intervals held the truth in only {held} of the tests"
    return out


def answer(graded: pd.DataFrame, tested: Tested) -> str:
    """The recommendation in two sentences; of a pilot, what the designs take for the lift that is to be found."""
    params = tested.params
    if tested.grounds is not None:
        needed = graded.set_index("way")["users_needed"]
        takes = [f"{way.label}: {count(needed[way.name])}" for way in WAYS if way.name in FIRST]
        return (
            f"Users that find a lift of {lift(params.lift)} with a power of {percent(params.power, 0)}: "
            f"{'; '.join(takes)}. No design is recommended: which of them may be believed is not told by a pilot."
        )
    advice = advise(graded, params)
    head = f"Recommended: {advice.way.label}." if advice.way else "Recommended: do not test."
    return f"{head} {advice.why}"


def rule(graded: pd.DataFrame, tested: Tested) -> str:
    """The written rule, and what it may not take; of a pilot, what it cannot tell, so that there is no rule."""
    if tested.grounds is not None:
        return UNTOLD
    label = {way.name: way.label for way in WAYS}
    out = [f"{label[name]} ({why})" for name, why in left_out(graded, tested.params).items()]
    return f"{RULE} Left out here: {'; '.join(out)}."


def overlap_facts(tested: Tested) -> dict[str, str]:
    """How alike the two slates are, what is true of them where a truth is known, and what is assumed where not."""
    pair, (control, treatment) = tested.pair, [str(m.address) for m in tested.models]
    shared, k, ctr, true = pair.overlap(), pair.k, pair.ctr(), tested.grounds is None
    places = pair.places()[0]
    same = (places[:, :, 0] == places[:, :, 1]).mean()
    return {
        "control": f"{control}, true CTR {percent(ctr[0])}" if true else control,
        "treatment": f"{treatment}, true CTR {percent(ctr[1])}" if true else treatment,
        **({"true lift": lift(ctr[1] / ctr[0] - 1, 2)} if true else {}),
        "items that both slates show": f"{shared.mean():.1f} of {k} on average; none for "
        f"{percent((shared == 0).mean(), 0)} of users, all for {percent((shared == k).mean(), 0)}",
        "items at the same place in both": percent(float(same), 0),
        **tested.notes,
    }


def users_table(graded: pd.DataFrame, params: DesignsParams) -> pd.DataFrame:
    """For each way: what it tells, users and days for the wanted power, what the log must hold."""
    needed = graded[graded["model"] == params.click_model].set_index("way")["users_needed"]
    rows = [
        {
            "design": way.label,
            "tells": way.tells,
            "users": Number(needed[way.name], count(needed[way.name])),
            "days": Number(days := np.ceil(needed[way.name] / (params.users_per_day or USERS_PER_DAY)), count(days)),
            "the log must hold": way.log,
        }
        for way in WAYS
    ]
    return pd.DataFrame(rows).set_index("design")


def grades_table(graded: pd.DataFrame, model: str) -> pd.DataFrame:
    """Truth, mean estimate and coverage of each way in tests drawn from this click model."""
    rows = []
    for row in graded[graded["model"] == model].itertuples():
        is_lift = next(way.lift for way in WAYS if way.name == row.way)
        truth, value = ((math.expm1(x) if is_lift else x + 0.5) for x in (row.truth, row.value))
        said = lift if is_lift else percent
        rows.append(
            {
                "design": row.design,
                "tells": "lift" if is_lift else "share of clicks",
                "truth": Number(truth, said(truth)),
                "mean estimate": Number(value, said(value)),
                "off by": Number(value - truth, points(value - truth, 1)),
                "error of the mean": Number(row.bias_error, points(row.bias_error, 1).lstrip("+")),
                "coverage": Number(row.coverage, percent(row.coverage, 1)),
                "its gate says no": Number(row.gate, "no gate" if math.isnan(row.gate) else percent(row.gate, 1)),
                "tests with a number": Number(row.tests, count(row.tests)),
            }
        )
    return pd.DataFrame(rows).set_index("design")


def grades(graded: pd.DataFrame, model: str, tested: Tested) -> HTML:
    """Whether each way holds the truth in tests drawn from this click model; nothing of a pilot, which knows none."""
    if tested.grounds is not None:
        return HTML("")
    return joined(coverage_figure(graded, model, tested.params), report.table(grades_table(graded, model)))


def coverage_figure(graded: pd.DataFrame, model: str, params: DesignsParams) -> HTML:
    """How often the intervals of each way held the truth in tests drawn from this click model."""
    of = graded[(graded["model"] == model) & (graded["tests"] >= TELLS * params.n_tests)]
    error = 2 * np.sqrt(params.alpha * (1 - params.alpha) / of["tests"].clip(lower=1))
    rates = pd.DataFrame({"method": of["design"], "rate": of["coverage"], "error": error})
    return report.rates_figure(rates, target=1 - params.alpha, title=holds_title(graded, model, params))


def off_policy_facts(graded: pd.DataFrame, tested: Tested) -> dict[str, str]:
    """What reading the treatment from control's log takes: random sessions, support, weights, and the clicks lost.

    Of a pilot the clicks lost are not known.
    """
    pair, params = tested.pair, tested.params
    rows = graded[graded["way"] == "off_policy"]
    of = rows.set_index("model").loc[params.click_model]
    assert pair.exploration is not None
    listed, share = (pair.exploration.items >= 0).sum(axis=1).mean(), params.exploration
    facts = {
        "sessions of control with a random slate": percent(share, 0),
        "drawn among": f"the best {EXPLORED} items of each model, {listed:.0f} different ones for a user on average",
        "support: of the treatment's slate the log could show": f"{percent(min(of['support'], 1.0), 0)}; "
        f"below {percent(SUPPORTED, 0)} no number is given",
        "effective sample size: the weights leave": f"{count(of['effective'])} of {count(of['users'])} users; "
        f"below {count(EFFECTIVE)} no number is given",
        "drawn tests without a number": "; ".join(
            f"{percent(r.gate, 1)} if users click by the {r.model} model" for r in rows.itertuples()
        ),
    }
    if tested.grounds is not None:
        return facts
    control, explored = pair.ctr()[0], pair.explored_ctr()
    each = pair.k * pair.rate.mean() / -np.expm1(-pair.rate).mean()  # impressions of a user who comes
    lost = of["users_needed"] * each * (control - explored)
    until = f"; {count(lost)} until it has its users" if math.isfinite(lost) else ""
    return facts | {
        "CTR of the random sessions": f"{percent(control + (explored - control) / share)}, of control "
        f"{percent(control)}",
        "clicks lost": f"{percent(1 - explored / control, 1)} of control's{until}",
    }


def costs(tested: Tested) -> HTML:
    """`costs_table`; nothing of a pilot, which does not know what the treatment would do."""
    return report.table(costs_table(tested.pair)) if tested.grounds is None else HTML("")


def costs_table(pair: Pair) -> pd.DataFrame:
    """What users get while the test runs: CTR of each design against showing control to all, exactly."""
    control, treatment = pair.ctr()
    half = (control + treatment) / 2
    rows = {"Two groups, and sessions, half in each": half, "Interleaved (team draft)": pair.drafted()[1]}
    if (e := pair.exploration) is not None:
        rows[f"Control, {percent(e.share, 0)} of sessions random, for off-policy"] = pair.explored_ctr()
    rows |= {"Control for all": control, "Treatment for all": treatment}
    table = pd.DataFrame({"ctr": rows.values()}, index=pd.Index(rows, name="during the test"))
    return table.assign(lift=table["ctr"] / control - 1)


def holds_title(graded: pd.DataFrame, model: str, params: DesignsParams) -> str:
    """Which ways hold the truth too seldom in tests of this click model, or hardly tell, for the title of a figure."""
    of = graded[graded["model"] == model]
    silent = [r.design for r in of.itertuples() if r.tests < TELLS * params.n_tests]
    seldom = [r.design for r in of.itertuples() if r.design not in silent and not r.coverage >= COVERS]
    found = [f"not to be relied on: {'; '.join(seldom)}"] if seldom else []
    found += [f"hardly ever a number from: {'; '.join(silent)}"] if silent else []
    if not found:
        return f"Under the {model} model every way holds the truth about as often as it says"
    return f"Under the {model} model, {'; '.join(found)}"


def users_figure(graded: pd.DataFrame, params: DesignsParams) -> HTML:
    """Users that each way needs, on one axis of factors."""
    own = graded[graded["model"] == params.click_model]
    needed = dict(zip(own["design"], own["users_needed"], strict=True))
    told = {k: v for k, v in needed.items() if math.isfinite(v)}
    most = params.longest_days * (params.users_per_day or USERS_PER_DAY)
    if not told:
        return report.note("Both models have the same CTR: no number of users tells them apart.")
    least = min(told, key=lambda k: told[k])
    plain = count(needed[WAYS[0].label])
    title = f"{least}: {count(told[least])} users; two groups as counted: {plain}"
    return report.counts_figure(
        told,
        title=title,
        axis="users, each step ten times the last",
        line=(most, f"as many as come in {params.longest_days} days"),
    )


def log_designs(run: tracking.Run, graded: pd.DataFrame, tested: Tested) -> None:
    """The grades as a table, and the recommendation where a reader of MLflow looks for it."""
    untold = ["truth", "value", "bias_error", "coverage"]  # of what is assumed, no grade
    run.log_table("designs", graded if tested.grounds is None else graded.drop(columns=untold))
    if tested.grounds is None:
        advice = advise(graded, tested.params)
        run.tag(recommended=advice.way.label if advice.way else "do not test")
    run.name(f"Designs: {' against '.join(reversed(tested.params.variants))}", answer(graded, tested))
