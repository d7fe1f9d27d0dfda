"""Numbers and names have one format, wherever they are shown."""

import math

import pytest

from recab_helpers import formats


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.lift(0.042), "+4.2%"),
        (formats.lift(-0.0001), "0.0%"),
        (formats.points(0.0127), "+1.27 pp"),
        (formats.confidence(0.025), "97.5%"),
        (formats.label_of("ndcg_at_10"), "NDCG@10"),
        (formats.lift(-0.042), "\N{MINUS SIGN}4.2%"),
        (formats.lift_interval((-0.021, 0.063)), "\N{MINUS SIGN}2.1% to +6.3%"),
        (formats.percent(0.0363), "3.63%"),
        (formats.count(20_000), "20,000"),
        (formats.p_value(0.0004), "< 0.001"),
        (formats.p_value(0.04), "0.040"),
        (formats.lift(math.nan), "not defined"),
        (formats.lift_interval((math.nan, math.nan)), "not defined"),
        (formats.count(math.inf), "not defined"),
    ],
)
def test_numbers_have_one_format(text, expected):
    assert text == expected


def test_no_interval_is_called_sure():
    """The first evening of two weeks is read at a level near zero: '100% interval' would promise too much."""
    assert [formats.confidence(a) for a in (0.05, 0.025, 1e-4, 9e-7)] == ["95%", "97.5%", "99.99%", "over 99.99%"]
