"""Estimates beside the truth, where the truth is one of them."""

import math
import re

from recab_helpers.analysis import CTR, mean_of, ratio_of
from recab_helpers.report import Background
from recab_helpers.report.sections.truth import true_lift, truth, yardsticks_table
from tests.report.drawn import a_background, an_analysis


def test_the_title_says_whether_the_interval_holds_the_drawn_truth(found, known):
    assert "The interval holds the true lift of +50.0%." in truth(found, known).data
    far = known.truth.assign(true_lift=known.truth["true_lift"].where(~known.truth["drawn"], 9.0))
    assert "The interval misses the true lift of +900.0%." in truth(found, a_background(found, truth=far)).data


def test_the_truth_that_was_drawn_from_comes_first_and_is_told_by_its_column(found, known):
    rows = re.findall(r'<tr><th scope="row">(\w+, [\w ]+)</th>', truth(found, known).data)
    assert rows == ["world, drawn from", "other, for comparison"]


def test_goals_that_count_clicks_have_a_true_lift_and_others_are_said_to_have_none():
    goals = (CTR, ratio_of("clicks", "sessions", role="goal"), mean_of("hides", role="goal", covariate=()))
    found = an_analysis(metrics=goals)
    known = a_background(found)
    assert [true_lift(e, known) for e in found.effects[:2]] == [0.5, 0.5]
    assert math.isnan(true_lift(found.effects[2], known))
    page = truth(found, known).data
    assert "The true lift of Hides is not known: the truth is one of clicks." in page
    assert len(re.findall('alt="(CTR|Clicks per session): The interval', page)) == 2
    assert "Hides" not in re.sub("<p.*?</p>", "", page)


def test_a_secondary_metric_and_a_real_log_have_no_true_lift(found, known):
    secondary = next(e for e in found.effects if e.metric.role == "secondary")
    assert math.isnan(true_lift(secondary, known))
    assert math.isnan(true_lift(found.effects[0], Background()))


def test_yardsticks_stand_beside_the_variants_lowest_first(known):
    names = re.findall(r'<tr><th scope="row">([^<]+)<', yardsticks_table(known.yardsticks, known.truth).data)
    assert names == ["random", "control (model-0)", "treatment (model-1)", "oracle"]
    assert yardsticks_table({}).data == ""
