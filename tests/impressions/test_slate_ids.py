"""Slate ids that are not those of one slate each are made so, or refused."""

from recab_helpers.impressions import read_log
from tests.made import LOG, counts_of, refusal


def test_slate_ids_that_count_per_day_are_made_whole():
    log = LOG.assign(slate_id=1, position=1, day=[0, 1, 2, 0, 1, 0])
    read = read_log(log)
    assert counts_of(read) == {"control": (1, 3, 3, 2), "treatment": (2, 3, 3, 1)}
    assert read.notes == ("slate ids count per day, so that a slate is told by its id and its day",)
    assert "rows have the same user_id, slate_id and position" in refusal(log.assign(day=0))
