"""What was known of the users before the test, when a share of their taste and activity was another."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.data.split import TrainedOn
from recab_helpers.randomness import id_keys, uniform
from recab_helpers.simulation.serving import Test
from recab_helpers.simulation.traffic import draw_session_counts

HISTORY = {"none (cold)": 0, "1 to 9": 1, "10 to 29": 10, "30 to 99": 30, "100 or more": 100}
ACTIVITY = {"new": 0, "1 to 4 sessions": 1, "5 or more": 5}  # segments by the least count of each


def tastes_before(user_ids: np.ndarray, *, seed: int) -> np.ndarray:
    """Whose taste the changed part of each user's was in the period before: a user code per user, drawn uniformly.

    Control fitted its slates to the taste of that time, so that its CTR was what it is in the test.
    """
    return (uniform(id_keys(user_ids, f"{seed} taste before")) * len(user_ids)).astype(np.int64)


def rates_before(user_ids: np.ndarray, rate: np.ndarray, *, change: float, seed: int) -> np.ndarray:
    """Session rates of the period before, of the same gamma distribution, whose correlation with `rate` is 1 - change.

    A gamma variable times an independent beta one is a gamma variable of the kept shape (Lukacs 1955); what is missing
    to the whole shape is drawn anew.
    """
    if change == 0:
        return rate
    keep, scale = ACTIVITY_SHAPE * (1 - change), MEAN_SESSIONS / ACTIVITY_SHAPE
    kept, new = (uniform(id_keys(user_ids, f"{seed} {purpose} activity")) for purpose in ("kept", "new"))
    left = rate * stats.beta.ppf(kept, keep, ACTIVITY_SHAPE - keep) if change < 1 else 0.0
    return left + stats.gamma.ppf(new, ACTIVITY_SHAPE - keep, scale=scale)


def known_users(data: TrainedOn, test: Test) -> pd.DataFrame:
    """Counts of a period as long as the test, in which everyone had control, and segments, one row a user.

    In that period users were what `test.before` says.

    Columns: user_id, pre_impressions, pre_clicks, pre_sessions, interactions (of the training), history (by these),
    activity, and by variant mean_score_<name>, where its model scores what it recommends.
    """
    before = replace(
        test,
        assignment=np.zeros_like(test.assignment),
        variants=[replace(test.variants[0], p_click=test.before.p_click)],
        traffic=replace(test.traffic, session_rate=test.before.session_rate),
        design="users",
        exploration=None,
        seed=f"{test.seed} before",
    )
    n = len(data.user_ids)
    met = np.bincount(data.coded(data.train).user, minlength=n)
    sessions = draw_session_counts(data.user_ids, before.traffic.session_rate, seed=before.seed)
    clicks, code = np.zeros(n), pd.Index(data.user_ids)
    for table in before.impressions():
        user = table["user_id"].combine_chunks()
        of = code.get_indexer(user.dictionary.to_numpy(zero_copy_only=False))
        clicks[of] += np.bincount(user.indices, weights=table["clicked"].to_numpy(), minlength=len(of))
    return pd.DataFrame(
        {
            "user_id": data.user_ids,
            "pre_impressions": sessions * test.slate_size,
            "pre_clicks": clicks.astype(np.int64),
            "pre_sessions": sessions,
            "interactions": met,
            "history": _binned(met, HISTORY),
            "activity": _binned(sessions, ACTIVITY),
            **{f"mean_score_{v.name}": v.mean_score for v in test.variants if v.mean_score is not None},
        }
    )


def _binned(counts: np.ndarray, starts: dict[str, int]) -> np.ndarray:
    """The name of the bin that each count falls in; `starts` gives the least count of each."""
    return np.array(list(starts))[np.searchsorted(list(starts.values()), counts, side="right") - 1]
