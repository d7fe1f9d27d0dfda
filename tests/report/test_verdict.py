"""The sentences of the verdict name the goal, the guardrail and the variant that they are about."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from recab_helpers import formats
from recab_helpers.analysis import Check, Effect, Progress, decide, mean_of, ratio_of
from recab_helpers.references import Comparison, ModelAddress
from recab_helpers.report import Background
from recab_helpers.report.verdict import headline, next_step, reasons, sentence, title
from tests.report.drawn import a_background, an_analysis

REAL = Background()  # a real log, of which nothing else is known
SE = {"control": 1.0, "se": 0.01, "log_se": 0.01}


def effect(
    name: str, lift: float, half: float = 0.02, *, role: str = "goal", variant: str = "treatment", **spec
) -> Effect:
    metric = mean_of(name, role=role, margin=0.05 if role == "guardrail" else 0.0, **spec)
    return Effect(
        metric=metric,
        comparison=Comparison(variant),
        method="Welch",
        alpha=0.05,
        n_control=500,
        n_treatment=500,
        treatment=1 + lift,
        lift=lift,
        lift_ci=(lift - half, lift + half),
        **SE,
    )


@pytest.fixture
def said(found):
    """Sentence, reasons and what would change the verdict on some effects."""

    def said(*effects: Effect, checks: tuple[Check, ...] = ()) -> tuple[str, tuple[str, ...], str]:
        of = replace(found, effects=list(effects), checks=list(checks), verdict=decide(list(effects), list(checks)))
        return sentence(of, REAL), reasons(of, REAL), next_step(of, REAL)

    return said


def test_a_treatment_that_ships_is_named_with_its_lift_and_the_guardrails_that_held(said):
    text, why, change = said(effect("buys", 0.1), effect("visits", 0, role="guardrail"))
    assert text == "Ship treatment: Buys of treatment is 10.0% higher than control's (95% interval +8.0% to +12.0%)."
    assert why[:2] == (
        "The interval of the Buys lift lies above zero.",
        "Guardrails: Visits is inside its margin of 5%.",
    )
    assert "finds a Buys lift of 2.8% with power 80%" in why[2]
    assert change == "Give it to all users and go on watching the guardrails; no more days are needed."


def test_what_covers_zero_says_so_and_how_many_users_would_show_it(said):
    text, why, change = said(effect("buys", 0.01))
    assert text.endswith("which does not rule out zero.")
    assert why[0] == "The interval of the Buys lift lies on both sides of zero."
    assert "about 6,649 more users" in change  # 1000 users find 2.8%: 1000 (2.8016 / 1)^2 find 1%, and 1200 were there


def test_of_two_goals_that_disagree_both_are_named(said):
    text, why, _ = said(effect("buys", 0.1), effect("reads", -0.1))
    assert text == "No call: Buys of treatment is 10.0% higher than control's (95% interval +8.0% to +12.0%)."
    assert why[:2] == (
        "The interval of the Buys lift lies above zero.",
        "The interval of the Reads lift lies below zero.",
    )


def test_a_treatment_that_lost_is_not_said_to_leave_zero_open(said):
    text, why, _ = said(effect("buys", -0.1, variant="a"), effect("buys", -0.2, half=0.3, variant="b"))
    assert (
        text
        == f"No call: Buys of a is 10.0% lower than control's (95% interval {formats.lift_interval((-0.12, -0.08))})."
    )
    assert why[0] == "The interval of the Buys lift lies below zero."


def test_guardrails_are_named_with_their_variant_in_the_order_of_the_variants(said, found):
    lost = [effect(name, -0.2, role="guardrail", variant=v) for name in ("visits", "stays") for v in ("treatment", "b")]
    goals = [effect("buys", 0.1), effect("buys", 0.1, variant="b")]
    of = replace(found, effects=[*goals, *lost], verdict=decide([*goals, *lost], []))
    control, treatment = found.test.users.statistics.values()
    users = replace(found.test.users, statistics={"control": control, "treatment": treatment, "b": treatment})
    of = replace(of, test=replace(found.test, users=users))
    broken = "Keep control: Visits of treatment is 20.0% lower than control's (95% interval "
    assert sentence(of, REAL).startswith(broken)
    assert sentence(of, REAL).endswith("which lies wholly beyond its margin of 5%.")
    assert [r.split(" lies wholly")[0] for r in reasons(of, REAL)[:4]] == [
        "Visits of treatment",
        "Stays of treatment",
        "Visits of b",
        "Stays of b",
    ]


def test_a_guardrail_that_is_not_shown_to_hold_is_the_reason_why_a_better_treatment_does_not_ship(said):
    text, why, _ = said(effect("buys", 0.1), effect("visits", -0.04, role="guardrail"))
    assert text.startswith("No call: Buys of treatment is 10.0% higher")
    assert text.endswith("but Visits is not shown to stay within its margin of 5%.")
    assert "Visits of treatment is not shown to stay within its margin of 5%." in why


def test_an_invalid_test_names_the_gate_and_no_winner(said):
    text, why, change = said(effect("buys", 0.1), checks=(Check(name="SRM", state="failed", detail="70% and 30%"),))
    assert text == "The test cannot be trusted: SRM failed. No winner is named."
    assert why == ("SRM: 70% and 30%",)
    assert change.startswith("Mend the cause")


def test_a_goal_without_a_lift_is_named_with_the_reason_why(said):
    undefined = replace(effect("reads", 0.1), lift=math.nan, reason="no user reads")
    text, why, change = said(effect("buys", 0.1), undefined)
    assert text == "No call: the lift of Reads is not defined, because no user reads."
    assert why == ("no user reads",)
    assert "choose another goal" in change


def a_rehearsal(found, drawn: float = 0.1, other: float = 0.2, **changes) -> Background:
    rows = [
        (t, v, "m", 0.1, x, t == "world")
        for t, true in (("world", drawn), ("held_out", other))
        for v, x in (("control", 0.0), ("treatment", true))
    ]
    truth = pd.DataFrame(rows, columns=["truth", "variant", "model", "true_ctr", "true_lift", "drawn"])
    return a_background(found, **{"truth": truth, "offline": {"control": "old", "treatment": "new"}} | changes)


def of(found, *effects: Effect):
    return replace(found, effects=list(effects), verdict=decide(list(effects), []))


def test_a_rehearsal_says_that_it_is_one_and_calls_variants_by_their_models(found):
    known = a_rehearsal(found)
    assert title(of(found, effect("buys", 0.1)), known) == "Simulated: ship new (+10.0%), test of new against old"
    real = "Real: ship treatment (+10.0%), test of treatment against control"
    assert title(of(found, effect("buys", 0.1)), REAL) == real
    assert headline(of(found, effect("buys", 0.1)), known) == "Ship new."
    assert headline(of(found, effect("buys", -0.1)), known) == "Keep old."


def test_the_same_model_twice_asks_for_no_users_and_names_no_winner(found):
    known = a_rehearsal(found, models=dict.fromkeys(("control", "treatment"), ModelAddress(name="m", version="1")))
    even, odd = of(found, effect("buys", 0.01)), of(found, effect("buys", 0.1))
    assert headline(even, known) == "A/A: no difference, as it should be."
    assert "would show it" not in sentence(even, known) + next_step(even, known)
    assert headline(odd, known) == "A/A: a difference where none can be."
    assert "ship " not in (title(odd, known) + sentence(odd, known) + headline(odd, known)).lower()
    dialed = a_rehearsal(found, dial=0.0)
    assert headline(even, dialed).startswith("A/A")


def test_a_call_that_depends_on_the_definition_of_truth_says_so(found):
    ships = of(found, effect("buys", 0.1))
    hangs = a_rehearsal(found, other=-0.283)
    assert headline(ships, hangs) == "Ship new, if this truth is the right one."
    assert f"+10.0% by world, from which clicks were drawn, but {formats.lift(-0.283)} by held out" in sentence(
        ships, hangs
    )
    assert "hangs" not in sentence(ships, a_rehearsal(found))


def test_a_diluted_treatment_is_named_as_diluted(found):
    known = a_rehearsal(found, dial=0.25)
    assert "new (diluted to 25%) against old" in title(of(found, effect("buys", 0.1)), known)
    assert "diluted to 25%" in sentence(of(found, effect("buys", 0.1)), known)


def test_with_few_users_the_sentence_carries_the_doubt():
    small, large = an_analysis(n=900), an_analysis(n=1200)
    assert "450 users" in sentence(small, REAL)
    assert "the interval itself is doubtful" in sentence(small, REAL)
    assert "doubtful" not in sentence(large, REAL)


def test_a_difference_too_small_to_wait_for_ends_the_test(found):
    assert next_step(of(found, effect("buys", 0.0005)), REAL).startswith("End the test: so small a difference")


def test_the_best_of_several_says_whom_it_is_not_shown_to_beat():
    close, apart = an_analysis({"a": 0.5, "b": 0.48}, n=4500), an_analysis({"a": 0.2, "b": 0.9}, n=4500)
    (other,) = {"a", "b"} - {close.verdict.winner}
    assert f"It is not shown to be better than {other}." in sentence(close, REAL)
    assert apart.verdict.winner == "b"
    assert "not shown" not in sentence(apart, REAL)


def test_equal_values_are_called_the_same(said):
    assert said(effect("buys", 0.0))[0].startswith("No call: Buys of treatment is the same as control's (95% interval")


def test_a_denominator_that_moved_is_told_before_the_call(said):
    ratio = replace(effect("ctr", 0.1), metric=ratio_of("buys", "visits", role="goal"))
    visits = replace(effect("visits", -0.2, role="secondary"), p_value=1e-9)
    text, _, _ = said(ratio, visits, effect("buys", -0.12, role="secondary"))
    assert text.startswith("Read with care: Visits of treatment moved by")
    assert "Buys per visit divides by it. No call:" in text


def test_a_call_that_hangs_on_heavy_users_says_so(said):
    for half, whole, call, why in (
        (0.05, (-0.3, 0.4), "Ship", "does not rule out zero: the call rests on the capped reading"),
        (0.05, (-0.4, -0.1), "No call", "points the other way, so that neither is believed"),
        (0.2, (0.05, 0.4), "No call", "but a call does not rest on a few users alone"),
    ):
        text, _, step = said(replace(effect("buys", 0.1, half=half), uncapped_lift=0.02, uncapped_ci=whole))
        assert text.startswith(call)
        assert "with none of them capped, Buys differs by +2.0%" in text
        assert why in text
        assert step.startswith("Find out who the heavy users are") == (whole[1] < 0)
    assert "heavy" not in said(effect("buys", 0.1, half=0.05))[0]


def test_a_running_test_says_its_day_and_what_its_intervals_are_for(found):
    e = effect("buys", 0.1, half=0.2)
    planned = Progress(days=5, reached=(1 / 14, 2 / 14, 3 / 14, 4 / 14, 5 / 14), planned="14 days")
    by_day = {"planned": planned, "open": Progress(days=5), "over": replace(planned, reached=(0.5, 1.0))}
    pages = {k: replace(found, effects=[e], verdict=decide([e], [], progress=p)) for k, p in by_day.items()}
    assert headline(pages["planned"], REAL) == "Running: day 5 of 14, no call yet."
    assert "(day 5 of 14): its intervals are wide enough to be read every evening" in sentence(pages["planned"], REAL)
    assert next_step(pages["planned"], REAL).startswith("Run on to the planned end of 14 days")
    assert headline(pages["open"], REAL) == "Running: day 5, no call yet."
    assert "planned_days" in next_step(pages["open"], REAL)
    assert headline(pages["over"], REAL) == "No call."
    users = replace(planned, planned="9,000 users")
    page = replace(found, effects=[e], verdict=decide([e], [], progress=users))
    assert headline(page, REAL) == "Running: day 5, 1,200 of 9,000 users, no call yet."


def test_what_must_not_fall_and_fell_holds_the_call_back_and_is_named(said):
    text, why, change = said(effect("buys", 0.1), effect("visits", -0.2, role="deterioration"))
    assert text.startswith("No call: Buys of treatment is 10.0% higher")
    assert ", but Visits of treatment is 20.0% lower than control's" in text
    assert "Visits of treatment is shown to be worse (\u221220.0%)." in why
    assert change.startswith("Find out why Visits fell")
