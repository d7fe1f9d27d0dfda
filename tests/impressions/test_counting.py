"""One pass over a log tells what several would: positions, repeated rows and sums of slates."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions.counting import LAST_MARKED, count, days_of
from recab_helpers.impressions.log import open_log, read_log
from tests.made import LOG


def slates(rng: np.random.Generator, deepest: int, n_slates: int = 200) -> pd.DataFrame:
    """Slates of some of the positions up to `deepest`, of users whose ids are whole numbers."""
    sizes = rng.integers(1, min(deepest, 8) + 1, n_slates)
    user = rng.integers(0, 40, n_slates)
    slate = np.repeat(np.arange(n_slates), sizes)
    position = np.concatenate([rng.choice(deepest, n, replace=False) + 1 for n in sizes])
    return pd.DataFrame(
        {
            "user_id": user[slate] + 10**12,
            "slate_id": slate,
            "position": position,
            "variant": np.where(user[slate] % 2, "treatment", "control"),
            "item_id": rng.integers(0, 9, len(slate)),
            "clicked": rng.binomial(1, 0.3, len(slate)),
            "day": 0,
        }
    )


@pytest.mark.parametrize("deepest", [1, 10, LAST_MARKED, LAST_MARKED + 1, 300])
def test_positions_are_those_of_a_plain_reading_however_deep(deepest):
    log = slates(np.random.default_rng(deepest), deepest)
    log.loc[0, "position"] = deepest
    counted = count(open_log(log))
    assert counted.last == (deepest if deepest <= LAST_MARKED else 0)
    users = log.groupby(["variant", "position", "user_id"])["clicked"].agg(["size", "sum"])
    users = users.assign(cc=users["sum"] ** 2, cn=users["sum"] * users["size"], nn=users["size"] ** 2, one=1)
    expected = users.groupby(["variant", "position"]).sum()
    found = counted.positions.astype({"position": "int64"}).set_index(["variant", "position"]).sort_index()
    names = ["impressions", "clicks", "clicks_clicks", "clicks_impressions", "impressions_impressions", "users"]
    np.testing.assert_array_equal(found[names].to_numpy(dtype=float), expected.to_numpy(dtype=float))
    days = days_of(counted).collect("pandas").to_native()
    weighted = (log["clicked"] / np.log2(log["position"] + 1)).groupby(log["user_id"]).sum()
    assert days.set_index("user_id")["weighted_clicks"].sort_index().to_numpy() == pytest.approx(weighted.to_numpy())


@pytest.mark.parametrize("again", [[1], [1, 1], [2], [LAST_MARKED] * 60])
def test_a_position_that_stands_twice_in_a_slate_is_seen_from_its_sums(again):
    """1 + 1 = 2 and 2 + 2 = 4 are sums of powers of two as well; their bits are fewer than their rows."""
    one = {"user_id": 1, "slate_id": 1, "variant": "control", "item_id": "x", "clicked": 0, "day": 0}
    whole = pd.DataFrame([one | {"position": p} for p in (1, 2, 3, LAST_MARKED)])
    twice = pd.concat([whole, pd.DataFrame([one | {"position": p} for p in again])], ignore_index=True)
    other = pd.DataFrame([one | {"user_id": 2, "slate_id": 2, "variant": "treatment", "position": 1}])
    assert not count(open_log(pd.concat([whole, other], ignore_index=True))).repeats
    with pytest.raises(DataError, match="have the same user_id, slate_id and position"):
        open_log(pd.concat([twice, other], ignore_index=True))


def test_a_log_that_was_read_is_not_counted_again():
    read = read_log(LOG)
    assert read.counted is not None
    assert read.counted.n == len(LOG)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [("clicked", 2, "clicked holds 2"), ("clicked", -1, "holds -1"), ("position", 0, "holds 0"),
     ("user_id", None, "user_id is empty in row 2"), ("variant", "", "variant is empty")],
)  # fmt: skip
def test_a_bad_cell_of_a_typed_file_is_found_from_its_statistics(tmp_path, column, value, words):
    log = slates(np.random.default_rng(1), 5).astype({"user_id": "Int64"})
    log.loc[1, column] = value
    log.to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=words):
        open_log(tmp_path / "log.parquet")


def test_far_moments_are_refused_though_most_are_near(tmp_path):
    log = slates(np.random.default_rng(1), 5).drop(columns="day")
    near = pd.Series(pd.Timestamp("2026-05-01"), index=log.index)
    log.assign(timestamp=near).to_parquet(tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet").counted.n == len(log)
    near[3] = pd.Timestamp("1970-01-01")
    log.assign(timestamp=near).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match="far from all others"):
        open_log(tmp_path / "log.parquet")
