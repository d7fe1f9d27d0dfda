"""Definitions of truth: the world's own, and two that recorded ratings allow."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers import recommenders
from recab_helpers.data import TrainedOn, make_dataset, split_interactions
from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import MODELS
from recab_helpers.simulation import HeldOutTruth, graded, truths_of, untold_truths
from tests.conftest import shared


def test_grades_run_from_base_to_one_less_base():
    assert graded(np.array([0.0, 5.0])) == pytest.approx([0.02, 0.98])
    middle = 0.02 + 0.96 * (2**3 - 1) / (2**5 - 1)
    assert graded(np.array([3.0])) == pytest.approx([middle])


def test_completed_truth_predicts_ratings_better_than_item_means(world_data, recorded):
    """Its clicks rise with what the synthetic world really likes, within a user."""
    completed = truths_of(recorded, seed=29)["completed"]
    users = np.arange(200)
    world = world_data.world
    liking = world.user_taste[users] @ world.item_taste.T + world.item_bias
    graded_clicks = completed.p_click(users)
    personal = np.mean([stats.spearmanr(a, b)[0] for a, b in zip(liking, graded_clicks, strict=True)])
    means = np.mean([stats.spearmanr(a, completed.item_mean)[0] for a in liking])
    assert personal > means > 0


def test_unrated_items_are_clicked_at_the_base_rate(trained):
    truth = HeldOutTruth.of(trained.coded(trained.held_out))
    p = truth.p_click(np.arange(5))
    assert (p == 0.02).mean() > 0.9
    assert p.max() > 0.4


def test_a_block_of_users_has_the_chances_of_the_same_users_named(trained, recorded):
    for truth in (*truths_of(trained, seed=1).values(), *truths_of(recorded, seed=1).values()):
        assert truth.p_click(slice(7, 19)) == pytest.approx(truth.p_click(np.arange(7, 19)))


@pytest.fixture(scope="module")
def coat() -> tuple[TrainedOn, np.ndarray]:
    """Coat (Schnabel et al. 2016): self-selected ratings, and ratings of items drawn at random for each user."""
    folder = shared("data/coat")
    chosen, random = (np.loadtxt(folder / f"{name}.ascii") for name in ("train", "test"))
    features = np.loadtxt(folder / "item_features.ascii")
    names = (folder / "item_features_map.txt").read_text().split("\n")
    words = np.array([re.sub(r"\W", "", name) for name in names if name])
    user, item = np.nonzero(chosen)
    ratings = pd.DataFrame({"user_id": user, "item_id": item, "rating": chosen[user, item]})
    texts = [" ".join(words[row > 0]) for row in features]
    dataset = make_dataset("coat", ratings, pd.DataFrame({"item_id": np.arange(len(texts)), "text": texts}))
    train, held_out = split_interactions(dataset, split="per_user", seed=29)
    data = TrainedOn(train=train, held_out=held_out, catalog=dataset.catalog)
    return data, random[np.ix_(data.user_ids.astype(int), data.item_ids.astype(int))]


def test_the_completed_truth_ranks_policies_as_randomized_ratings_do_and_better_than_the_held_out_one(coat):
    """Value of thirty items a user, by each truth and by the ratings of those among them that chance had shown.

    Nine policies from good to bad. The held-out truth puts rating SVD below popularity, against the data, at a seventh
    of the level; so `completed` is the default for recorded data.
    """
    data, random = coat
    train = data.coded(data.train)
    users, k = np.arange(train.n_users), 30
    fitted = {n: recommenders.fit(n, train, data.catalog, TrainParams(ease_regularization=100)) for n in MODELS}
    last = 1e3 * fitted["popularity"].seen.toarray()
    bad = {
        "random": np.random.default_rng(0).random(last.shape) + last,
        "unpopular": fitted["popularity"].popularity + last,
        "unlike": fitted["content"].score(users) + last,
    }
    lists = {n: model.top_k(users, k)[0] for n, model in fitted.items()}
    lists |= {n: np.argsort(scores, axis=1, kind="stable")[:, :k] for n, scores in bad.items()}

    def values(chances: np.ndarray, counted: np.ndarray) -> dict[str, float]:
        taken = {n: [np.take_along_axis(t, items, axis=1) for t in (chances, counted)] for n, items in lists.items()}
        return {n: p[shown].mean() for n, (p, shown) in taken.items()}

    real = values(graded(random), random > 0)
    told = {n: values(t.p_click(slice(None)), random >= 0) for n, t in truths_of(data, seed=29).items()}
    tau = {n: stats.kendalltau(list(v.values()), list(real.values()))[0] for n, v in told.items()}
    level = {n: sum(v.values()) / sum(real.values()) for n, v in told.items()}
    assert tau["completed"] > 0.8 > tau["held_out"]
    assert 0.8 < level["completed"] < 1.25
    assert level["held_out"] < 0.25
    assert real["collaborative_ratings"] > real["popularity"]
    assert told["completed"]["collaborative_ratings"] > told["completed"]["popularity"]
    assert told["held_out"]["collaborative_ratings"] < told["held_out"]["popularity"]


@pytest.mark.parametrize(
    "scale",
    [
        lambda r: 20 * r,
        lambda r: 2 * r - 6,
        lambda r: np.where(r >= 4, 1, -1),
        lambda r: np.floor(np.exp(2 * r)),
        lambda r: np.where(r >= 4, 1.0, 0.0),
    ],
    ids=["0-100", "-4 to 4", "thumbs", "counts", "0/1"],
)
def test_chances_lie_between_zero_and_one_on_any_scale(world_data, scale):
    table = world_data.interactions[["user_id", "item_id"]].assign(rating=scale(world_data.interactions["rating"]))
    dataset = make_dataset("scaled", table, world_data.catalog)
    train, held_out = split_interactions(dataset, split="per_user", seed=1)
    for truth in truths_of(TrainedOn(train=train, held_out=held_out, catalog=dataset.catalog), seed=1).values():
        p = truth.p_click(slice(0, 100))
        assert p.min() >= 0.02
        assert p.max() <= 0.98
        assert p.max() > p.min()


def test_thumbs_have_the_truth_of_the_same_likes_as_zero_and_one(world_data):
    liked = world_data.interactions["rating"] >= 4
    chances = []
    for up, down in ((1, -1), (1, 0)):
        table = world_data.interactions[["user_id", "item_id"]].assign(rating=np.where(liked, up, down))
        dataset = make_dataset("thumbs", table, world_data.catalog)
        train, held_out = split_interactions(dataset, split="per_user", seed=1)
        truths = truths_of(TrainedOn(train=train, held_out=held_out, catalog=dataset.catalog), seed=1)
        chances.append([t.p_click(slice(0, 50)) for t in truths.values()])
    assert all(np.allclose(thumbs, binary) for thumbs, binary in zip(*chances, strict=True))


def test_ratings_that_are_all_equal_leave_the_completed_truth_out_with_a_reason(world_data):
    dataset = make_dataset("ones", world_data.interactions[["user_id", "item_id"]], world_data.catalog)
    train, held_out = split_interactions(dataset, split="per_user", seed=1)
    data = TrainedOn(train=train, held_out=held_out, catalog=dataset.catalog)
    assert list(truths_of(data, seed=1)) == ["held_out"]
    assert "all ratings are equal" in untold_truths(data)["completed"]
    assert not untold_truths(data, "held_out")
