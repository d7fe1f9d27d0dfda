"""What is known before the test comes from a period in which everyone had control."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers import simulation
from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.simulation.before import rates_before


def test_the_period_before_has_the_ctr_of_control_and_ignores_the_assignment(trained, plan):
    test = plan()
    known = simulation.known_users(trained, test)
    totals = [simulation.known_users(trained, replace(test, seed=seed)).sum(numeric_only=True) for seed in range(40)]
    ctr = np.array([t["pre_clicks"] / t["pre_impressions"] for t in totals])
    assert abs(ctr.mean() - test.true_ctr()["control"]) < 4 * ctr.std(ddof=1) / np.sqrt(len(ctr))
    assert simulation.known_users(trained, replace(test, assignment=1 - test.assignment)).equals(known)


@pytest.mark.parametrize("change", [0.0, 0.4, 1.0])
def test_activity_keeps_its_distribution_and_as_much_of_itself_as_did_not_change(change):
    ids = np.array([f"u{i}" for i in range(30_000)])
    rate = simulation.draw_session_rates(ids, seed=3)
    before = rates_before(ids, rate, change=change, seed=3)
    assert stats.kstest(before, stats.gamma(ACTIVITY_SHAPE, scale=MEAN_SESSIONS / ACTIVITY_SHAPE).cdf).pvalue > 1e-4
    assert np.corrcoef(before, rate)[0, 1] == pytest.approx(1 - change, abs=0.03)


def test_the_more_users_change_the_less_the_clicks_before_tell(trained, plan):
    """The truth of the test is the same whatever was before."""
    told, lifts = [], set()
    for change in (0.0, 0.4, 1.0):
        test = plan(user_change=change)
        lifts.add(test.true_lift()["treatment"])
        same = np.corrcoef(test.before.p_click.sum(1), test.variants[0].p_click.sum(1))[0, 1]
        told.append(same)
        assert test.before.p_click.mean() == pytest.approx(test.variants[0].p_click.mean(), rel=0.1)
    assert told[0] == pytest.approx(1)
    assert told[0] > told[1] > told[2]
    assert abs(told[2]) < 0.2
    assert len(lifts) == 1


def test_segments_bin_what_they_say(trained, plan):
    known = simulation.known_users(trained, plan()).set_index("user_id")
    met = trained.train["user_id"].value_counts().reindex(known.index, fill_value=0)
    bins = {"none (cold)": (0, 0), "1 to 9": (1, 9), "10 to 29": (10, 29), "30 to 99": (30, 99)}
    for name, (low, high) in bins.items():
        assert ((known["history"] == name) == met.between(low, high)).all()
    assert ((known["activity"] == "new") == (known["pre_sessions"] == 0)).all()
    assert ((known["activity"] == "5 or more") == (known["pre_sessions"] >= 5)).all()


def test_the_users_carry_the_mean_score_that_each_model_gave_their_slate(trained, models, plan):
    """Where a score is no number, no mean is made of the others."""
    known = simulation.known_users(trained, plan()).set_index("user_id")
    for variant, model in zip(("control", "treatment"), models, strict=True):
        lists = model.recommend(trained.user_ids, 10).sample(frac=1, random_state=5)
        means = lists.groupby("user_id", observed=True)["score"].mean().reindex(known.index.astype(str))
        np.testing.assert_allclose(known[f"mean_score_{variant}"], means, rtol=1e-6)

    for odd in (
        lambda t: t.assign(score=t["score"].where(t.index > 0)),
        lambda t: t.assign(score=t["score"].astype("Float64").mask(t.index == 0)),
        lambda t: t.assign(score=np.datetime64("2026-05-01", "us")),
        lambda t: pd.concat([t, t[["score"]]], axis=1),
        lambda t: t.drop(columns="score"),
    ):
        silent = SimpleNamespace(
            recommend=lambda ids, k, odd=odd: odd(models[1].recommend(ids, k)), address=models[1].address
        )
        known = simulation.known_users(trained, plan(models=[models[0], silent]))
        assert [c for c in known if c.startswith("mean_score")] == ["mean_score_control"]
