"""A log that stays in a warehouse or on Spark says the same numbers as in DuckDB; what is wrong is refused there."""

import dataclasses
import importlib.util
import shutil
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from recab_helpers import impressions
from recab_helpers.analysis.metrics import METRICS, columns_of, goals_of
from recab_helpers.errors import DataError
from recab_helpers.impressions import Reading, kept, open_users, read_log, reduce, user_rows
from tests.made import COUNTS_OF_LOG, LOG, assert_same, counts_of

ITEMS = np.array([f"i{i}" for i in range(12)])
MAPPED = Reading(
    columns={
        "user_id": "who", "slate_id": "request", "position": "slot", "variant": "arm", "item_id": "sku",
        "clicked": "n", "timestamp": "at",
    },
    control="A",
    click=("positive",),
    starts="2026-05-03",
    only={"page": "home"},
    drop_bad_rows=True,
)  # fmt: skip
NUMBERS = ["dwell"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """300 users of two arms whose slates of four items share some; two days before the start; six broken rows."""
    rng = np.random.default_rng(8)
    sessions = 1 + rng.poisson(rng.gamma(0.7, 8, 300))
    user = np.repeat(np.arange(300), sessions)
    of = pd.DataFrame({"who": user * 7_000_000_000 + 3, "request": np.arange(len(user)) + 100})
    of["arm"] = np.where(user % 2, "B", "A")
    moment = rng.integers(0, 9 * 86_400_000, len(user))
    of["at"] = pd.Timestamp("2026-05-01") + pd.to_timedelta(moment, unit="ms").as_unit("us")
    of["page"] = np.where(rng.random(len(user)) < 0.9, "home", "cart")
    ranks = np.stack([rng.permuted(np.arange(12)) for _ in range(len(user))])  # rank of each item for A, from 0
    other = np.where(rng.random(len(user)) < 0.5, 0, 1)[:, None]  # B moves all by two places, in half of the slates
    ranks_b = (ranks + 2 * other) % 12
    own = np.where((of["arm"] == "B").to_numpy()[:, None], ranks_b, ranks)
    slate, item = np.nonzero(own < 4)
    log = of.iloc[slate].reset_index(drop=True)
    log["sku"], log["slot"] = ITEMS[item], 1 + own[slate, item]
    for arm, where in (("A", ranks), ("B", ranks_b)):
        place = where[slate, item]
        log[f"position_in_{arm}"] = np.where(place < 4, place + 1, 0)
    log["n"] = rng.poisson(0.3 / log["slot"])
    log["dwell"] = rng.random(len(log)).round(3)
    log["extra"] = "x"
    broken = np.flatnonzero(log["at"] > pd.Timestamp("2026-05-04"))[:6]
    log["sku"] = log["sku"].astype(object)
    log.loc[broken, "sku"] = None
    return log


@pytest.fixture(scope="module")
def users(rows) -> pd.DataFrame:
    ids = rows["who"].unique()[:-4]
    return pd.DataFrame({"user_id": ids, "plan": np.where(ids % 3, "free", "paid"), "pre_spend": ids % 11 / 4})


class Reduced:
    """All that leaves a log, read one way."""

    def __init__(self, table, users, how=MAPPED):
        self.read = read_log(table, numbers=NUMBERS, how=how)
        self.rows = user_rows(
            self.read.rows,
            open_users(users),
            numbers=NUMBERS,
            before=self.read.before,
            counted=self.read.counted,
            retained=("retained_1",),
        )

    @cached_property
    def said(self) -> dict[str, Any]:
        rows, goals = self.rows, [m.columns for m in goals_of(METRICS)]
        columns = [c for c in (*columns_of(METRICS, rows.numeric), "dwell", "retained_1") if c in rows.numeric]
        return {
            "test": reduce(rows, columns, goals=goals, further=["pre_spend"], quantiles=[("dwell", 0.9)]),
            "sample": impressions.sample(rows, ["clicks", "dwell"], ["clicks"], most=50, looks=4),
            "head": rows.head(),
            "examples": impressions.examples(rows) if "sessions" in rows.numeric else [],
            "dropped": self.read.dropped,
            "numeric": rows.numeric,
            "segments": rows.segments,
            "labels": rows.day_labels,
        }


@pytest.fixture(scope="module")
def expected(rows, users):
    return Reduced(rows, users)


@pytest.fixture
def warehouse(tmp_path):
    """A way to put a frame into a warehouse that Ibis speaks to."""
    ibis = pytest.importorskip("ibis", reason="a warehouse is spoken to by Ibis, which is not installed")
    pytest.importorskip("rich", reason="Ibis over DuckDB asks for rich, which is not installed")
    file = tmp_path / "warehouse.duckdb"

    def put(frame: pd.DataFrame):
        with duckdb.connect(file) as made:
            made.execute("create or replace table log as select * from frame")
        return ibis.duckdb.connect(file, read_only=True).table("log")

    return put


def test_the_log_is_not_trivial(expected):
    test = expected.said["test"]
    assert test.n_impressions > 5000
    assert sum(n for n, _ in test.dropped.values()) == 0  # noted in the reading, not in the rows
    assert sum(n for n, _ in expected.read.dropped.values()) == 6
    assert list(test.both_slates) == ["B"]
    assert {"pre_clicks", "pre_sessions", "pre_spend", "pre_dwell"} <= set(expected.rows.numeric)


def test_a_table_of_a_warehouse_is_reduced_there_to_the_same_numbers(rows, users, expected, warehouse, monkeypatch):
    monkeypatch.setattr(kept, "CHUNK", 500)
    found = Reduced(warehouse(rows), users)
    assert found.read.rows.implementation.is_ibis()
    assert assert_same(found.said, expected.said) > 3000


def test_a_log_without_slates_or_positions_stays_there_too(rows, users, warehouse):
    lean = rows.drop(columns=["request", "slot", "position_in_A", "position_in_B"])
    few = {ours: theirs for ours, theirs in MAPPED.columns.items() if ours not in ("slate_id", "position")}
    how = dataclasses.replace(MAPPED, columns=few)
    found, wanted = Reduced(warehouse(lean), users, how), Reduced(lean, users, how)
    assert assert_same(found.said, wanted.said) > 1000
    lacks = [f"the table tells no {what}: what needs them is left out" for what in ("slates", "positions")]
    assert list(found.read.notes[-2:]) == lacks


def test_clicks_by_their_time_and_positions_from_0_are_read_there_too(warehouse):
    times = np.where(LOG["clicked"] == 1, pd.Timestamp("2026-05-01"), pd.NaT)
    log = LOG.assign(position=LOG["position"] - 1, clicked=pd.to_datetime(times))
    found = read_log(warehouse(log), how=Reading(click=("filled",)))
    assert any(n.endswith("counts positions from 0: they are read as from 1") for n in found.notes)
    assert counts_of(found) == COUNTS_OF_LOG
    assert found.counted.positions["position"].min() == 1


@pytest.mark.parametrize(
    ("change", "how", "said"),
    [
        ({"clicked": 3}, {}, r"column clicked holds 3\.0 in 6 rows; it must be 0 or 1 .*drop these rows"),
        ({"clicked": "often"}, {"click": ("oft",)}, "click is oft, which no row holds"),
        ({"clicked": "often"}, {}, r"column clicked is empty in 6 rows"),
        ({"position": 0}, {}, r"column position holds 0\.0 in 6 rows; it must be a rank"),
        ({"position": "first"}, {}, r"column position is String; it must be a rank .*cast it there"),
        ({"user_id": 0.5}, {}, r"column user_id is Float64, in which long ids lose digits"),
        ({"item_id": ""}, {}, "column item_id is empty in 6 rows"),
        ({"variant": "treatment"}, {}, "variant holds treatment; it needs control and at least one treatment"),
        ({"variant": ["control", "Control "] * 3}, {}, "variant holds 'Control ', 'control', of which some differ"),
        ({"day": [0, 0, 1, 1, 2, 999_999]}, {}, r"days run from 0\.0 to 999999\.0, more than the 366"),
        ({"slate_id": 1, "position": 1}, {}, "rows have the same user_id, slate_id, position, .*slate_id of its own"),
        ({"experiment": ["x", "y"] * 3}, {}, "holds several experiments, .*only="),
        ({"position_in_control": 2}, {}, r"column position_in_control holds 2\.0 in 2 rows; it must be the rank"),
        ({}, {"columns": {"user_id": "usr"}}, "user_id is usr, which the table lacks; it has"),
        ({}, {"control": "treatmen"}, "control is 'treatmen', but variant holds .* Did you mean treatment"),
        ({}, {"only": {"item_id": "z"}}, "has no row in which item_id is 'z'"),
        ({}, {"starts": "9"}, "starts is 9, but every row is before it"),
        ({}, {"starts": "2026-01-01"}, "starts is '2026-01-01'; the table tells days by number"),
        ({}, {"time_unit": "ms"}, "time_unit is 'ms', which is not read of a log that stays in its own engine"),
        ({}, {"design": "sessions"}, "design is 'sessions', which is not read of"),
        ({}, {"by_impression": True}, "unit is 'impression', which is not read of"),
    ],
)
def test_what_is_wrong_is_refused_where_it_lies(warehouse, change, how, said):
    with pytest.raises(DataError, match=said):
        read_log(warehouse(LOG.assign(**change)), how=Reading(**how))


@pytest.fixture(scope="module")
def spark():
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("engine=spark needs PySpark, which is not installed: pip install 'recab[spark]'")
    if not shutil.which("java"):
        pytest.skip("engine=spark needs Java, which is not installed")
    from pyspark.sql import SparkSession

    made = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = made.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    yield session
    session.stop()


@pytest.mark.slow
def test_spark_says_the_same_numbers_of_a_folder_of_parquet(rows, users, expected, spark, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "CHUNK", 700)
    for i, part in enumerate(np.array_split(np.arange(len(rows)), 3)):
        rows.iloc[part].to_parquet(tmp_path / f"part-{i}.parquet")
    found = Reduced(tmp_path, users, dataclasses.replace(MAPPED, engine="spark"))
    assert found.read.rows.implementation.is_pyspark()
    assert assert_same(found.said, expected.said) > 3000


@pytest.mark.slow
def test_a_frame_of_spark_stays_there_and_its_zone_must_be_that_of_the_days(rows, users, expected, spark):
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    zoned = spark.createDataFrame(rows.assign(at=rows["at"].dt.tz_localize("UTC")))
    assert assert_same(Reduced(zoned, users).said, expected.said) > 3000
    with pytest.raises(DataError, match=r"tells its days in UTC; set spark.sql.session.timeZone to Asia/Tokyo"):
        read_log(zoned, how=dataclasses.replace(MAPPED, time_zone="Asia/Tokyo"))
