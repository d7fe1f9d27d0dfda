"""A log whose clicks stand in a table of their own says what the joined one says."""

import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions import read_log
from tests.made import COUNTS_OF_LOG, LOG, counts_of


def test_impressions_and_clicks_of_two_tables_are_joined():
    shown = LOG.drop(columns="clicked")
    clicks = LOG.loc[LOG["clicked"] == 1, ["slate_id", "item_id"]]
    assert counts_of(read_log(shown, clicks=clicks)) == COUNTS_OF_LOG
    read = read_log(shown, clicks=pd.concat([clicks, pd.DataFrame({"slate_id": [99], "item_id": ["x"]})]))
    assert read.notes[0] == "1 clicks of the table are of no impression of the table, and are left out"
    with pytest.raises(DataError, match="of 3 clicks of the table only 0 are of an impression"):
        read_log(shown, clicks=clicks.assign(slate_id=[7, 8, 9]))
