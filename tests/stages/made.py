"""A small real log, and how its file is named to the stage."""

import pandas as pd

from recab_helpers import stages
from recab_helpers.parameters import AnalyzeParams

SECONDS = [1_767_571_200, 1_767_657_600] * 2  # 2026-01-05 and 2026-01-06, at midnight UTC
DAYS = ["2026-01-05 00:00", "2026-01-06 00:00"] * 2
TABLE = pd.DataFrame(
    {
        "user_id": ["a", "b", "c", "d"],
        "slate_id": [1, 2, 3, 4],
        "position": 1,
        "variant": ["control", "treatment"] * 2,
        "item_id": ["x", "y", "x", "y"],
        "title": ["The X", None, "The X", None],
        "clicked": [0, 1, 1, 0],
        "revenue": [0.0, 2.5, 1.0, 0.0],
        "timestamp": DAYS,
    }
)


def log_of(table: pd.DataFrame, folder, **settings) -> stages.Log:
    file = folder / "my.csv"
    table.to_csv(file, index=False)
    return stages.find_log(AnalyzeParams(log_file=str(file), **settings))
