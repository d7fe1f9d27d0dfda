"""Slate ids that are not those of one slate each are made so, or refused."""

import numpy as np
import pandas as pd

from recab_helpers.impressions import read_log
from tests.made import LOG, counts_of, log_like, refusal


def test_slate_ids_that_count_per_day_are_made_whole():
    log = LOG.assign(slate_id=1, position=1, day=[0, 1, 2, 0, 1, 0])
    read = read_log(log)
    assert counts_of(read) == {"control": (1, 3, 3, 2), "treatment": (2, 3, 3, 1)}
    assert read.notes == ("slate ids count per day, so that a slate is told by its id and its day",)
    assert "rows have the same user_id, slate_id and position" in refusal(log.assign(day=0))


def test_a_log_without_slates_that_was_loaded_twice_is_refused():
    rng = np.random.default_rng(2)
    log = log_like(rng, n_users=80).drop(columns=["slate_id", "position"])
    log["timestamp"] = pd.Timestamp("2026-05-01") + pd.to_timedelta(rng.integers(0, 6 * 86_400, len(log)), unit="s")
    log = log.drop(columns="day", errors="ignore")
    assert read_log(log).counted.n == len(log)
    assert f"{len(log):,} of {2 * len(log):,} rows repeat the user, item and moment" in refusal(pd.concat([log, log]))
    by_hour = pd.concat([log, log]).assign(timestamp=log["timestamp"].dt.floor("h"))
    assert read_log(by_hour).counted.n == 2 * len(log)  # which moments tell nothing of
