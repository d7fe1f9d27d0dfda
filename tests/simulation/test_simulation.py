"""The simulated test: the drawn log agrees with the exact truth, and chunks, order and variants do not matter."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from recab_helpers import simulation
from recab_helpers.data import split_interactions
from recab_helpers.parameters import SimulateParams
from recab_helpers.recommenders import fit_content, fit_popularity
from recab_helpers.simulation import HeldOutTruth, Traffic, graded, serve


class Loaded:
    """A fitted model as the registry would return it."""

    version = "1"

    def __init__(self, fitted):
        self.name, self.recommend = fitted.name, fitted.recommend


@pytest.fixture(scope="module")
def trained(world_data):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    return simulation.TrainedOn(train=train, held_out=held_out, catalog=world_data.catalog, world=world_data.world)


@pytest.fixture(scope="module")
def models(trained):
    train = trained.coded(trained.train)
    return [Loaded(fit_popularity(train)), Loaded(fit_content(train, trained.catalog))]


def plan(trained, models, **changes) -> simulation.Test:
    return next(iter(simulation.plan_tests(trained, models, SimulateParams(**changes)).values()))


def log(test: simulation.Test):
    return pa.concat_tables(test.impressions()).to_pandas()


@pytest.mark.parametrize("changes", [{}, {"fatigue": 0.7}, {"effect_dial": 0.3}], ids=str)
def test_drawn_ctr_agrees_with_the_exact_truth(trained, models, changes):
    test = plan(trained, models, **changes)
    exact = test.true_ctr()
    for code, variant in enumerate(test.variants):
        everyone = replace(test, assignment=np.full(len(test.user_ids), code))
        drawn = []
        for seed in range(60):
            clicked = pa.concat_tables(replace(everyone, seed=seed).impressions())["clicked"].to_numpy()
            drawn.append((clicked.sum(), len(clicked)))
        clicks, shown = np.array(drawn, dtype=float).T
        ratio = clicks.sum() / shown.sum()
        error = np.std(clicks - ratio * shown, ddof=1) / shown.mean() / np.sqrt(len(drawn))
        assert abs(ratio - exact[variant.name]) < 4 * error


def test_chunks_do_not_change_the_log(trained, models, monkeypatch):
    whole = log(plan(trained, models))
    monkeypatch.setattr(serve, "CHUNK_IMPRESSIONS", 700)
    monkeypatch.setattr(serve, "BLOCK_CELLS", 5 * len(trained.item_ids))
    test = plan(trained, models)
    assert len(list(test.impressions())) > 10
    assert log(test).equals(whole)


def test_same_model_in_both_variants_gives_every_user_the_same_clicks(trained, models):
    """Common random numbers: in an A/A test the assignment changes nothing but the label."""
    one = plan(trained, [models[0], models[0]])
    two = replace(one, assignment=1 - one.assignment)
    assert log(one)["clicked"].equals(log(two)["clicked"])


def test_a_log_has_whole_slates_within_the_horizon_in_time_order(trained, models):
    table = log(plan(trained, models, horizon_days=3, slate_size=4))
    slates = table.groupby("slate_id")
    assert (slates["position"].agg(tuple) == (1, 2, 3, 4)).all()
    assert (slates["item_id"].nunique() == 4).all()
    days = (table["timestamp"] - table["timestamp"].min().floor("D")).dt.days
    assert set(days) == {0, 1, 2}
    assert table.groupby("user_id", observed=True)["timestamp"].apply(lambda t: t.is_monotonic_increasing).all()


def test_more_variants_divide_the_allocation(trained, models):
    test = plan(trained, [*models, models[0]], variants=["popularity", "content", "popularity"], allocation=0.6)
    assert [v.name for v in test.variants] == ["control", "treatment_1", "treatment_2"]
    counts = np.bincount(test.assignment)
    assert stats.chisquare(counts, np.array([0.4, 0.3, 0.3]) * counts.sum()).pvalue > 1e-4


def test_a_dial_of_zero_is_an_a_a_test(trained, models):
    test = plan(trained, models, effect_dial=0.0)
    assert test.true_ctr()["treatment"] == test.true_ctr()["control"]


def test_fatigue_in_closed_form_equals_its_series():
    rate, fatigue = np.array([0.3, 2.0, 9.0]), 0.8
    traffic = Traffic(session_rate=rate, horizon_days=1, slate_size=1, examination_decay=1, fatigue=fatigue)
    sessions = np.arange(1, 200)[:, None]
    series = (stats.poisson.sf(sessions - 1, rate) * fatigue ** (sessions - 1)).sum(0)
    assert traffic.effective_sessions() == pytest.approx(series)


def test_yardsticks_are_ordered_and_no_model_beats_the_oracle(trained, models):
    test = plan(trained, models)
    yardsticks = simulation.yardstick_ctrs(trained, test, SimulateParams())
    assert yardsticks["random"] < yardsticks["popularity"] < yardsticks["oracle"]
    assert yardsticks["popularity"] == pytest.approx(test.true_ctr()["control"])  # control serves popularity
    assert test.true_ctr()["treatment"] < yardsticks["oracle"]


def test_grades_run_from_base_to_one_less_base():
    assert graded(np.array([0.0, 5.0]), base=0.02, max_rating=5) == pytest.approx([0.02, 0.98])
    middle = 0.02 + 0.96 * (2**3 - 1) / (2**5 - 1)
    assert graded(np.array([3.0]), base=0.02, max_rating=5) == pytest.approx([middle])


def test_recorded_data_offer_both_definitions_and_the_named_one_is_drawn_from(world_data, trained, models):
    recorded = simulation.TrainedOn(train=trained.train, held_out=trained.held_out, catalog=trained.catalog)
    for name in ("held_out", "completed"):
        tests = simulation.plan_tests(recorded, models, SimulateParams(truth=name))
        assert next(iter(tests)) == name
        assert set(tests) == {"held_out", "completed"}
        assert all(0 < ctr < 1 for t in tests.values() for ctr in t.true_ctr().values())


def test_completed_truth_predicts_ratings_better_than_item_means(world_data, trained):
    """Its clicks rise with what the synthetic world really likes, within a user."""
    recorded = simulation.TrainedOn(train=trained.train, held_out=trained.held_out, catalog=trained.catalog)
    completed = simulation.truths_of(recorded, SimulateParams(truth="completed"))["completed"]
    users = np.arange(200)
    world = world_data.world
    liking = world.user_taste[users] @ world.item_taste.T + world.item_bias
    graded_clicks = completed.p_click(users)
    personal = np.mean([stats.spearmanr(a, b)[0] for a, b in zip(liking, graded_clicks, strict=True)])
    means = np.mean([stats.spearmanr(a, completed.item_mean)[0] for a in liking])
    assert personal > means > 0


def test_unrated_items_are_clicked_at_the_base_rate(trained):
    truth = HeldOutTruth.of(trained.coded(trained.held_out), base=0.02, max_rating=5.0)
    p = truth.p_click(np.arange(5))
    assert (p == 0.02).mean() > 0.9
    assert p.max() > 0.4


def test_a_slate_larger_than_the_catalog_is_refused(trained, models):
    with pytest.raises(ValueError, match="slate_size is 999, but the catalog has 200 items"):
        plan(trained, models, slate_size=999)


def test_the_tally_counts_what_the_log_holds(trained, models, monkeypatch):
    monkeypatch.setattr(serve, "CHUNK_IMPRESSIONS", 900)
    test = plan(trained, models)
    tally = simulation.Tally(test)
    table = pa.concat_tables(tally.watch(test.impressions())).to_pandas()
    by = table.groupby("variant", observed=True)
    summary = tally.summary()
    assert summary["clicks"].to_dict() == by["clicked"].sum().to_dict()
    assert summary["impressions"].to_dict() == by.size().to_dict()
    assert summary["users"].to_dict() == by["user_id"].nunique().to_dict()
    assert tally.all_days()["clicks"].sum() == table["clicked"].sum()
