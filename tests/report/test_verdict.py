"""The sentences of the verdict name the goal, the guardrail and the variant that they are about."""

import math
from dataclasses import replace

import pytest

from recab_helpers import formats
from recab_helpers.analysis import Check, Effect, decide, mean_of
from recab_helpers.references import Comparison
from recab_helpers.report.verdict import reasons, sentence, would_change

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
        return sentence(of), reasons(of), would_change(of)

    return said


def test_a_treatment_that_ships_is_named_with_its_lift_and_the_guardrails_that_held(said):
    text, why, change = said(effect("buys", 0.1), effect("visits", 0, role="guardrail"))
    assert text == "Ship treatment: Buys of treatment is 10.0% higher than control's (95% interval +8.0% to +12.0%)."
    assert why[:2] == (
        "The interval of the Buys lift lies above zero.",
        "Guardrails: Visits is inside its margin of 5%.",
    )
    assert "finds a Buys lift of 2.8% with power 80%" in why[2]
    assert "guardrail beyond its margin" in change


def test_what_covers_zero_says_so_and_how_many_users_would_show_it(said):
    text, why, change = said(effect("buys", 0.01))
    assert text.endswith("which does not rule out zero.")
    assert why[0] == "The interval of the Buys lift lies on both sides of zero."
    assert "about 7,849 users" in change  # 1000 users find 2.8%: 1000 (2.8016 / 1)^2


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
    users = replace(found.test.users, statistics=dict.fromkeys(("control", "treatment", "b")))
    of = replace(of, test=replace(found.test, users=users))
    assert sentence(of).startswith("Keep control: Buys of treatment is 10.0% higher")
    assert [r.split(" lies wholly")[0] for r in reasons(of)[:4]] == [
        "Visits of treatment",
        "Stays of treatment",
        "Visits of b",
        "Stays of b",
    ]


def test_a_guardrail_that_is_not_shown_to_hold_is_the_reason_why_a_better_treatment_does_not_ship(said):
    text, why, _ = said(effect("buys", 0.1), effect("visits", -0.04, role="guardrail"))
    assert text.startswith("No call: Buys of treatment is 10.0% higher")
    assert "Visits of treatment is not shown to stay within its margin of 5%." in why


def test_where_less_is_better_a_treatment_would_have_to_lie_below_zero(said):
    assert said(effect("waits", 0.1, direction=-1))[2] == "A treatment whose interval lies below zero would change it."
    assert said(effect("buys", -0.1))[2] == "A treatment whose interval lies above zero would change it."


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
    assert change == ""
