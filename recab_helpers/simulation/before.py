"""What was known of the users before the test."""

from dataclasses import replace

import numpy as np
import pandas as pd

from recab_helpers.data.split import TrainedOn
from recab_helpers.simulation.serving import Test
from recab_helpers.simulation.traffic import draw_session_counts

HISTORY = {"none (cold)": 0, "1 to 9": 1, "10 to 29": 10, "30 to 99": 30, "100 or more": 100}
ACTIVITY = {"new": 0, "1 to 4 sessions": 1, "5 or more": 5}  # segments by the least count of each


def known_users(data: TrainedOn, test: Test) -> pd.DataFrame:
    """Counts of a period as long as the test, in which everyone had control, and segments, one row a user.

    Columns: user_id, pre_impressions, pre_clicks, pre_sessions, history (by training interactions), activity.
    """
    before = replace(test, assignment=np.zeros_like(test.assignment), seed=f"{test.seed} before")
    n = len(data.user_ids)
    sessions = draw_session_counts(data.user_ids, test.traffic.session_rate, seed=before.seed)
    clicks = np.zeros(n)
    for table in before.impressions():
        user = table["user_id"].combine_chunks().indices.to_numpy()
        clicks += np.bincount(user, weights=table["clicked"].to_numpy(), minlength=n)
    return pd.DataFrame(
        {
            "user_id": data.user_ids,
            "pre_impressions": sessions * test.slate_size,
            "pre_clicks": clicks.astype(np.int64),
            "pre_sessions": sessions,
            "history": _binned(np.bincount(data.coded(data.train).user, minlength=n), HISTORY),
            "activity": _binned(sessions, ACTIVITY),
        }
    )


def _binned(counts: np.ndarray, starts: dict[str, int]) -> np.ndarray:
    """The name of the bin that each count falls in; `starts` gives the least count of each."""
    return np.array(list(starts))[np.searchsorted(list(starts.values()), counts, side="right") - 1]
