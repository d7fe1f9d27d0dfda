"""A log whose clicks stand in a table of their own says what the joined one says."""

import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions import Reading, read_log
from tests.made import COUNTS_OF_LOG, LOG, counts_of


def test_impressions_and_clicks_of_two_tables_are_joined():
    shown = LOG.drop(columns="clicked")
    clicks = LOG.loc[LOG["clicked"] == 1, ["slate_id", "item_id"]]
    assert counts_of(read_log(shown, clicks=clicks)) == COUNTS_OF_LOG
    read = read_log(shown, clicks=pd.concat([clicks, pd.DataFrame({"slate_id": [99], "item_id": ["x"]})]))
    assert read.notes[0] == "1 clicks of the table are of no impression of the table, and are left out"
    with pytest.raises(DataError, match="of 3 clicks of the table only 0 are of an impression"):
        read_log(shown, clicks=clicks.assign(slate_id=[7, 8, 9]))


def test_of_a_table_that_holds_more_than_clicks_only_these_count():
    shown, events = LOG.drop(columns="clicked"), LOG[["slate_id", "item_id", "clicked"]]
    assert counts_of(read_log(shown, clicks=events)) == COUNTS_OF_LOG
    named = events.assign(event=["tap" if c else "hover" for c in events["clicked"]]).drop(columns="clicked")
    with pytest.raises(
        DataError, match=r"holds rows whose event is hover, tap\. Say which are clicks: columns=\{clicked"
    ):
        read_log(shown, clicks=named)
    how = Reading(columns={"clicked": "event"}, click=("tap",))
    assert counts_of(read_log(shown, clicks=named, how=how)) == COUNTS_OF_LOG
    with pytest.raises(DataError, match=r"has no rows\. Give the clicks"):
        read_log(shown, clicks=named.head(0))
    with pytest.raises(DataError, match=r"column clicked holds 2; it must be 0 or 1"):
        read_log(shown, clicks=events.assign(clicked=2))
