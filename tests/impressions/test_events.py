"""A log with a row for every event says what the same log of one row an item shown says, or is refused."""

import pandas as pd
import pytest

from recab_helpers.impressions import Reading, read_log
from tests.made import COUNTS_OF_LOG, LOG, counts_of, refusal

SHOWN = LOG.assign(event="view").drop(columns="clicked")
EVENTS = pd.concat([SHOWN, SHOWN[LOG["clicked"] == 1].assign(event="select")], ignore_index=True)
HOW = {"columns": {"clicked": "event"}, "click": ("select",)}


@pytest.mark.parametrize("without", [[], ["position"]])
def test_clicks_that_have_rows_of_their_own_mark_the_rows_of_their_items(without):
    read = read_log(EVENTS.drop(columns=without).sample(frac=1, random_state=1), how=Reading(**HOW))
    assert counts_of(read) == COUNTS_OF_LOG
    assert "rows of the table whose event is 'select' are clicks on items that have a row of their own" in read.notes


def test_a_log_whose_clicks_are_rows_of_the_items_themselves_is_read_as_it_is():
    log = LOG.assign(event=["select" if c else "view" for c in LOG["clicked"]]).drop(columns="clicked")
    assert counts_of(read_log(log, how=Reading(**HOW))) == COUNTS_OF_LOG


def test_events_that_cannot_be_told_apart_are_refused():
    without = refusal(EVENTS.drop(columns="slate_id"), **HOW)
    assert "3 of 3 rows of clicks come soon after a row of the same user and item that is none" in without
    assert "add slate_id" in without
    several = pd.concat([EVENTS, SHOWN.assign(event="hover")])
    assert "event also holds hover, view, of which only one can say that an item was shown" in refusal(several, **HOW)


def test_an_item_that_is_shown_again_the_next_day_and_clicked_then_is_no_event_of_the_first():
    days = pd.concat([SHOWN, SHOWN.assign(event="select", day=LOG["day"] + 1)]).drop(columns=["slate_id", "position"])
    rows = read_log(days, how=Reading(**HOW)).rows.collect("pandas").to_native()
    assert (len(rows), rows["clicked"].sum()) == (12, 6)


def test_events_of_0_and_1_are_no_slates_that_count_per_moment():
    later = EVENTS.assign(clicked=(EVENTS["event"] == "select").astype(int)).drop(columns=["event", "day"])
    moment = pd.Timestamp("2026-05-01") + pd.to_timedelta(EVENTS["day"], unit="D")
    log = later.assign(timestamp=moment + pd.to_timedelta(60 * later["clicked"], unit="s"))
    assert "of 3 items with a click, 3 have a row without one too, in the slate of the same id" in refusal(log)
