"""What nobody reads is named."""

from recab_helpers.impressions import read_log
from tests.made import LOG


def test_columns_that_nobody_reads_are_named_with_what_they_may_be():
    [note] = read_log(LOG.assign(clicks_30d=7, bought=[0, 1] * 3)).notes
    assert (
        note
        == "the table: not read: clicks_30d (did you mean pre_clicks?), bought (0 or 1: a metric by metrics=[bought])"
    )
