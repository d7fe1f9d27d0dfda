"""How long users wait for a list, measured by requests of one user each.

Users of one batch share its time, so that a test per user of batch times would be far too sure of itself. A sample of
users of every variant is asked for one by one instead, the variants in turn, so that a busy moment of the machine meets
all of them alike.
"""

import math
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from recab_helpers.errors import NoAnswerError
from recab_helpers.randomness import id_keys, uniform
from recab_helpers.recommenders.checked import slates_and_faults
from recab_helpers.recommenders.protocol import Served
from recab_helpers.recommenders.remote import RemoteModel
from recab_helpers.simulation.serving import Test
from recab_helpers.simulation.traffic import draw_session_counts

TIMED_USERS = 200  # of a variant
BUDGET_S = 120.0  # for all of them; each variant has as many requests as the others


def with_latency(known: pd.DataFrame, test: Test, models: Sequence[Served]) -> pd.DataFrame:
    """What is known of the users, with `timed_requests`, 0 or 1, and their `latency_ms`, where a variant is served.

    Users who were not asked for, or for whom no right list came, have 0 in both columns, so that the ratio of the two
    sums is the mean of what was measured: the metric `request_latency`. A request that is not answered within its limit
    counts as the limit.
    """
    if not any(isinstance(m, RemoteModel) for m in models):
        return known
    latency = np.full(len(test.user_ids), np.nan)
    samples = [_sample(test, code) for code in range(len(test.variants))]
    for model in models:
        _ask(model, test, 0)  # the first request of a connection takes longer than any other
    end = time.monotonic() + BUDGET_S
    dial = uniform(id_keys(test.user_ids, f"{test.seed} timed dial"))
    for turn in zip(*samples, strict=False):
        for code, user in enumerate(turn):
            latency[user] = _ask(models[code if dial[user] < test.effect_dial else 0], test, user)
        if time.monotonic() > end:
            break
    timed = np.isfinite(latency)
    return known.assign(latency_ms=np.where(timed, latency, 0.0), timed_requests=timed.astype(np.int64))


def _sample(test: Test, code: int) -> np.ndarray:
    """Codes of users of the variant who come at least once, drawn by a hash of their ids, at most TIMED_USERS."""
    sessions = draw_session_counts(test.user_ids, test.traffic.session_rate, seed=test.seed)
    users = np.flatnonzero((test.assignment == code) & (sessions > 0))
    return users[np.argsort(uniform(id_keys(test.user_ids[users], f"{test.seed} timed")))][:TIMED_USERS]


def _ask(model: Served, test: Test, user: int) -> float:
    """Milliseconds of one request for one user; nan where no right list came, since a fast error is no fast model."""
    asked, k = test.user_ids[user : user + 1], test.slate_size
    start = time.perf_counter()
    try:
        table = model.ask_once(asked, k) if isinstance(model, RemoteModel) else model.recommend(asked, k)
    except NoAnswerError as error:
        return 1000 * model.time_limit_s if error.slow and isinstance(model, RemoteModel) else math.nan
    took = 1000 * (time.perf_counter() - start)
    return math.nan if slates_and_faults(table, asked, test.item_ids, k)[1] else took
