"""What the test could find."""

from dataclasses import replace

import pytest

from recab_helpers.analysis import CTR, mean_of
from recab_helpers.report import Background
from recab_helpers.report.sections.power import power
from tests.report.drawn import an_analysis


def test_the_title_names_the_smallest_lift_of_the_goal(found):
    mde = found.power.loc[found.power["metric"] == "CTR", "mde"].item()
    assert f'alt="This test finds a CTR lift of {mde:.1%} with power 80%.' in power(found, Background()).data


def test_of_several_goals_each_is_named_and_the_curve_is_of_the_least_precise():
    found = an_analysis(metrics=(CTR, mean_of("hides", role="goal", covariate=())))
    page = power(found, Background()).data
    worst = found.power.set_index("metric")["mde"].idxmax()
    for label, mde in found.power.set_index("metric")["mde"].items():
        assert f"a {label} lift of {mde:.1%}" in page
    assert f"Of several, the least precise: {worst} of treatment." in page
    assert found.power_curve["power"].iloc[(abs(found.power_curve.index - found.power["mde"].max())).argmin()] == (
        pytest.approx(0.8, abs=0.02)
    )


def test_without_a_lift_nothing_is_promised(found):
    none = replace(found, power=found.power.iloc[:0], power_curve=found.power_curve.iloc[:0])
    assert "What this test finds is not defined." in power(none, Background()).data
