"""What every model of the catalog keeps to, whoever writes it: the list is the only thing these tests know."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recab_helpers.data import split_interactions
from recab_helpers.errors import ParameterError
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import MODELS, FittedRecommender, check_names, fit_all
from recab_helpers.recommenders import fitted as fitted_module
from recab_helpers.recommenders.catalog import YARDSTICKS

K = 7
ALONE = """
import importlib.util, sys, types
for package in ("recab_helpers", "sklearn", "surprise"):
    sys.modules[package] = None  # importing it fails
import pandas as pd
spec = importlib.util.spec_from_file_location("somewhere", "fitted.py")
sys.modules["somewhere"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
users = pd.read_csv("users.csv", dtype=str)
for name in sys.argv[1:]:
    model = module.RegisteredRecommender()
    model.load_context(types.SimpleNamespace(artifacts={"model": name}))
    model.predict(None, users, {"k": %d}).to_parquet(f"{name}.parquet")
"""


@pytest.fixture(scope="module")
def table(fitted) -> pd.DataFrame:
    """Recommendations for known users in an order of their own, and for two whom no model has met."""
    return fitted.recommend([*fitted.user_ids[::-3], "a stranger", fitted.user_ids[0] + " junior"], K)


@pytest.fixture(scope="module")
def alone(models, tmp_path_factory) -> Path:
    """What every saved model recommends in a process that has neither recab nor what the models were fitted with."""
    folder = tmp_path_factory.mktemp("a machine elsewhere")
    for name, model in models.items():
        model.save(folder / name)
    shutil.copy(fitted_module.__file__, folder)
    pd.DataFrame({"user_id": users_of(model)}).to_csv(folder / "users.csv", index=False)
    command = [sys.executable, "-c", ALONE % K, *models]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def users_of(model: FittedRecommender) -> list[str]:
    return [*model.user_ids[:40], "a stranger"]


def test_every_user_gets_k_items_of_the_catalog_in_positions_from_one_none_twice(table, fitted):
    users = [*fitted.user_ids[::-3], "a stranger", fitted.user_ids[0] + " junior"]
    assert list(table["user_id"]) == [u for u in users for _ in range(K)]
    assert list(table["position"]) == list(range(1, K + 1)) * len(users)
    assert table["item_id"].isin(fitted.item_ids).all()
    assert not table.duplicated(["user_id", "item_id"]).any()
    assert table["score"].notna().all()


def test_a_user_whom_the_model_never_met_gets_the_most_popular_items(table, fitted):
    best = fitted.item_ids[np.argsort(-fitted.popularity, kind="stable")[:K]]
    strangers = table[~table["user_id"].isin(fitted.user_ids)]
    assert list(strangers["item_id"]) == [*best, *best]
    assert strangers["cold"].all()
    assert list(table.loc[table["user_id"] == fitted.user_ids[-1], "cold"]) == [bool(fitted.cold[-1])] * K


def test_seen_items_come_after_all_unseen_ones(fitted, train):
    users = np.arange(train.n_users)
    items, _ = fitted.top_k(users, train.n_items)
    seen = fitted.seen.toarray()[users[:, None], items]
    assert seen.sum() == len(train.user)
    assert np.all(np.diff(seen.astype(int), axis=1) >= 0)
    assert np.array_equal(np.sort(items, axis=1), np.broadcast_to(np.arange(train.n_items), items.shape))


def test_scores_fall_along_the_list_and_ties_go_to_the_earlier_item(fitted, train):
    """A stranger's list always has ties: items that were met equally often."""
    users = np.append(np.arange(train.n_users), -1)
    items, scores = fitted.top_k(users, train.n_items)
    with np.errstate(invalid="ignore"):
        fall = np.diff(scores, axis=1)
    tied = scores[:, 1:] == scores[:, :-1]
    assert np.all((fall < 0) | tied)
    assert tied[-1].any()
    assert np.all(np.diff(items, axis=1)[tied] > 0)


def test_neither_the_block_size_nor_who_else_is_asked_changes_a_list(fitted, train):
    users = np.arange(train.n_users)
    whole = fitted.top_k(users, K)[0]
    assert np.array_equal(fitted.top_k(users, K, block_cells=3 * train.n_items)[0], whole)
    assert np.array_equal(fitted.top_k(users[100:103], K)[0], whole[100:103])


@pytest.mark.parametrize("k", [0, 201])
def test_k_outside_the_catalog_is_refused(fitted, k):
    with pytest.raises(ValueError, match=f"k is {k}; the catalog has 200 items"):
        fitted.top_k(np.array([0]), k)


def test_saved_and_loaded_it_recommends_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again = FittedRecommender.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.recommend(users_of(fitted), K), fitted.recommend(users_of(fitted), K))
    assert not [a.dtype for a in np.load(tmp_path / "model" / "arrays.npz").values() if a.dtype == np.float64]


def test_alone_without_recab_it_recommends_the_same(fitted, alone):
    elsewhere = pd.read_parquet(alone / f"{fitted.name}.parquet")
    pd.testing.assert_frame_equal(elsewhere, fitted.recommend(users_of(fitted), K), check_dtype=False)


@pytest.mark.parametrize("variants", [list(MODELS), ["content", "models:/x/3", "models:/x@best", "runs:/abc/content"]])
def test_models_and_addresses_are_names(variants):
    check_names(variants)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("colaborative", "variants has 'colaborative', which is no model. Did you mean collaborative?"),
        ("zzz", "Choose from collaborative, "),
        ("models:/x", "'models:/x' is no address of a model; write models:/name/3"),
        ("model:/x/3", "is no address of a model"),
    ],
)
def test_what_is_no_model_is_refused_with_the_way_out(variant, words):
    with pytest.raises(ParameterError) as refused:
        check_names(["content", variant])
    assert words in str(refused.value)


def test_each_model_beats_a_random_ranking(world_data):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    models, quality, aside = fit_all(world_data, train, held_out, TrainParams(seed=1, variants=list(MODELS)))
    assert not aside
    assert list(models) == list(quality.index) == list(MODELS)
    assert [m.name for m in models.values()] == list(MODELS)
    liked = (held_out["rating"] >= 4).groupby(held_out["user_id"]).sum()
    random_precision = liked[liked > 0].mean() / 180  # liked items over unseen ones, roughly
    assert (quality["precision_at_10"] > 1.3 * random_precision).all()
    predict = {name for name, model in models.items() if getattr(model.scorer, "are_ratings", False)}
    assert "collaborative_ratings" in predict
    assert set(quality.index[quality["rmse"].notna()]) == predict


def test_only_the_yardsticks_and_what_is_compared_are_fitted(world_data):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    params = TrainParams(seed=1, variants=["ease", "models:/x/3"], collaborative_epochs=1, ratings_epochs=1)
    assert set(fit_all(world_data, train, held_out, params)[0]) == {*YARDSTICKS, "ease"}


@pytest.mark.slow
def test_ranking_quality_on_movielens_100k(ml_100k):
    """Random 20% per user, relevant = 4 or more: collaborative .33 or better, popularity about .17."""
    train, held_out = split_interactions(ml_100k, split="per_user", seed=1)
    models, quality, _ = fit_all(ml_100k, train, held_out, TrainParams(variants=["content", "ease", "hybrid"]))
    ndcg = quality["ndcg_at_10"]
    assert ndcg["collaborative"] >= 0.33
    assert ndcg["ease"] == pytest.approx(0.372, abs=0.01)  # a plain numpy form on three other splits: .376, .372, .368
    assert ndcg["hybrid"] > ndcg["content"]
    assert ndcg["popularity"] == pytest.approx(0.17, abs=0.015)
    unseen = models["content"].seen.shape[1] - models["content"].seen.sum(axis=1).mean()
    liked = (held_out["rating"] >= 4).groupby(held_out["user_id"]).sum()
    assert ndcg["content"] >= 3 * liked[liked > 0].mean() / unseen  # a random ranking's precision bounds its NDCG
