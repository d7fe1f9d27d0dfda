"""Latency is measured by requests of single users, for every variant alike, and read per request that was measured."""

import threading
import time

import numpy as np
import pytest

from recab_helpers import simulation
from recab_helpers.analysis import LATENCY, METRICS
from recab_helpers.parameters import SimulateParams
from recab_helpers.recommenders import RemoteModel, remote
from recab_helpers.references import ModelAddress
from recab_helpers.simulation import latency
from tests.made import analyzed
from tests.served import lists, served
from tests.simulation.conftest import log

SLOW_S = 0.02


@pytest.fixture
def answering(trained):
    """A right answer of the users' unseen order, after a pause where one user is asked for."""

    def make(pause_s: float = 0.0, wrong_for=frozenset()):
        def answer(users, k):
            time.sleep(pause_s if len(users) == 1 else 0)
            rows = lists(users, k, trained.item_ids.tolist())
            return 200, {"predictions": [r for r in rows if r["user_id"] not in wrong_for or r["position"] > 1]}

        return answer

    return make


def model_at(url: str, limit: float = 5.0) -> RemoteModel:
    return RemoteModel(ModelAddress.parse(url), time_limit_s=limit)


def test_a_slower_model_is_found_slower_and_users_without_a_measurement_are_not_zeros(trained, answering, monkeypatch):
    monkeypatch.setattr(latency, "TIMED_USERS", 12)
    with served(answering()) as fast, served(answering(SLOW_S)) as slow:
        models = [model_at(fast), model_at(slow)]
        plan = simulation.plan_tests(trained, models, SimulateParams(horizon_days=3))
        known = simulation.with_latency(simulation.known_users(trained, plan.test), plan.test, models)
    assert known["timed_requests"].sum() == 24
    assert (known.loc[known["timed_requests"] == 0, "latency_ms"] == 0).all()
    came = set(log(plan.test)["user_id"])
    assert set(known.loc[known["timed_requests"] > 0, "user_id"]) <= came  # else they were asked for in vain
    found = analyzed(log(plan.test), known, metrics=(*METRICS, LATENCY))
    [effect] = [e for e in found.effects if e.metric.name == "request_latency"]
    by_user = known["latency_ms"].to_numpy()
    measured = [by_user[(plan.test.assignment == v) & (known["timed_requests"] > 0)] for v in (0, 1)]
    assert (effect.control, effect.treatment) == pytest.approx(tuple(m.mean() for m in measured))
    assert measured[1].min() >= 1000 * SLOW_S  # however busy the machine
    spread = np.sqrt(sum(m.var(ddof=1) / len(m) for m in measured))  # of two means of twelve, not of hundreds
    assert effect.se == pytest.approx(spread, rel=0.1)


def test_who_has_no_list_is_shown_what_is_popular_and_what_is_shown_is_the_truth(trained, models, answering):
    """And their requests are no measurement: an error may come fast."""
    wrong_for = frozenset(trained.user_ids[::3])
    popular, _ = models
    with served(answering(wrong_for=wrong_for)) as url:
        mixed = [popular, model_at(url)]
        test = simulation.plan_tests(trained, mixed, SimulateParams()).test
        known = simulation.with_latency(simulation.known_users(trained, test), test, mixed)
    without = np.isin(trained.user_ids, list(wrong_for))
    assert dict(test.variants[1].popular_instead) == {"returned too few items": without.sum()}
    assert not test.variants[0].popular_instead
    np.testing.assert_array_equal(test.variants[1].items[without], test.variants[0].items[without])
    np.testing.assert_array_equal(test.variants[1].p_click[without], test.variants[0].p_click[without])
    assert (test.variants[1].items[~without] == np.arange(10)).all()
    treated = test.assignment == 1
    assert known.loc[treated & without, "timed_requests"].sum() == 0
    assert known.loc[treated & ~without, "timed_requests"].sum() > 0


def test_a_request_that_is_too_slow_counts_as_the_limit(trained, models, monkeypatch):
    monkeypatch.setattr(latency, "TIMED_USERS", 3)
    monkeypatch.setattr(remote, "PAUSE_S", 0.0)
    forever = threading.Event()
    with served(lambda users, k: (forever.wait(5), (200, {}))[1]) as url:
        mixed = [models[0], model_at(url, limit=0.05)]
        test = simulation.plan_tests(trained, mixed, SimulateParams()).test
        known = simulation.with_latency(simulation.known_users(trained, test), test, mixed)
        forever.set()
    assert sum(test.variants[1].popular_instead.values()) == len(trained.user_ids)
    timed = known[(test.assignment == 1) & (known["timed_requests"] > 0)]
    assert timed["latency_ms"].tolist() == [50.0] * 3


def test_nothing_is_measured_where_no_model_is_served(trained, models):
    test = simulation.plan_tests(trained, models, SimulateParams()).test
    known = simulation.known_users(trained, test)
    assert simulation.with_latency(known, test, models) is known
