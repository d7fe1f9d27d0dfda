"""What is known before the test comes from a period in which everyone had control."""

from dataclasses import replace

import numpy as np
import pytest

from recab_helpers import simulation


def test_the_period_before_has_the_ctr_of_control_and_ignores_the_assignment(trained, plan):
    test = plan()
    known = simulation.known_users(trained, test)
    totals = [simulation.known_users(trained, replace(test, seed=seed)).sum(numeric_only=True) for seed in range(40)]
    ctr = np.array([t["pre_clicks"] / t["pre_impressions"] for t in totals])
    assert abs(ctr.mean() - test.true_ctr()["control"]) < 4 * ctr.std(ddof=1) / np.sqrt(len(ctr))
    assert simulation.known_users(trained, replace(test, assignment=1 - test.assignment)).equals(known)


def test_a_user_who_comes_often_came_often_before(trained, plan):
    """The same session rates in both periods, other draws."""
    test = plan()
    before = simulation.known_users(trained, test)["pre_sessions"]
    during = simulation.draw_session_counts(trained.user_ids, test.traffic.session_rate, seed=test.seed)
    assert np.corrcoef(before, during)[0, 1] > 0.7
    assert not np.array_equal(before, during)
    assert before.mean() == pytest.approx(test.traffic.session_rate.mean(), rel=0.1)


def test_segments_bin_what_they_say(trained, plan):
    known = simulation.known_users(trained, plan()).set_index("user_id")
    met = trained.train["user_id"].value_counts().reindex(known.index, fill_value=0)
    bins = {"none (cold)": (0, 0), "1 to 9": (1, 9), "10 to 29": (10, 29), "30 to 99": (30, 99)}
    for name, (low, high) in bins.items():
        assert ((known["history"] == name) == met.between(low, high)).all()
    assert ((known["activity"] == "new") == (known["pre_sessions"] == 0)).all()
    assert ((known["activity"] == "5 or more") == (known["pre_sessions"] >= 5)).all()
