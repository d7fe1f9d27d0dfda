"""Figures that several pages share."""

import math

import pandas as pd
import pytest

from recab_helpers.report.kit.figures import LiftRow, ctr_figure, lifts_figure, power_figure, rates_figure
from recab_helpers.report.kit.plot import BETTER, NEUTRAL, WORSE


def by_day(n_days: int) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([["control", "treatment"], range(n_days)], names=["variant", "day"])
    return pd.DataFrame({"ctr": [0.1, 0.12] * n_days}, index)


def test_a_figure_of_many_marks_is_a_png():
    assert "data:image/png" in ctr_figure(by_day(2000), title="many").data
    assert "data:image/svg+xml" in ctr_figure(by_day(5), title="few").data


def test_figures_repeat_byte_for_byte():
    one, two = (ctr_figure(by_day(2), title="t").data for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("row", "color"),
    [
        (LiftRow(label="x", lift=0.1, ci=(0.05, 0.15)), BETTER),
        (LiftRow(label="x", lift=0.1, ci=(0.05, 0.15), direction=-1), WORSE),
        (LiftRow(label="x", lift=-0.1, ci=(-0.15, -0.05), direction=-1), BETTER),
        (LiftRow(label="x", lift=0.1, ci=(-0.05, 0.25)), NEUTRAL),
        (LiftRow(label="x", lift=0.1), NEUTRAL),
    ],
)
def test_blue_is_better_in_the_metric_s_direction_and_only_where_zero_is_ruled_out(row, color):
    assert row.color(valid=True) == color
    assert row.color(valid=False) == NEUTRAL


def test_the_caption_explains_the_marks_that_are_drawn_and_no_other():
    plain = LiftRow(label="x", lift=0.1, ci=(0.05, 0.15))
    marked = LiftRow(label="y", lift=0.1, ci=(0.05, 0.15), margin=0.05, truth=0.2)
    one, all_ = (
        lifts_figure(rows, title="t").data for rows in ([plain], [plain, marked, LiftRow(label="z", lift=1.0)])
    )
    for mark in ("Dotted mark", "Diamond", "A dot without a bar"):
        assert mark not in one
        assert mark in all_


def test_where_there_is_nothing_to_draw_the_title_stands_as_a_sentence():
    assert lifts_figure([], title="No lift").data == '<p class="recab">No lift.</p>'
    assert power_figure(pd.DataFrame({"power": []}), title="No power").data == '<p class="recab">No power.</p>'


def test_alt_texts_say_the_numbers():
    rates = pd.DataFrame(
        {"kind": "rejects", "method": ["CTR: a, b"], "rate": [0.05], "error": [math.nan], "tests": [9]}
    )
    assert "CTR: a, b 5.0%" in rates_figure(rates, target=0.05, title="t").data
    curve = pd.DataFrame({"power": [0.05, 0.5, 0.9]}, pd.Index([0, 0.1, 0.2], name="lift"))
    assert "at +10.0% power 50%; at +20.0% power 90%" in power_figure(curve, title="t").data
