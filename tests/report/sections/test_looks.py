"""The lift over time: when the test could have stopped, for every goal and treatment."""

import base64
import re
from dataclasses import replace

from recab_helpers.analysis import CTR, could_have_stopped, mean_of
from recab_helpers.report import Background
from recab_helpers.report.sections.looks import looks
from tests.report.drawn import an_analysis


def alt(found) -> str:
    return re.search('alt="([^"]*)"', looks(found, Background()).data)[1]


def test_the_title_says_when_each_treatment_could_have_stopped():
    found = an_analysis({"a": 3.0, "b": 0.0})
    day = could_have_stopped(found.looks, "ctr")
    a, b = day
    assert day[b] is None
    assert alt(found).startswith(f"A could have stopped on day {day[a] + 1}; b could not have stopped early.")


def test_every_goal_has_its_sentence_and_its_numbers():
    found = an_analysis(
        metrics=(CTR, mean_of("clicks", name="clicks", label="Clicks per user", role="goal", covariate=()))
    )
    text = alt(found)
    assert re.match(r"CTR: treatment could .*?\. Clicks per user: treatment could", text)
    assert "Cumulative CTR lift by day" in text
    assert "Cumulative Clicks per user lift by day" in text


def test_a_panel_is_added_for_every_goal_and_treatment(found):
    two = an_analysis({"a": 0.5, "b": 0.2})
    sizes = [height(looks(f, Background()).data) for f in (found, two)]
    assert sizes[1] > 1.5 * sizes[0]


def test_an_invalid_test_could_not_have_stopped_anywhere(found):
    invalid = replace(found, verdict=replace(found.verdict, call="invalid", winner=""))
    assert alt(invalid).startswith("Lift to date, of an invalid test.")


def height(page: str) -> float:
    svg = base64.b64decode(re.search('base64,([^"]*)', page)[1]).decode()
    return float(re.search(r'height="([\d.]+)pt"', svg)[1])


def test_the_bands_say_their_level(found, known):
    assert "Level: each band errs at any of its looks in at most 0.05 of tests" in looks(found, known).data
