"""Wording that sections share."""

import pytest

from recab_helpers.analysis import Check, mean_of
from recab_helpers.references import ModelAddress
from recab_helpers.report.kit.words import difference, in_order, model_name, state_of, value


def test_a_share_is_shown_in_percent_whatever_its_name():
    assert value(mean_of("kept", share=True), 0.1234) == "12.34%"
    assert value(mean_of("ctr"), 0.1234) == "0.123"
    assert difference(mean_of("kept", share=True), 0.0127) == "+1.27 pp"
    assert difference(mean_of("ctr"), -0.5) == "\N{MINUS SIGN}0.500"


def test_checks_that_failed_come_first_then_those_not_tested():
    made = [("a", "passed", True), ("b", "not tested", True), ("c", "failed", False), ("d", "failed", True)]
    checks = [Check(name=n, state=s, detail="", gate=g) for n, s, g in made]
    assert [(c.name, state_of(c)) for c in in_order(checks)] == [
        ("d", "failed"),
        ("c", "warning"),
        ("b", "not tested"),
        ("a", "passed"),
    ]


@pytest.mark.parametrize(
    ("address", "name"),
    [("models:/a-b/3", "a-b:3"), ("models:/a-b@champion", "a-b@champion"), ("runs:/12ab/m", "m:12ab")],
)
def test_a_model_has_a_short_name(address, name):
    assert model_name(ModelAddress.parse(address)) == name
