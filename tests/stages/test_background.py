"""What a page knows beside the numbers of a log: its days, and the titles of its items."""

import pytest

from recab_helpers import analysis, stages
from recab_helpers.analysis import METRICS
from recab_helpers.stages.background import data_facts, titles_of
from tests.stages.made import DAYS, SECONDS, TABLE, log_of


@pytest.mark.parametrize("timestamp", [SECONDS, DAYS], ids=["seconds", "text"])
def test_days_are_those_of_the_calendar(timestamp, tmp_path):
    log = log_of(TABLE.assign(timestamp=timestamp), tmp_path)
    rows = stages.user_rows(log, METRICS)
    found = analysis.analyze(stages.reduce(rows, METRICS), planned={"control": 0.5, "treatment": 0.5})
    assert data_facts(log, rows, found)["days of the log"] == "2026-01-05 to 2026-01-06"


def test_an_item_without_a_title_has_none_and_is_called_by_its_id(tmp_path):
    log = log_of(TABLE, tmp_path)
    assert titles_of(log, stages.user_rows(log, METRICS)).to_dict() == {"x": "The X"}
    bare = log_of(TABLE.drop(columns="title"), tmp_path)
    assert titles_of(bare, stages.user_rows(bare, METRICS)) is None
