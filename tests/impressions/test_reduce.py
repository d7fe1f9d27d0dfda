"""A log reduced by the engine says what a plain reading in pandas says, and what arrays of its users say."""

import gc
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CTR, METRICS, columns_of, mean_of
from recab_helpers.engine import engine
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.impressions.aggregates import TREND, Running, Users
from recab_helpers.impressions.counting import COUNTS
from recab_helpers.impressions.histograms import Histogram
from recab_helpers.impressions.known import as_before
from recab_helpers.impressions.log import open_log
from recab_helpers.impressions.reduce import reduce
from recab_helpers.impressions.statistics import ByVariant, SufficientStatistics
from recab_helpers.impressions.user_rows import MAX_LEVELS, user_rows
from recab_helpers.impressions.users import open_users
from recab_helpers.references import in_order
from tests.made import LOG, distinct, even_log, log_like, reduced, rows_of

UNIT = ["user_id", "variant"]
SUMS = ["impressions", "clicks", "sessions", "weighted_clicks", "novelty_bits", "dwell"]
GOALS = (("clicks", "impressions"), ("dwell", "sessions"), ("spent",), ("clicked_any",))
START = pd.Timestamp("2026-03-01 20:00")  # slates cross midnight


def random_log(rng: np.random.Generator, time: str, n_users: int = 120) -> pd.DataFrame:
    """Users with one impression and with many, some of them in two variants; slates are numbered within a user."""
    names = np.array(("control", "b", "a", "new vs old"))[: rng.integers(2, 5)]
    slates = rng.geometric(0.4, n_users)
    user = np.repeat(np.arange(n_users), slates)
    variant = names[np.where(rng.random(len(user)) < 0.03, 0, user % len(names))]
    begun = rng.integers(0, 5 * 86_400, len(user))
    size = rng.integers(1, 5, len(user))
    slate = np.repeat(np.arange(len(user)), size)
    seconds = begun[slate] + rng.integers(0, 7200, len(slate))
    moment = START + pd.to_timedelta(seconds, unit="s")
    log = pd.DataFrame(
        {
            "user_id": np.char.add("u", user[slate].astype(str)),
            "slate_id": slate - np.searchsorted(user, user)[slate],
            "position": np.concatenate([1 + np.arange(n) for n in size]),
            "variant": variant[slate],
            "item_id": rng.choice(list("abcdefgh"), len(slate), p=np.arange(1, 9) / 36),
            "clicked": rng.binomial(1, 0.2, len(slate)),
            "dwell": rng.gamma(2.0, 3.0, len(slate)),
        }
    )
    times = {
        "day": {"day": (moment - START.floor("D")).days + 40},
        "moment": {"timestamp": moment},
        "moment with a zone": {"timestamp": moment.tz_localize("UTC").tz_convert("America/New_York")},
        "text": {"timestamp": moment.strftime("%Y-%m-%d %H:%M:%S")},
        "date": {"timestamp": moment.date},
        "seconds": {"timestamp": moment.as_unit("s").astype(np.int64)},
    }
    return log.assign(**times[time], number=(moment.floor("D") - moment.min().floor("D")).days)


def known_of(rng: np.random.Generator, log: pd.DataFrame) -> pd.DataFrame:
    """A users file that lacks some users' counts from before, and holds users whom the log lacks."""
    users = pd.DataFrame({"user_id": [*log["user_id"].unique(), "stranger"]})
    counts = rng.poisson(3, len(users)).astype(float)
    return users.assign(
        pre_clicks=np.where(rng.random(len(users)) < 0.1, np.nan, counts),
        spent=rng.gamma(1.0, 5.0, len(users)).round(2),
        country=np.where(rng.random(len(users)) < 0.2, None, rng.choice(["DE", "NA"], len(users))),
    )


def slates_of(log: pd.DataFrame) -> pd.DataFrame:
    """One row per slate, by definition; its day is that of its first impression."""
    share = log["item_id"].map(log["item_id"].value_counts() / len(log))
    clicked, weight = log["clicked"], np.log2(log["position"] + 1)
    rows = log.assign(impressions=1, clicks=clicked, weighted_clicks=clicked / weight, novelty_bits=-np.log2(share))
    by = rows.groupby([*UNIT, "slate_id"])
    sums = by[["impressions", "clicks", "weighted_clicks", "novelty_bits", "dwell"]].sum()
    return sums.assign(sessions=1, day=by["number"].min()).reset_index()


def users_to(slates: pd.DataFrame, day: float = np.inf) -> pd.DataFrame:
    """One row per user and variant from the slates up to this day."""
    by = slates[slates["day"] <= day].groupby(UNIT)
    users = by[SUMS].sum().assign(first_day=by["day"].min())
    return users.assign(clicked_any=(users["clicks"] > 0).astype(float)).reset_index()


@pytest.fixture(
    scope="module",
    params=[(1, "day"), (2, "moment"), (3, "text"), (4, "date"), (5, "seconds"), (6, "moment with a zone"), (7, "day")],
    ids=str,
)
def case(request) -> SimpleNamespace:
    """A random log, what is read of it plainly, and what the engine makes of it."""
    seed, time = request.param
    rng = np.random.default_rng(seed)
    log = random_log(rng, time)
    known = known_of(rng, log)
    every = log.drop(columns="number")
    twice = log.groupby("user_id")["variant"].transform("nunique") > 1  # they are left out
    n_twice, log = log.loc[twice, "user_id"].nunique(), log[~twice]
    slates = slates_of(log)
    users = users_to(slates)
    users["exposure"] = np.where(users["first_day"] * 2 <= slates["day"].max(), "early", "late")
    users = users.merge(known, on="user_id", how="left")
    users = users.fillna({"pre_clicks": 0.0, "country": "unknown"}).assign(pre_known=1.0)
    rows = rows_of(every, known, ["dwell"])
    wanted = columns_of(METRICS, rows.numeric)
    found = reduce(rows, wanted, goals=GOALS)
    names = in_order(log["variant"])
    return SimpleNamespace(
        time=time, log=log, n_twice=n_twice, slates=slates, users=users, names=names, rows=rows, found=found
    )


def assert_same(found: ByVariant, expected: ByVariant, columns=None) -> None:
    assert list(found) == [v for v in expected if expected[v].n]
    for name, s in found.items():
        e = expected[name]
        ours, theirs = ([x.columns.index(c) for c in columns or s.columns] for x in (s, e))
        assert s.n == e.n
        assert s.mean[ours] == pytest.approx(e.mean[theirs])
        wanted = pytest.approx(e.cov[np.ix_(theirs, theirs)], rel=1e-9, abs=1e-9, nan_ok=True)
        assert s.cov[np.ix_(ours, ours)] == wanted


def test_users_are_those_of_a_plain_reading(case):
    found = case.rows.users.collect("pandas").to_native().sort_values(UNIT, ignore_index=True)
    expected = case.users.sort_values(UNIT, ignore_index=True)
    for c in [*SUMS, "clicked_any", "pre_clicks", "spent"]:
        assert found[c].to_numpy(dtype=float) == pytest.approx(expected[c].to_numpy(dtype=float)), c
    for c in [*UNIT, "country", "exposure"]:
        assert found[c].tolist() == expected[c].tolist()
    assert set(case.rows.numeric) == {*COUNTS, "dwell", "pre_clicks", "pre_known", "spent"}
    assert set(case.rows.segments) == {"country", "exposure"}


def test_statistics_are_those_of_numpy(case):
    for name, s in case.found.users.statistics.items():
        values = case.users.loc[case.users["variant"] == name, list(s.columns)].to_numpy(dtype=float)
        assert s.n == len(values)
        assert s.mean == pytest.approx(values.mean(axis=0))
        assert s.cov == pytest.approx(np.cov(values.T), rel=1e-9, abs=1e-9)
    assert case.found.users.variants == case.names


def test_users_of_arrays_are_the_same(case):
    columns = {c: case.users[c].to_numpy() for c in case.found.users.columns}
    levels = {s: case.users[s].to_numpy() for s in ("country", "exposure")}
    expected = Users.of(case.users["variant"], columns, segments=levels, histograms=GOALS)
    found = case.found.users
    assert_same(found.statistics, expected.statistics)
    assert found.segments.keys() == expected.segments.keys()
    for segment, by_level in found.segments.items():
        assert by_level.keys() == expected.segments[segment].keys()
        for level, group in by_level.items():
            assert_same(group, expected.segments[segment][level])
    assert {*GOALS, ("pre_clicks",)} <= found.histograms.keys()
    for columns in expected.histograms:
        histogram = found.histograms[columns]
        assert histogram.columns == columns
        assert distinct(histogram) == pytest.approx(distinct(expected.histograms[columns]))
        for name in case.names:
            assert histogram.counts[name].tolist() == expected.histograms[columns].counts[name].tolist()


def test_segments_hold_what_goals_and_counts_from_before_need(case):
    (group, *_) = case.found.users.segments["country"].values()
    assert set(group["control"].columns) == {*(c for goal in GOALS for c in goal), "pre_clicks", "pre_known"}


def test_histograms_count_users_by_their_values(case):
    table = case.users.groupby(["clicks", "impressions", "variant"]).size().unstack(fill_value=0)
    found = case.found.users.histograms["clicks", "impressions"]
    assert list(map(tuple, distinct(found))) == table.index.tolist()
    assert {v: c.tolist() for v, c in found.counts.items()} == {v: table[v].tolist() for v in case.names}
    of = Histogram.of(
        np.array([case.names.index(v) for v in case.users["variant"]]),
        case.users[["clicks", "impressions"]].to_numpy(dtype=float),
        ("clicks", "impressions"),
        case.names,
    )
    assert distinct(of).tolist() == distinct(found).tolist()


def test_first_days_are_counted_from_the_first_of_the_log(case):
    expected = pd.crosstab(case.users["first_day"], case.users["variant"])[list(case.names)]
    pd.testing.assert_frame_equal(
        case.found.users.first_seen[list(case.names)], expected, check_names=False, check_dtype=False
    )


def test_running_statistics_are_an_analysis_of_the_log_cut_at_that_day(case):
    found = case.found.running
    assert len(found) == case.slates["day"].max() + 1
    for day in range(len(found)):
        part = users_to(case.slates, day).merge(case.users[["user_id", "pre_clicks", "pre_known"]], on="user_id")
        columns = {c: part[c].to_numpy() for c in found.columns}
        assert_same({v: s for v, s in found.at(day).items() if s.n}, Users.of(part["variant"], columns).statistics)


def test_running_statistics_of_arrays_are_the_same(case):
    found, names = case.found.running, case.names
    before = case.users.set_index("user_id")[["pre_clicks", "pre_known"]]
    columns = [c for c in found.columns if c not in {"clicked_any", *before}]  # arrays hold sums
    daily = case.slates.groupby([*UNIT, "day"])[columns].sum().unstack("day", fill_value=0)
    array = daily.to_numpy().reshape(len(daily), len(columns), -1).transpose(0, 2, 1)
    code = np.array([names.index(v) for v in daily.index.get_level_values("variant")])
    known = before.reindex(daily.index.get_level_values("user_id")).to_dict("series")
    of = Running.of(code, array, columns, names, seen="impressions", known=known)
    assert of.columns == (*columns, *before)
    for day in range(len(found)):
        mine, theirs = found.at(day), of.at(day)
        assert_same(
            {v: s for v, s in theirs.items() if s.n}, {v: s for v, s in mine.items() if s.n}, columns=of.columns
        )


def test_the_trend_counts_a_day_as_often_as_its_number(case):
    s = case.slates
    late = s.assign(late_clicks=s["clicks"] * s["day"], late_shown=s["impressions"] * s["day"])
    users = late.groupby(UNIT)[["clicks", "impressions", "late_clicks", "late_shown"]].sum().reset_index()
    for name, of in case.found.trend.items():
        wanted = SufficientStatistics.of(users.loc[users["variant"] == name, users.columns[2:]].to_numpy(), TREND)
        assert of.columns == TREND
        assert_same({name: of}, {name: wanted})
    assert tuple(case.found.trend) == case.names


def test_a_column_without_days_has_no_running_statistics(case):
    there = {"impressions", "clicks", "dwell", "sessions", "clicked_any", "pre_clicks", "pre_known"}
    assert set(case.found.running.columns) == there


@pytest.mark.parametrize("by", ["day", "position"])
def test_cells_count_users_impressions_and_clicks_and_their_products(case, by):
    source = case.slates if by == "day" else case.log.assign(impressions=1, clicks=case.log["clicked"])
    units = source.groupby([*UNIT, by])[["impressions", "clicks"]].sum().reset_index()
    c, n = units["clicks"], units["impressions"]
    units = units.assign(users=1, clicks_clicks=c * c, clicks_impressions=c * n, impressions_impressions=n * n)
    expected = units.groupby(["variant", by]).sum(numeric_only=True)
    found = case.found.by_day if by == "day" else case.found.by_position
    assert found.index.unique("variant").tolist() == list(case.names)
    assert sorted(found.index) == sorted(expected.index)
    assert found.to_numpy(dtype=float) == pytest.approx(expected.loc[found.index, list(found)].to_numpy(dtype=float))


def test_items_dates_and_users_in_two_variants_are_counted(case):
    expected = pd.crosstab(case.log["item_id"], case.log["variant"])[list(case.names)]
    pd.testing.assert_frame_equal(case.found.items, expected, check_names=False, check_dtype=False)
    assert case.found.n_impressions == len(case.log)
    assert case.found.first_day == (None if case.time == "day" else pd.Timestamp("2026-03-01"))
    assert case.found.users.in_two_variants == case.n_twice > 0
    assert case.found.users.impossible == 0


# By hand


def test_a_users_counts_by_hand():
    rows = rows_of(LOG).users.collect("pandas").to_native().set_index("user_id")
    counts = ["impressions", "clicks", "sessions", "clicked_any", "first_day"]
    assert rows.loc["a", counts].tolist() == [3, 2, 2, 1, 0]
    assert rows.loc["b", counts].tolist() == [2, 0, 1, 0, 1]
    assert rows.loc["c", "variant"] == "treatment"
    assert rows.loc["c", "weighted_clicks"] == pytest.approx(1.0)  # a click at position 1
    assert rows.loc["b", "novelty_bits"] == pytest.approx(np.log2(6 / 4) + np.log2(6 / 2))


def test_the_order_of_the_log_does_not_matter():
    tables = [
        rows_of(t).users.collect("pandas").to_native().sort_values("user_id", ignore_index=True)
        for t in (LOG, LOG[::-1])
    ]
    pd.testing.assert_frame_equal(*tables)


def test_first_users_are_shown_by_id():
    assert rows_of(LOG[::-1]).head(2)["user_id"].tolist() == ["a", "b"]


def test_timestamps_in_seconds_or_as_dates_give_the_same_days():
    stamps = pd.Timestamp("2026-03-01 20:00") + pd.to_timedelta(LOG["day"], unit="D")
    bare = LOG.drop(columns="day")
    days = [
        reduced(t).by_day.index.get_level_values("day").tolist()
        for t in (
            LOG,
            bare.assign(timestamp=stamps),
            bare.assign(timestamp=stamps.astype("datetime64[s]").astype(np.int64)),
        )
    ]
    assert days == [[0, 3, 1, 2]] * 3


def test_a_variant_all_of_whose_users_were_in_another_too_is_refused():
    with pytest.raises(DataError, match="Every user of control was seen in another variant too"):
        reduced(LOG.assign(user_id=["a", "a", "a", "a", "b", "c"]))


def test_one_user_can_be_reduced_and_has_no_covariance():
    found = reduced(LOG[LOG["user_id"].isin(["a", "c"])])
    assert found.users.counts == {"control": 1, "treatment": 1}
    assert np.isnan(found.users.statistics["control"].cov).all()


def test_a_log_of_one_day_is_reduced():
    found = reduced(LOG.assign(day=7))
    assert len(found.running) == 1
    assert found.by_day.index.tolist() == [("control", 0), ("treatment", 0)]
    assert found.users.first_seen.loc[0].to_dict() == {"control": 1, "treatment": 2}
    assert "exposure" not in found.users.segments  # everybody is early


def test_a_variant_that_lacks_a_day_adds_nothing_on_it(rng):
    log = log_like(rng)
    found = reduced(log[(log["variant"] == "control") | (log["day"] != 3)])
    assert found.running.n["treatment"][3] == found.running.n["treatment"][2]
    assert ("treatment", 3) not in found.by_day.index


# What is known beside the log


def test_what_is_known_of_users_joins_by_id_and_misses_are_zero_counts():
    known = pd.DataFrame({"user_id": ["a", "c"], "pre_clicks": [4, 5], "country": ["x", "y"]})
    rows = rows_of(LOG, known).users.collect("pandas").to_native().set_index("user_id")
    assert rows["pre_clicks"].to_dict() == {"a": 4, "b": 0, "c": 5}
    assert rows["country"].to_dict() == {"a": "x", "b": "unknown", "c": "y"}


@pytest.mark.parametrize("of", [int, float, str])
@pytest.mark.parametrize("in_users_file", [int, float, str])
def test_ids_meet_however_they_are_stored(of, in_users_file):
    ids = np.array([7, 8, 1_234_567])
    log = LOG.assign(user_id=LOG["user_id"].map(dict(zip("abc", ids.astype(of), strict=True))))
    known = pd.DataFrame({"user_id": ids[[0, 2]].astype(in_users_file), "pre_clicks": [4, 5]})
    assert reduced(log, known).users.whole.sum("pre_clicks") == 9


def test_a_users_file_may_hold_numbers_alone():
    known = pd.DataFrame({"user_id": ["a", "b", "c"], "spent": [1.5, 2.0, 4.0]})
    rows = rows_of(LOG, known)
    assert reduce(rows, ["spent"]).users.whole.sum("spent") == 7.5


def test_a_column_that_the_log_counts_is_refused_in_a_users_file():
    known = pd.DataFrame({"user_id": ["a"], "clicks": [1]})
    with pytest.raises(DataError, match=r"users table has the column clicks.*Rename it, or leave it out"):
        rows_of(LOG, known)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_goal_reads_no_column_that_is_empty_or_infinite_for_a_user(value, tmp_path):
    known = pd.DataFrame({"user_id": ["a", "b", "c"], "spent": [1.5, value, 4.0]})
    known.to_parquet(tmp_path / "users.parquet")
    for table in (known, tmp_path / "users.parquet"):
        rows = rows_of(LOG, table)
        reduce(rows)  # nothing reads it
        with pytest.raises(DataError, match=r"column spent .* 1 user of the log.*Fill it, or leave it out"):
            reduce(rows, goals=[("spent",)])


def test_a_column_that_users_lack_is_refused_with_those_that_they_have():
    with pytest.raises(DataError, match=r"users have no column clickz.*clicks"):
        reduce(rows_of(LOG), ["clickz"])


def test_columns_of_the_log_named_as_counts_do_not_replace_them():
    odd = LOG.assign(**dict.fromkeys(COUNTS, 99.0), of_item=99, first_day=99)
    pd.testing.assert_frame_equal(rows_of(odd).head(9), rows_of(LOG).head(9))


def test_segments_are_the_texts_with_few_levels():
    users = [f"u{i}" for i in range(2 * MAX_LEVELS)]
    log = pd.concat([LOG.iloc[[0, 3]]] * MAX_LEVELS)
    log = log.assign(user_id=users, slate_id=range(len(log)), variant=["control", "treatment"] * MAX_LEVELS)
    known = pd.DataFrame({"user_id": users, "name": users, "one": "all", "two": ["x", "y"] * MAX_LEVELS})
    known["twelve"] = [str(i % MAX_LEVELS) for i in range(len(users))]
    assert set(rows_of(log, known).segments) == {"two", "twelve", "exposure"}


# The engine


def test_tables_of_users_go_with_their_owner(rng):
    def tables() -> int:
        return engine().sql("select count(*) from duckdb_tables()").fetchall()[0][0]

    gc.collect()
    before = tables()
    rows = rows_of(log_like(rng))
    assert tables() == before + 2
    reduce(rows)
    del rows
    gc.collect()
    assert tables() == before


# Users who are not like the others


def test_a_user_in_two_variants_is_left_out_and_counted(rng):
    log = even_log(rng, 300)
    twice = pd.concat(
        [log, log[log["user_id"] == 7].assign(variant="control", slate_id=9000 + log.index[log["user_id"] == 7])]
    )
    found, without = reduced(twice), reduced(log[log["user_id"] != 7])
    assert found.users.in_two_variants == 1
    assert found.users.counts == without.users.counts
    assert found.users.statistics["treatment"].mean == pytest.approx(without.users.statistics["treatment"].mean)
    pd.testing.assert_frame_equal(found.by_position, without.by_position)
    assert found.n_impressions == without.n_impressions


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_missing_undefines_its_own_metric_only(bad, rng):
    log = even_log(rng, 300)
    known = pd.DataFrame({"user_id": log["user_id"].unique(), "watch": 1e6 + rng.gamma(2.0, 3.0, 300)})
    known.loc[5, "watch"] = bad
    metrics = (CTR, mean_of("watch"))
    ctr, watch = estimate_effects(reduced(log, known, metrics=metrics).users, metrics)
    expected = estimate_effects(reduced(log, metrics=(CTR,)).users, (CTR,))[0]
    assert ctr.lift_ci == pytest.approx(expected.lift_ci)
    one, two = (known["watch"].drop(5)[known["user_id"].drop(5) % 2 == v] for v in (0, 1))
    assert watch.n_control + watch.n_treatment == 299
    assert watch.p_value == pytest.approx(stats.ttest_ind(one, two, equal_var=False).pvalue)
    assert watch.method.endswith("1 user without watch")


def test_a_value_that_nobody_of_a_variant_has_undefines_its_own_metric_only(rng):
    log = even_log(rng, 60)
    known = pd.DataFrame({"user_id": range(0, 60, 2), "watch": rng.gamma(2.0, 3.0, 30)})  # control's users
    metrics = (CTR, mean_of("watch"))
    ctr, watch = estimate_effects(reduced(log, known, metrics=metrics).users, metrics)
    assert ctr.defined
    assert watch.reason == "treatment has 0 user; a variance needs at least 2"


def test_a_users_table_that_knows_nobody_is_refused_and_one_that_knows_few_is_counted(rng):
    log = even_log(rng, 300)
    known = pd.DataFrame({"user_id": range(200, 500), "pre_clicks": 1})
    assert reduced(log, known).users.unknown == 200
    assert reduced(log).users.unknown is None
    with pytest.raises(DataError, match=r"knows 0 of the 300 users of the log: .* 0, 1, 10 in the log"):
        reduced(log, known.assign(user_id=known["user_id"] + 1000))


def test_whether_a_user_was_known_before_is_a_column_and_enters_the_looks(rng):
    log = even_log(rng, 100)
    known = pd.DataFrame({"user_id": range(60), "pre_clicks": rng.poisson(2, 60), "pre_impressions": 20})
    found = reduced(log, known)
    s = found.users.whole
    assert s.sum("pre_known") == pytest.approx(60)
    assert found.running.columns == ("impressions", "clicks", "pre_impressions", "pre_clicks", "pre_known")
    last = found.running.at(len(found.running) - 1)
    assert sum(v.sum("pre_clicks") for v in last.values()) == pytest.approx(known["pre_clicks"].sum())
    assert "pre_known" not in reduced(log, known.drop(columns=["pre_clicks", "pre_impressions"])).users.columns


def test_a_covariate_is_called_known_before_and_whoever_lacks_it_has_the_mean(rng):
    log = even_log(rng, 100)
    known = pd.DataFrame({"user_id": range(60), "age": [np.nan, np.nan, *rng.normal(40, 9, 58)]})
    users, notes = as_before(open_users(known), ["age"])
    assert notes == ("2 users without age have the mean of the others",)
    rows = user_rows(open_log(log), users)
    found = reduce(rows, [*columns_of(METRICS, rows.numeric), "pre_age"], further=["pre_age"])
    mean, s = known["age"].mean(), found.users.whole
    assert s.sum("pre_age") == pytest.approx(60 * mean)  # 0 for the 40 who are not known, as pre_known tells
    assert s.sum("pre_known") == pytest.approx(60)
    assert found.running.columns == ("impressions", "clicks", "pre_age", "pre_known")
    last = found.running.at(len(found.running) - 1)
    assert sum(v.sum("pre_age") for v in last.values()) == pytest.approx(60 * mean)
    assert ("pre_age",) in found.users.histograms  # so that its balance is tested
    with pytest.raises(ParameterError, match="also has pre_age"):
        as_before(open_users(known.assign(pre_age=1)), ["age"])


def with_bots(rng, n_bots: int = 3) -> pd.DataFrame:
    """A log whose last users have far more slates than all others."""
    log = even_log(rng, 600, ctr=0.2)
    user = np.repeat(600 + np.arange(n_bots), 2000)
    variant = np.array(["control", "treatment"])[user % 2]
    bots = pd.DataFrame({"user_id": user, "slate_id": 10_000 + np.arange(len(user)), "variant": variant})
    return pd.concat([log, bots.assign(position=1, item_id="x", clicked=user % 2, day=rng.integers(0, 5, len(user)))])


def test_heavy_users_are_capped_in_metrics_segments_and_looks(rng):
    log = with_bots(rng)
    known = pd.DataFrame({"user_id": log["user_id"].unique()}).assign(pre_impressions=10)
    known["pre_clicks"] = rng.poisson(2, len(known))
    found = reduced(log, known)
    users = log.groupby(["user_id", "variant"], as_index=False).agg(
        impressions=("clicked", "size"), clicks=("clicked", "sum")
    )
    cap = np.quantile(users["impressions"], 0.99, method="inverted_cdf")
    assert found.users.caps == {"impressions": cap}
    weight = np.minimum(1, cap / users["impressions"])
    counts = ["clicks", "impressions"]
    by_level: dict[str, float] = {}
    for levels in found.users.segments["exposure"].values():
        for variant, s in levels.items():
            by_level[variant] = by_level.get(variant, 0.0) + s.sum("clicks")
    for variant, of in found.users.read_by(("clicks", "impressions")).items():
        part = users["variant"] == variant
        wanted = SufficientStatistics.of((users[counts].mul(weight, axis=0))[part].to_numpy(), counts)
        assert_same({variant: of}, {variant: wanted}, counts)
        assert by_level[variant] == pytest.approx(wanted.sum("clicks"))
        last = found.running.at(len(found.running) - 1)[variant]
        assert_same({variant: last}, {variant: wanted}, counts)
        for column in counts:
            assert found.users.statistics[variant].sum(column) == pytest.approx(users.loc[part, column].sum())
    (effect,) = estimate_effects(found.users, (CTR,))
    assert effect.method.endswith(f"impressions capped at {cap:.0f}")
    assert not effect.better


def test_arrays_of_users_and_of_their_days_are_capped_as_a_log_is(rng):
    log = with_bots(rng)
    found = reduced(log)
    daily = log.assign(impressions=1).groupby(["user_id", "variant", "day"])[["clicked", "impressions"]].sum()
    daily = daily.unstack("day", fill_value=0)
    table = daily.to_numpy().reshape(len(daily), 2, -1).swapaxes(1, 2)
    clicks, shown = table.sum(axis=1).T
    code = (daily.index.get_level_values("variant") == "treatment").astype(int)
    goal = ("clicks", "impressions")
    drawn = Users.of(
        np.array(["control", "treatment"])[code], {"clicks": clicks, "impressions": shown}, histograms=[goal]
    )
    assert drawn.caps == found.users.caps
    assert_same(drawn.read_by(goal), found.users.read_by(goal), goal)
    running = Running.of(code, table, goal, drawn.variants, seen="impressions", caps=drawn.caps)
    for day in range(len(running)):
        assert_same(running.at(day), found.running.at(day), goal)


def test_nobody_is_capped_where_no_user_outweighs_the_rest(rng):
    found = reduced(log_like(rng, n_users=2000))
    assert found.users.caps == found.users.capped == {}
    assert found.users.read_by(("clicks", "impressions")) is found.users.statistics
