"""The figure and tables of effects."""

import math
import re
from dataclasses import replace

from recab_helpers import formats
from recab_helpers.analysis import CTR, mean_of
from recab_helpers.report import Background
from recab_helpers.report.sections.lifts import lifts, sensitivity
from tests.report.drawn import an_analysis


def titles(page: str) -> str:
    return re.search('alt="([^"]*)"', page)[1].split(". Lifts:")[0]


def test_the_title_states_what_the_goal_did(found):
    (goal,) = found.goal_effects
    page = lifts(found, Background()).data
    assert titles(page) == f"CTR is {goal.lift:.1%} higher in treatment"


def test_of_several_goals_the_title_states_what_each_did():
    hides = mean_of("hides", role="goal", direction=-1, covariate=())
    found = an_analysis(metrics=(CTR, hides))
    assert re.fullmatch(
        r"CTR is [\d.]+% higher in treatment; Hides: no lift can be told from zero",
        titles(lifts(found, Background()).data),
    )


def test_a_goal_without_a_lift_is_said_to_have_none(found):
    undefined = replace(found.goal_effects[0].without_numbers("no clicks"))
    page = lifts(replace(found, effects=[undefined]), Background()).data
    assert page.startswith('<p class="recab">The lift of the goal is not defined.</p>')
    assert "no clicks" in page


def test_the_adjusted_p_of_a_guardrail_is_that_of_its_margin(found):
    guardrail = next(e for e in found.effects if e.metric.role == "guardrail")
    page = lifts(found, Background()).data
    heads = re.findall("<th[^>]*>([^<]*)</th>", re.search("<thead>.*?</thead>", page)[0])
    row = re.search(r"<tr><th[^>]*>Users with a click \(guardrail\)</th>.*?</tr>", page)[0]
    cells = dict(zip(heads[1:], re.findall("<td.*?</td>", row), strict=True))
    assert f'data-value="{guardrail.noninferiority_p!r}"' in cells["p of the margin"]
    assert ">none<" in cells["p, adjusted"]
    assert "p of the margin" not in sensitivity(found, Background()).data


def test_an_adjusted_lift_stands_beside_the_one_that_was_counted(found):
    (goal,) = found.goal_effects
    assert math.isfinite(goal.variance_reduction)
    control, treatment = (s.mean for s in found.test.users.statistics.values())
    clicks, shown = (found.test.users.columns.index(c) for c in goal.metric.columns)
    counted = (treatment[clicks] / treatment[shown]) / (control[clicks] / control[shown]) - 1
    assert abs(counted - goal.lift) > 0.001
    assert f"CUPED; as counted {formats.lift(counted)}" in lifts(found, Background()).data


def test_whether_other_ways_agree_is_said_in_the_first_words(found):
    assert re.search(
        r"<summary>Do other ways agree\? Other methods agree: \d of \d", sensitivity(found, Background()).data
    )
    odd = replace(found.sensitivity[0], lift=-0.2, lift_ci=(-0.3, -0.1))
    page = sensitivity(replace(found, sensitivity=[odd, *found.sensitivity[1:]]), Background()).data
    assert "<summary>Do other ways agree? Not all other methods agree: delta method (" in page


def test_the_table_names_the_level_of_its_intervals_only_where_all_share_it(found):
    assert "95% interval" in lifts(found, Background()).data
    two = an_analysis({"a": 0.5, "b": 0.2})
    assert "interval of the lift" in lifts(two, Background()).data
    assert "97.5% interval" in sensitivity(two, Background()).data


def test_an_invalid_test_shows_no_p_value_and_no_finding(found):
    invalid = replace(found, verdict=replace(found.verdict, call="invalid", winner=""))
    page = lifts(invalid, Background()).data + sensitivity(invalid, Background()).data
    assert not re.search(">p[,<]|p of the margin", page)
    assert "of an invalid test" in page
    assert page.count("these numbers may show where its fault lies") == 3


def test_the_table_says_which_rows_share_a_level(found, known):
    page = lifts(found, known).data
    assert "Levels: the goal has 0.05 for itself" in page
    secondary = sum(e.metric.role == "secondary" for e in found.effects)
    assert f"adjusted p by Benjamini and Hochberg over all {secondary}" in page
    page = lifts(replace(found, effects=[*found.effects, *found.goal_effects]), known).data
    assert "the 2 rows of goals share 0.05, intervals equally (Bonferroni) and adjusted p by Holm" in page
    others = sensitivity(found, known).data
    assert f"that of the goals&#x27; intervals ({found.sensitivity[0].alpha:.3g}), uncorrected" in others
