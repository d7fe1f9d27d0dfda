"""Offline quality held against the test."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from recab_helpers.analysis import CTR, mean_of
from recab_helpers.report import Background
from recab_helpers.report.sections.offline import RANKING, offline
from tests.report.drawn import an_analysis


def a_goal(found, lift_ci: tuple[float, float], direction: int = 1):
    """The analysis with a goal whose lift is ten percent."""
    goal = replace(found.goal_effects[0], lift=0.1, lift_ci=lift_ci, metric=replace(CTR, direction=direction))
    return replace(found, metrics=(goal.metric,), effects=[goal])


def title(found, control: float, treatment: float) -> str:
    quality = pd.DataFrame({name: [control, treatment] for name in RANKING}, index=["c", "t"])
    page = offline(found, Background(quality=quality, offline={"control": "c", "treatment": "t"})).data
    return re.search('alt="(.*?) Lifts:', page)[1]


@pytest.mark.parametrize(
    ("ndcg", "lift_ci", "direction", "says"),
    [
        (0.2, (0.05, 0.2), 1, "agrees in sign only"),
        (0.11, (0.05, 0.2), 1, "agrees"),
        (0.05, (0.05, 0.2), 1, "disagrees"),
        (0.2, (-0.05, 0.2), 1, "cannot tell"),
        (0.2, (0.05, 0.2), -1, "disagrees"),  # less is better, and it rose
    ],
)
def test_offline_quality_is_held_against_the_test(found, ndcg, lift_ci, direction, says):
    assert f"the test {says} (+10.0%)" in title(a_goal(found, lift_ci, direction), 0.1, ndcg)


def test_a_model_of_control_without_quality_has_no_lift_over_it(found):
    assert title(a_goal(found, (0.05, 0.2)), 0.0, 0.1) == "NDCG@10 of control was zero offline."
    unmeasured = title(a_goal(found, (0.05, 0.2)), float("nan"), 0.1)
    assert unmeasured == "NDCG@10 of control was not measured: it did not answer."
    assert title(a_goal(found, (0.05, 0.2)), 0.1, 0.1) == "NDCG@10 of treatment was that of control offline."


def test_variants_and_models_are_named_as_they_are(found):
    quality = pd.DataFrame({name: [0.1, 0.2] for name in RANKING}, index=["a_b", "c_d"])
    page = offline(found, Background(quality=quality, offline={"control": "a_b", "treatment": "c_d"})).data
    assert ">c_d<" in page


def test_a_diluted_test_is_named_where_it_is_held_against_offline_quality(found):
    quality = pd.DataFrame({name: [0.1, 0.2] for name in RANKING}, index=["a", "b"])
    known = Background(quality=quality, offline={"control": "a", "treatment": "b"}, dial=0.25)
    page = offline(found, known).data
    assert "The test is diluted: 25% of treatment" in page
    assert "diluted" not in offline(found, replace(known, dial=1.0)).data


def test_each_goal_is_held_against_it(known):
    found = an_analysis(metrics=(CTR, mean_of("hides", role="goal", direction=-1, covariate=())))
    page = offline(found, known).data
    assert re.search(r"offline; CTR agrees in sign only \(\S+\), Hides cannot tell \(\S+\)", page)
    assert page.count(">CTR in the test<") == page.count(">Hides in the test<") == 1
