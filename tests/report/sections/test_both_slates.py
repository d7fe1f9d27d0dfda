"""The section of both slates: what it says where the gate holds, and where it does not; absent where it cannot be."""

from dataclasses import replace

import pytest

from recab_helpers.references import ModelAddress
from recab_helpers.report import sections
from tests.report.drawn import a_background, an_analysis


@pytest.fixture(scope="module")
def found():
    return an_analysis()


def said(found, gate_p: float, **changes) -> str:
    readings = {v: replace(r, gate_p=gate_p) for v, r in found.both_slates.items()}
    found = replace(found, both_slates=readings)
    return sections.both_slates(found, a_background(found, **changes)).data


def test_it_says_what_it_finds_and_how_many_users_that_takes(found):
    text = said(found, 0.5)
    reading = found.both_slates["treatment"]
    share = (reading.both.log_se / reading.plain.log_se) ** 2
    needs = f"need {share:.0%} of the users" if share < 1 else "need as many users"
    assert f"{reading.both.lift:+.1%} for" in text
    assert needs in text
    assert "The gate holds" in text
    assert "How far down do users look?" in text


def test_a_reading_that_the_gate_does_not_let_pass_is_not_in_the_title(found):
    text = said(found, 0.01)
    assert "are not read" in text
    assert "Both slates say" not in text
    assert "The gate does not hold" in text


def test_an_invalid_test_one_model_in_all_and_a_log_without_it_have_no_such_section(found):
    invalid = an_analysis(planned={"control": 0.9, "treatment": 0.1})
    same = ModelAddress(name="one", version="1")
    assert not invalid.verdict.valid
    assert sections.both_slates(invalid, a_background(invalid)).data == ""
    assert said(found, 0.5, models=dict.fromkeys(("control", "treatment"), same)) == ""
    assert sections.both_slates(replace(found, both_slates={}), a_background(found)).data == ""
