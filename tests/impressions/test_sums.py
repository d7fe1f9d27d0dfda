"""A test of which only sums are known says what its users would have said, as far as sums carry."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers import stages
from recab_helpers.analysis import analyze, mean_of, metrics_from, srm_p_value
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.impressions import Reading, column_names, holds_sums, read_sums
from recab_helpers.impressions.look import check_early, look
from recab_helpers.parameters import AnalyzeParams, ReadParams
from tests.conftest import shared

USERS = {"control": 900, "b": 870}
DAYS = 5


@pytest.fixture(scope="module")
def spent() -> dict[str, np.ndarray]:
    """What every user spent on every day, by variant, shape (n_users, DAYS); nan before the user is first seen."""
    rng = np.random.default_rng(5)
    spent = {v: rng.gamma(0.5, 10 + i, (n, DAYS)) for i, (v, n) in enumerate(USERS.items())}
    for of in spent.values():
        first = rng.integers(0, DAYS, len(of))
        of[np.arange(DAYS) < first[:, None]] = np.nan
    return spent


def sums_of(spent: dict[str, np.ndarray], look=lambda day: day + 1) -> pd.DataFrame:
    """Sums to date at the end of every day, of what is spent and of whether more than 20 is."""
    rows = []
    for variant, of in spent.items():
        for day in range(DAYS):
            seen = of[~np.isnan(of[:, day])]
            total = np.nansum(seen[:, : day + 1], axis=1)
            for metric, x in (("spent", total), ("much", total > 20)):
                sums = {"n": len(x), "mean": x.mean(), "variance": x.var(ddof=1)}
                rows.append({"variant": variant, "metric": metric, "look": look(day)} | sums)
    return pd.DataFrame(rows)


SPENT = mean_of("spent", role="goal")


@pytest.mark.parametrize("kind", ["csv", "parquet", "shuffled", "dates"])
def test_effects_looks_and_the_sample_ratio_are_those_of_the_users(spent, tmp_path, kind):
    table = sums_of(spent, look=(lambda day: f"2026-05-0{day + 1}") if kind == "dates" else lambda day: day + 1)
    path = tmp_path / ("log.parquet" if kind == "parquet" else "log.csv")
    shuffled = table.sample(frac=1, random_state=3)
    shuffled.to_parquet(path) if kind == "parquet" else shuffled.to_csv(path, index=False)
    assert holds_sums(path)
    test = read_sums(path).reduce()
    found = analyze(test, planned=dict.fromkeys(USERS, 0.5), metrics=(SPENT, mean_of("much")))
    totals = {v: np.nansum(of, axis=1) for v, of in spent.items()}
    for metric, x in (("spent", totals), ("much", {v: t > 20 for v, t in totals.items()})):
        effect = next(e for e in found.effects if e.metric.name == metric)
        welch = stats.ttest_ind(x["b"].astype(float), x["control"].astype(float), equal_var=False)
        assert effect.lift == pytest.approx(x["b"].mean() / x["control"].mean() - 1)
        assert effect.p_value == pytest.approx(welch.pvalue)
        assert effect.difference_ci == pytest.approx(tuple(welch.confidence_interval(0.95)))
    assert found.checks[0].p_value == pytest.approx(srm_p_value(list(USERS.values()), [1, 1]))
    looks = found.looks.set_index("day")
    for day in range(DAYS):
        x = {v: np.nansum(of[~np.isnan(of[:, day]), : day + 1], axis=1) for v, of in spent.items()}
        assert looks.loc[day, "lift"] == pytest.approx(x["b"].mean() / x["control"].mean() - 1)
    new = {
        v: [int((~np.isnan(of[:, d]) & (d == 0 or np.isnan(of[:, d - 1]))).sum()) for d in range(DAYS)]
        for v, of in spent.items()
    }
    assert {v: test.users.first_seen[v].tolist() for v in USERS} == new
    assert (str(test.first_day)[:10] == "2026-05-01") == (kind == "dates")


def test_both_arms_may_stand_in_a_row_and_looks_within_a_day(spent):
    long = sums_of(spent, look=lambda day: day / 2 + 0.5).query("metric == 'spent'")
    arms = [long[long["variant"] == v].set_index("look")[["n", "mean", "variance"]] for v in USERS]
    wide = arms[0].join(arms[1], lsuffix="_c", rsuffix="_t").rename(columns={"n_c": "count_c", "n_t": "count_t"})
    wide = wide.reset_index().assign(variant_id=7)
    assert not holds_sums(wide[["look", "mean_c", "mean_t"]])
    sums = read_sums(wide, Reading(columns={"variant": "variant_id"}))
    assert sums.looks["variant"].tolist() == ["control"] * 3 + ["7"] * 3
    assert sums.looks["day"].tolist() == [0, 1, 2] * 2
    last_of_days = long[long["look"].isin([1, 2, 2.5])]  # those at 1, 2 and 2.5 days are the last of days 1, 2 and 3
    assert sums.looks["mean value"].tolist() == last_of_days["mean"].tolist()
    assert sums.reduce().running.n["control"].tolist() == last_of_days["n"].tolist()[:3]


def test_successes_stand_for_mean_and_variance():
    table = pd.DataFrame({"variant": ["A", "B"], "n": [1000, 1010], "successes": [100, 140]})
    test = read_sums(table, Reading(control="A")).reduce()
    found = analyze(test, planned={"control": 0.5, "B": 0.5}, metrics=(mean_of("success_rate", role="goal"),))
    x = [np.repeat([1.0, 0.0], [k, n - k]) for k, n in ((100, 1000), (140, 1010))]
    assert found.effects[0].p_value == pytest.approx(stats.ttest_ind(*x, equal_var=False).pvalue)
    assert found.test.running is found.test.by_day is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: t.assign(experiment=["x", "y"] * 10),
            "holds several experiments.* Name one: only={experiment: NAME}",
        ),
        (lambda t: pd.concat([t, t.tail(1).assign(mean=7)]), "the metric much of b has two sums at the look 5"),
        (
            lambda t: t.assign(n=t["n"] + (t["metric"] == "much")),
            "metric much counts .* users and spent .*only={metric",
        ),
        (
            lambda t: t.assign(variance=t["variant"].map({"control": 1, "b": None})),
            "b lacks n of at least 2, mean or var",
        ),
        (lambda t: t.assign(variance=-1), "variance holds -1 in row 1 .* it must be a number of 0 or more"),
        (lambda t: t.assign(mean="much"), "column mean holds 'much' in row 1"),
        (lambda t: t.query("variant == 'b'"), "variant holds b; it needs control and at least one treatment"),
        (lambda t: t.assign(n=t["n"] * 0), "lacks n of at least 2"),
        (lambda t: t.drop(columns=["mean", "variance"]).assign(successes=t["n"] + 1), "more than there are"),
        (lambda t: t.drop(columns=["mean", "variance"]).assign(successes=0.3), r"successes holds 0\.3; .* by n"),
        (lambda t: t.assign(n=90 - t["look"]), "users grow fewer at .* looks, .*Give sums to date"),
        (lambda t: pd.concat([t, t.tail(2).assign(variant="Total")]), "variant holds 'Total', which is by its name"),
    ],
)
def test_sums_that_cannot_be_are_refused(spent, change, said):
    with pytest.raises(DataError, match=said):
        read_sums(change(sums_of(spent)))


def test_a_standard_deviation_is_no_variance(spent):
    sums = sums_of(spent).rename(columns={"variance": "std_dev"})
    with pytest.raises(DataError, match="variance is std_dev, which is by its name a standard deviation"):
        read_sums(sums, Reading(columns={"variance": "std_dev"}))


def test_a_stage_reads_sums_and_asks_for_the_goal(spent, tmp_path):
    path = tmp_path / "log.csv"
    table = sums_of(spent).rename(columns={"n": "users", "metric": "metric_name"})
    table.to_csv(path, index=False)
    said = look(ReadParams(log_file=str(path)))
    assert 'SET="columns={n: users, metric: metric_name}"' in said
    columns = {"n": "users", "metric": "metric_name"}
    params = AnalyzeParams(log_file=str(path), columns=columns)
    assert "control: sums of 900 users" in look(params)
    with pytest.raises(ParameterError, match=r"holds the metrics much, spent, and none is said to decide"):
        check_early(params)
    for wrong, asked in (("spnt", ["spnt"]), ({"name": "spents", "numerator": "clics", "role": "goal"}, ["clics"])):
        misspelled = AnalyzeParams(log_file=str(path), columns=columns, metrics=[wrong])
        with pytest.raises(ParameterError, match=r"holds the sums of much, spent\. Did you mean spent\?"):
            check_early(misspelled, asked)
    given = [{"name": "spent", "role": "goal"}, "much", {"name": "per", "numerator": "spent"}, {"name": "ctr"}]
    check_early(AnalyzeParams(log_file=str(path), columns=columns, metrics=given), ["spent", "much"])
    with pytest.raises(ParameterError, match=r"quantile of much, which the impressions do not have.*there is no log"):
        check_early(params, ["much"], ["much"])
    metrics = metrics_from([{"name": "spent", "role": "goal", "direction": -1}])
    log = stages.find_log(params)
    rows = stages.user_rows(log, metrics)
    kept = stages.measured(metrics, rows)
    assert [(m.name, m.role, m.direction) for m in kept] == [("spent", "goal", -1), ("much", "secondary", 1)]
    assert stages.reduce(rows, kept).users.counts == USERS
    alone = AnalyzeParams(log_file=str(path), columns=columns, only={"metric": "much"})
    check_early(alone)
    rows = stages.user_rows(stages.find_log(alone), metrics_from([]))
    assert [(m.name, m.role) for m in stages.measured(metrics_from([]), rows)] == [("much", "goal")]
    with_users = AnalyzeParams(log_file=str(path), users_file=str(path), columns=columns)
    with pytest.raises(ParameterError, match=r"users_file is given, but log\.csv holds sums of users"):
        stages.user_rows(stages.find_log(with_users), metrics)


def test_a_log_of_impressions_holds_no_sums(tmp_path):
    assert not holds_sums(pd.DataFrame({"user_id": [1], "variant": ["a"], "n": [1], "mean": [2]}))
    assert column_names(pd.DataFrame({"n": [1]})) == ("n",)


def test_a_published_test_is_read_as_its_sums_say():
    path = shared("data/asos") / "asos_digital_experiments_dataset.parquet"
    rows = pd.read_parquet(path).query("experiment_id == '036afc' and metric_id == 2")
    names = {"experiment": "experiment_id", "variant": "variant_id", "metric": "metric_id", "look": "time_since_start"}
    test = read_sums(path, Reading(columns=names, only={"experiment": "036afc", "metric": "2"})).reduce()
    found = analyze(test, planned={"control": 0.5, "2": 0.5}, metrics=(mean_of("2", role="goal"),))
    end = rows.loc[rows["time_since_start"].idxmax()]
    arms = [(end[f"mean_{a}"], end[f"variance_{a}"] ** 0.5, end[f"count_{a}"]) for a in "tc"]
    welch = stats.ttest_ind_from_stats(*arms[0], *arms[1], equal_var=False)
    assert found.effects[0].lift == pytest.approx(end["mean_t"] / end["mean_c"] - 1)
    assert found.effects[0].p_value == pytest.approx(welch.pvalue)
    assert found.checks[0].p_value == pytest.approx(stats.chisquare([end["count_c"], end["count_t"]]).pvalue)
    daily = rows.assign(day=np.ceil(rows["time_since_start"])).groupby("day").tail(1)
    lifts = (daily["mean_t"] / daily["mean_c"] - 1).to_numpy()
    shown = found.looks.set_index("day")["lift"]
    known = daily["day"].astype(int) - 1  # a day without a look says what the one before said, and is none
    assert shown.reindex(known).dropna().to_numpy() == pytest.approx(lifts[known.isin(shown.index)])
    assert len(shown) > 50
