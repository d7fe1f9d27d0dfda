"""Splits hold out what they say."""

import pandas as pd
import pytest

from recab_helpers.data import make_dataset, split_interactions
from recab_helpers.errors import DataError


def test_per_user_keeps_one_row_and_does_not_depend_on_row_order(world_data):
    train, held_out = split_interactions(world_data, split="per_user", seed=1)
    assert set(train["user_id"]) == set(world_data.interactions["user_id"])
    assert len(held_out) / len(world_data.interactions) == pytest.approx(0.2, abs=0.01)
    shuffled = world_data.interactions.sample(frac=1, random_state=0)
    again = make_dataset("again", shuffled, world_data.catalog)
    pd.testing.assert_frame_equal(split_interactions(again, split="per_user", seed=1)[1], held_out)


def test_by_time_the_held_out_part_is_later(world_data):
    train, held_out = split_interactions(world_data, split="time", seed=1)
    assert train["timestamp"].max() <= held_out["timestamp"].min()


def test_no_timestamp_cannot_be_split_by_time(world_data):
    timeless = make_dataset("t", world_data.interactions.drop(columns="timestamp"), world_data.catalog)
    with pytest.raises(DataError, match="no timestamp"):
        split_interactions(timeless, split="time", seed=1)


def test_one_row_per_user_leaves_nothing_to_test(world_data):
    single = world_data.interactions.drop_duplicates("user_id")
    with pytest.raises(DataError, match="0 to test"):
        split_interactions(make_dataset("s", single, world_data.catalog), split="per_user", seed=1)
