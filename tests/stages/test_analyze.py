"""What a stage knows of a log: its days whatever the kind of timestamp, and the titles that it has."""

import pandas as pd
import pytest

from recab_helpers import stages
from recab_helpers.analysis import check_impressions

SECONDS = [1_767_571_200, 1_767_657_600]  # 2026-01-05 and 2026-01-06, at midnight UTC


@pytest.fixture(params=["seconds", "text"])
def log(request) -> stages.Log:
    table = pd.DataFrame(
        {
            "user_id": ["a", "b"],
            "slate_id": [1, 2],
            "position": 1,
            "variant": ["control", "treatment"],
            "item_id": ["x", "y"],
            "title": ["The X", None],
            "clicked": [0, 1],
            "timestamp": SECONDS if request.param == "seconds" else ["2026-01-05 00:00", "2026-01-06 00:00"],
        }
    )
    parameters = {"analyze": {"log_file": "my.csv"}}
    checked = check_impressions(table)
    return stages.Log(
        impressions=checked, known=None, planned={}, run_ids={}, data_hash="0" * 16, parameters=parameters
    )


def test_days_are_those_of_the_calendar(log):
    assert stages.data_facts(log)["days of the log"] == "2026-01-05 to 2026-01-06"


def test_an_item_without_a_title_has_none_and_is_called_by_its_id(log):
    assert log.titles.to_dict() == {"x": "The X"}
