"""Ranking is exact, and a model of any make travels with its own code: nothing here needs to change for a new one."""

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from recab_helpers.recommenders import FittedRecommender, top_k

MEAN_OF_TWO = """
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class MeanOfTwo:
    parts: tuple  # of scorers
    sign: float
    label: str

    def score(self, user):
        scores = [p.score(user) for p in self.parts]
        return self.sign * sum((s - s.mean(1, keepdims=True)) / (s.std(1, keepdims=True) + 1e-9) for s in scores) / 2
"""


def class_in(file, code: str, name: str) -> type:
    """A class of a new file, imported as a user's own module would be."""
    file.write_text(code)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    sys.modules[file.stem] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 2, -np.inf])),
    st.integers(1, 12),
)
def test_top_k_is_a_stable_sort_even_where_scores_tie(scores, k):
    k = min(k, scores.shape[1])
    assert np.array_equal(top_k(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


@given(st.integers(0, 2**32), st.integers(1, 700), st.integers(1, 7), st.sampled_from([2, 5, 1000]))
def test_top_k_of_wide_rows_is_a_stable_sort_too(seed, n_columns, k, n_values):
    """Blocks of columns hold the k best whatever ties cross their borders, be all of a block seen, or none."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_values, (3, n_columns)).astype(np.float32)
    scores[:, rng.random(n_columns) < rng.random()] = -np.inf
    k = min(k, n_columns)
    assert np.array_equal(top_k(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


def test_a_mean_of_two_models_of_different_make_travels_with_the_files_of_both(models, train, tmp_path):
    parts = models["content"].scorer, models["collaborative"].scorer
    scorer = class_in(tmp_path / "mine.py", MEAN_OF_TWO, "MeanOfTwo")(parts, 1.0, "both")
    mixed = FittedRecommender.of("mixed", train, scorer, ~models["content"].cold & ~models["collaborative"].cold)
    mixed.save(tmp_path / "saved")
    (tmp_path / "mine.py").unlink()
    assert {f.name for f in (tmp_path / "saved").iterdir()} == {"arrays.npz", "content.py", "mine.py"}
    again = FittedRecommender.load(tmp_path / "saved")
    assert (again.scorer.sign, again.scorer.label) == (1.0, "both")
    assert again.recommend(train.user_ids, 5).equals(mixed.recommend(train.user_ids, 5))
    users = np.array([3, 4])
    standard = [(s - s.mean(1, keepdims=True)) / s.std(1, keepdims=True) for s in (p.score(users) for p in parts)]
    assert again.score(users) == pytest.approx((standard[0] + standard[1]) / 2, abs=1e-5)


def test_two_versions_of_the_same_file_keep_their_own_code(models, train, tmp_path):
    """MLflow's `code_paths` gives the second model loaded in a process the code of the first."""
    lists = []
    for name, code in (("one", MEAN_OF_TWO), ("two", MEAN_OF_TWO.replace("self.sign *", "-self.sign *"))):
        scorer = class_in(tmp_path / "mine.py", code, "MeanOfTwo")((models["content"].scorer,), 1.0, "")
        FittedRecommender.of(name, train, scorer, np.ones(train.n_users, dtype=bool)).save(tmp_path / name)
    for name in ("one", "two"):
        lists.append(FittedRecommender.load(tmp_path / name).score(np.array([0])))
    assert lists[0] == pytest.approx(-lists[1])
    assert np.ptp(lists[0]) > 0


def test_a_saved_model_can_be_saved_again(models, train, tmp_path):
    models["content"].save(tmp_path / "one")
    FittedRecommender.load(tmp_path / "one").save(tmp_path / "two")
    again = FittedRecommender.load(tmp_path / "two")
    assert again.recommend(train.user_ids[:5], 5).equals(models["content"].recommend(train.user_ids[:5], 5))
