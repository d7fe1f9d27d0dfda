"""Effects by segment."""

from dataclasses import replace

from recab_helpers.report import Background
from recab_helpers.report.sections.segments import segments


def test_a_difference_between_levels_is_told_by_its_adjusted_p(found):
    for p, title, reading in (
        (0.04, "The lift differs by activity", "lifts differ"),
        (0.06, "No difference", "no difference shown"),
    ):
        of = replace(found, heterogeneity=found.heterogeneity.assign(adjusted_p_value=p))
        page = segments(of, Background()).data
        assert f'alt="{title}' in page
        assert f">{reading}<" in page


def test_a_level_without_a_lift_says_why(found):
    table = found.segments.assign(reason=["", "9 users in one variant; 100 are needed"])
    assert "<th>" not in segments(found, Background()).data
    assert "9 users in one variant" in segments(replace(found, segments=table), Background()).data


def test_an_invalid_test_compares_no_segments(found):
    invalid = replace(found, verdict=replace(found.verdict, call="invalid"))
    page = segments(invalid, Background()).data
    assert "p value" not in page
    assert "Not shown: the test is invalid." in page


def test_the_table_of_segments_says_which_rows_share_a_level(found, known):
    assert f"Levels: all {len(found.segments)} rows share 0.05 in their adjusted p" in segments(found, known).data
