"""CTR by position and by day."""

from dataclasses import replace

import pandas as pd

from recab_helpers.report import Background
from recab_helpers.report.sections.ctr import days, positions


def table(by: str, levels: list[int], control: list[int], treatment: list[int]) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["control", "treatment"], levels], names=["variant", by])
    frame = pd.DataFrame({"impressions": 100, "clicks": [*control, *treatment]}, index)
    return frame.assign(ctr=frame["clicks"] / frame["impressions"])


def test_the_first_position_is_held_against_the_last(found):
    by = table("position", [1, 2], [20, 5], [30, 5])
    assert (
        "Position 1 is clicked 5.0 times as often as 2." in positions(replace(found, by_position=by), Background()).data
    )
    by = table("position", [1, 2], [20, 0], [30, 0])
    assert "No click at position 2." in positions(replace(found, by_position=by), Background()).data
    by = table("position", [1], [20], [30])
    assert "The log holds one position." in positions(replace(found, by_position=by), Background()).data


def test_days_are_counted_on_which_a_treatment_was_ahead_but_not_of_an_invalid_test(found):
    valid = replace(found, by_day=table("day", [0, 1, 2], [10, 10, 10], [11, 9, 12]))
    assert "Treatment had the higher CTR on 2 of 3 days." in days(valid, Background()).data
    invalid = replace(valid, verdict=replace(found.verdict, call="invalid"))
    assert "CTR by day, of an invalid test." in days(invalid, Background()).data
