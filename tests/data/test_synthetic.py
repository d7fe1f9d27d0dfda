"""The synthetic world has the properties that it claims, and is the same however it is drawn."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from recab_helpers import blocks
from recab_helpers.data import synthetic, synthetic_dataset


def test_same_seed_same_tables_and_another_seed_others(world_data):
    again = synthetic_dataset(n_users=500, n_items=200, text_share=0.5, mean_history=20, seed=3)
    other = synthetic_dataset(n_users=500, n_items=200, text_share=0.5, mean_history=20, seed=4)
    assert again.digest() == world_data.digest() != other.digest()


def test_the_block_size_does_not_change_the_histories(world_data, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_CELLS", 200 * 7)
    again = synthetic_dataset(n_users=500, n_items=200, text_share=0.5, mean_history=20, seed=3)
    pd.testing.assert_frame_equal(again.interactions, world_data.interactions)


def test_taste_has_the_stated_variance_and_text_shows_its_share():
    world = synthetic_dataset(n_users=600, n_items=400, text_share=0.3, mean_history=10, seed=1).world
    shown = world.user_taste[:, : synthetic.N_TOPICS] @ world.item_taste[:, : synthetic.N_TOPICS].T
    whole = world.user_taste @ world.item_taste.T
    assert shown.var() == pytest.approx(1.2**2 * 0.3)
    assert whole.var() == pytest.approx(1.2**2, rel=0.02)  # the two parts are independent up to sampling
    assert np.abs(whole.mean(0)).max() < 1e-9  # double-centered
    assert np.abs(whole.mean(1)).max() < 1e-9


def test_a_random_item_at_a_random_position_is_clicked_about_one_time_in_seventy():
    world = synthetic_dataset(n_users=2000, n_items=800, text_share=0.5, mean_history=10, seed=5).world
    p = expit(world.user_taste @ world.item_taste.T + world.item_bias + world.user_bias[:, None])
    examined = np.mean(1 / np.arange(1, 11))
    assert p.mean() * examined == pytest.approx(0.014, abs=0.002)


def test_ratings_have_the_shares_of_movielens_and_histories_a_heavy_tail(world_data):
    shares = world_data.interactions["rating"].value_counts(normalize=True).sort_index()
    assert shares.to_numpy() == pytest.approx(synthetic.RATING_SHARES, abs=0.002)
    lengths = world_data.interactions.groupby("user_id").size()
    assert lengths.min() == synthetic.MIN_HISTORY
    assert lengths.var() > 5 * lengths.mean()


def test_histories_prefer_what_the_user_likes(world_data):
    world = world_data.world
    liking = world.user_taste @ world.item_taste.T
    user = np.searchsorted(world.user_ids, world_data.interactions["user_id"].to_numpy(dtype=str))
    item = np.searchsorted(world.item_ids, world_data.interactions["item_id"].to_numpy(dtype=str))
    assert liking[user, item].mean() > 0.3 * liking.std()


def test_texts_are_about_sixty_words_and_titles_differ(world_data):
    words = world_data.catalog["text"].str.split().str.len()
    assert words.mean() == pytest.approx(60, abs=3)
    assert world_data.catalog["title"].is_unique or world_data.catalog["title"].nunique() > 195
