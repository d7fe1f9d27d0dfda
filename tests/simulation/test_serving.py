"""The log: whole slates in time, whatever the chunks, from common random numbers; and a tally that agrees with it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from recab_helpers import blocks, simulation
from recab_helpers.simulation import serving
from tests.simulation.conftest import log


def test_chunks_do_not_change_the_log_and_name_their_own_users_only(plan, trained, monkeypatch):
    whole = log(plan()).astype({"user_id": str})
    monkeypatch.setattr(serving, "CHUNK_IMPRESSIONS", 700)
    monkeypatch.setattr(blocks, "BLOCK_CELLS", 5 * len(trained.item_ids))
    test = plan()
    chunks = list(test.impressions())
    assert len(chunks) > 10
    assert log(test).astype({"user_id": str}).equals(whole)
    assert sum(len(c["user_id"].combine_chunks().dictionary) for c in chunks) <= len(test.user_ids)


def test_same_model_in_both_variants_gives_every_user_the_same_clicks(plan, models):
    """Common random numbers: in an A/A test the assignment changes nothing but the label."""
    one = plan([models[0], models[0]])
    two = replace(one, assignment=1 - one.assignment)
    assert log(one)["clicked"].equals(log(two)["clicked"])


def test_a_log_has_whole_slates_within_the_horizon_in_time_order(plan):
    table = log(plan(horizon_days=3, slate_size=4))
    slates = table.groupby("slate_id")
    assert (slates["position"].agg(tuple) == (1, 2, 3, 4)).all()
    assert (slates["item_id"].nunique() == 4).all()
    days = (table["timestamp"] - table["timestamp"].min().floor("D")).dt.days
    assert set(days) == {0, 1, 2}
    assert table.groupby("user_id", observed=True)["timestamp"].apply(lambda t: t.is_monotonic_increasing).all()


def test_every_impression_names_the_address_of_the_model_that_served_it(plan):
    table = log(plan())
    served = table.groupby("variant", observed=True)["model_version"].unique()
    assert served["control"].tolist() == ["models:/x-popularity/1"]
    assert served["treatment"].tolist() == ["models:/x-content/1"]


def test_more_variants_divide_the_allocation(plan, models):
    test = plan([*models, models[0]], variants=["popularity", "content", "popularity"], allocation=0.6)
    assert [v.name for v in test.variants] == ["control", "treatment_1", "treatment_2"]
    counts = np.bincount(test.assignment)
    assert stats.chisquare(counts, np.array([0.4, 0.3, 0.3]) * counts.sum()).pvalue > 1e-4


def test_a_dial_of_zero_is_an_a_a_test(plan):
    test = plan(effect_dial=0.0)
    assert test.true_ctr()["treatment"] == test.true_ctr()["control"]
    assert test.true_lift() == {"control": 0, "treatment": 0}


def test_the_recommendations_are_the_slates_of_every_variant(plan, models):
    test = plan(slate_size=3)
    table = pa.concat_tables(test.recommendations()).to_pandas().astype({"variant": str, "item_id": str})
    for variant, model in zip(("control", "treatment"), models, strict=True):
        expected = model.recommend(test.user_ids, 3)["item_id"].tolist()
        assert table.loc[table["variant"] == variant, "item_id"].tolist() == expected


def test_the_tally_counts_what_the_log_holds(plan, monkeypatch):
    monkeypatch.setattr(serving, "CHUNK_IMPRESSIONS", 900)
    test = plan()
    tally = simulation.Tally(test)
    table = pa.concat_tables(tally.watch(test.impressions())).to_pandas()
    by = table.groupby("variant", observed=True)
    summary = tally.summary()
    assert summary["clicks"].to_dict() == by["clicked"].sum().to_dict()
    assert summary["impressions"].to_dict() == by.size().to_dict()
    assert summary["users"].to_dict() == by["user_id"].nunique().to_dict()
    assert tally.all_days()["clicks"].sum() == table["clicked"].sum()


@pytest.mark.parametrize("dial", [1.0, 0.5])
def test_a_log_says_where_each_item_stands_in_every_slate_of_the_same_request(plan, dial):
    """What a request would have shown in the other variant: its slates are found by who was served them."""
    test = plan(effect_dial=dial)
    other = replace(test, assignment=1 - test.assignment)
    one, two = log(test), log(other)
    assert (one["slate_id"] == two["slate_id"]).all()  # the same requests, each in the other variant
    shown = two.set_index(["slate_id", "item_id"])["position"]
    there = shown.reindex(pd.MultiIndex.from_frame(one[["slate_id", "item_id"]])).fillna(0).to_numpy()
    in_treatment = (one["variant"] == "treatment").to_numpy()
    found = one[["position_in_control", "position_in_treatment"]].to_numpy()
    np.testing.assert_array_equal(found[np.arange(len(one)), in_treatment.astype(int)], one["position"])
    np.testing.assert_array_equal(found[np.arange(len(one)), 1 - in_treatment.astype(int)], there)


def test_a_session_of_a_design_by_sessions_draws_its_variant_and_keeps_it(plan):
    test = plan(design="sessions", allocation=0.3)
    table = log(test)
    slates = table.groupby("slate_id").agg(user=("user_id", "first"), n=("variant", "nunique"), v=("variant", "first"))
    assert (slates["n"] == 1).all()
    treated = slates["v"] == "treatment"
    assert stats.binomtest(int(treated.sum()), len(slates), 0.3).pvalue > 1e-4
    often = slates.groupby("user", observed=True)["v"].agg(["size", "nunique"]).query("size > 30")
    assert (often["nunique"] == 2).all()
    tally = simulation.Tally(test)
    list(tally.watch(test.impressions()))
    assert tally.summary()["users"].tolist() == table.groupby("variant", observed=True)["user_id"].nunique().tolist()


def test_an_interleaved_slate_names_the_team_of_every_item_and_where_it_stands_in_both_slates(plan):
    test = plan(design="interleaved")
    table = log(test)
    assert set(table["variant"]) == {"interleaved"}
    own = np.where(table["team"] == "control", table["position_in_control"], table["position_in_treatment"])
    assert (own > 0).all()
    for code, v in enumerate(test.variants):
        items = {u: list(test.item_ids[i]) for u, i in zip(test.user_ids, v.items, strict=True)}
        head = table.head(500)
        there = [
            items[u].index(i) + 1 if i in items[u] else 0 for u, i in zip(head["user_id"], head["item_id"], strict=True)
        ]
        assert head[f"position_in_{['control', 'treatment'][code]}"].tolist() == there
    slates = table.groupby("slate_id")
    assert (slates["item_id"].nunique() == test.slate_size).all()
    assert (slates["team"].agg(lambda t: (t == "control").sum()) == test.slate_size / 2).all()


def test_with_exploration_all_users_have_control_and_propensities_are_how_often_an_item_is_shown(plan):
    test = plan(exploration=0.5, slate_size=4)
    table = log(test)
    assert set(table["variant"]) == {"control"}
    slates = table.groupby("slate_id")
    assert (slates["item_id"].nunique() == 4).all()
    home = table["position_in_control"] == table["position"]
    at_random = table.loc[~home, "propensity"]
    n = (test.exploration.items >= 0).sum(axis=1)
    users = dict(zip(test.user_ids, n, strict=True))
    assert np.allclose(at_random, 0.5 / table.loc[~home, "user_id"].map(users).astype(float))
    assert np.allclose(table.loc[home, "propensity"] - 0.5, 0.5 / table.loc[home, "user_id"].map(users).astype(float))
    whole = home.groupby(table["slate_id"]).all()
    assert stats.binomtest(int(whole.sum()), len(whole), 0.5).pvalue > 1e-4
    inverse = (1 / table["propensity"]).groupby([table["slate_id"], table["position"]]).sum()
    expected = np.mean([users[u] for u in table["user_id"]])  # each candidate counts one in the mean
    assert inverse.mean() == pytest.approx(expected, rel=0.05)
