"""How the stage of an analysis reads a log: the columns that it needs, its end, its prior, and its own grading."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recab_helpers import analysis, stages, tracking
from recab_helpers.analysis import METRICS, mean_of, metrics_from
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.impressions.look import check_early
from recab_helpers.parameters import AnalyzeParams
from recab_helpers.references import Comparison, ModelAddress
from tests.conftest import shared
from tests.made import HALVES, log_like
from tests.stages.made import TABLE, log_of


def test_a_real_log_may_be_read_every_evening_and_a_simulated_one_is_read_at_its_end(tmp_path):
    log = log_of(TABLE, tmp_path)
    test = stages.reduce(stages.user_rows(log, METRICS), METRICS)
    assert stages.progress_of(log, test, AnalyzeParams(planned_days=9)).planned == "9 days"
    assert stages.progress_of(log, test, AnalyzeParams()).running
    assert stages.progress_of(replace(log, truth=pd.DataFrame()), test, AnalyzeParams()) is None


def test_a_metric_may_read_a_column_of_the_impressions(tmp_path):
    metrics = (*METRICS, mean_of("revenue"))
    log = log_of(TABLE, tmp_path)
    users = stages.reduce(stages.user_rows(log, metrics), metrics).users
    assert {v: s.sum("revenue") for v, s in users.statistics.items()} == {"control": 1.0, "treatment": 2.5}


def test_a_column_that_nobody_has_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(ParameterError, match=r"revenu, which is in neither.*Did you mean revenue"):
        stages.user_rows(log_of(TABLE, tmp_path), (*METRICS, mean_of("revenu")))


def test_a_log_that_breaks_its_contract_is_refused_by_the_name_of_its_file(tmp_path):
    with pytest.raises(DataError, match=r"my\.csv: column clicked holds .*2.* in row 1"):
        stages.user_rows(log_of(TABLE.assign(clicked=[2, 1, 1, 0]), tmp_path), METRICS)


def test_a_metric_may_read_a_column_of_the_users_file_that_the_log_lacks(tmp_path):
    users = pd.DataFrame({"user_id": ["a", "b", "c", "d"], "spent": [1.0, 2.0, 3.0, 4.0]})
    users.to_csv(tmp_path / "users.csv", index=False)
    TABLE.to_csv(tmp_path / "my.csv", index=False)
    params = AnalyzeParams(log_file=str(tmp_path / "my.csv"), users_file=str(tmp_path / "users.csv"))
    metrics = metrics_from([{"name": "spent", "role": "goal"}])
    test = stages.reduce(stages.user_rows(stages.find_log(params), metrics), metrics)
    assert test.users.statistics["treatment"].sum("spent") == 6.0
    assert ("spent",) in test.users.histograms


def test_the_grading_of_a_page_is_of_false_alarms(tmp_path, monkeypatch):
    monkeypatch.setattr("recab_helpers.stages.analyze.GRADED_TESTS", 4)
    log = log_of(log_like(np.random.default_rng(1)), tmp_path)
    rows = stages.user_rows(log, METRICS)
    table = stages.grade_own(rows, stages.reduce(rows, METRICS), METRICS, HALVES, AnalyzeParams())
    assert set(table["kind"]) == {"rejects", "stops", "voids", "ships"}
    assert table["tests"].max() == 4
    assert "CTR, bootstrap" not in set(table["method"])  # takes minutes


def test_the_prior_is_fitted_to_the_other_valid_tests_of_the_experiment_each_once(store, tmp_path):
    def leave(lift: float, **tags: str) -> None:
        run = tracking.start_run("shop", "analyze")
        with run.child("analysis") as child:
            child.log_metrics({"treatment_1 ctr lift": lift, "treatment_1 ctr lift log se": 0.01})
            child.tag(**{"kind": "real", "same_model_in_all": "False", **tags})
        run.complete()

    log, params = log_of(TABLE, tmp_path), AnalyzeParams(experiment="shop", log_file=str(tmp_path / "my.csv"))
    assert stages.prior_of(log, params, METRICS) == analysis.Prior()
    for i in range(9):
        leave(9.0, test=f"{i}")  # an earlier reading of the same test
        leave(0.1, test=f"{i}")
    leave(5.0, test="rehearsal", kind="simulated")
    leave(5.0, test="aa", same_model_in_all="True")
    leave(5.0, test=log.identity)
    leave(5.0)  # an invalid test
    assert stages.prior_of(log, params, METRICS) == analysis.Prior()
    leave(0.1, test="tenth")
    fitted = stages.prior_of(log, params, METRICS)
    assert (fitted.tests, fitted.sd) == (10, pytest.approx(np.sqrt(np.log1p(0.1) ** 2 - 0.01**2)))
    assert stages.prior_of(log, replace(params, prior_sd=0.5), METRICS) == analysis.Prior(sd=0.5)


def test_covariates_of_the_users_file_adjust_effects_looks_and_the_drawn_tests(tmp_path, monkeypatch):
    monkeypatch.setattr("recab_helpers.stages.analyze.GRADED_TESTS", 4)
    table = log_like(np.random.default_rng(1))
    users = table.groupby("user_id", as_index=False)["clicked"].mean().rename(columns={"clicked": "keen"})
    users.to_csv(tmp_path / "users.csv", index=False)
    table.to_csv(tmp_path / "my.csv", index=False)
    files = {"log_file": str(tmp_path / "my.csv"), "users_file": str(tmp_path / "users.csv")}
    params = AnalyzeParams(**files, covariates=["keen"])
    log, metrics = stages.find_log(params), metrics_from([], params.covariates)
    rows = stages.user_rows(log, metrics)
    test = stages.reduce(rows, metrics)
    (effect,) = (e for e in analysis.estimate_effects(test.users, metrics) if e.metric.name == "ctr")
    assert effect.method == "delta method, CUPED, also by keen"
    assert effect.variance_reduction > 0.25
    last = analysis.cumulative_effects(test.running, analysis.goals_of(metrics)).iloc[-1]
    assert (last["lift"], last["log_se"]) == pytest.approx((effect.lift, effect.log_se))
    graded = stages.grade_own(rows, test, metrics, HALVES, params)
    assert graded["tests"].max() == 4
    with pytest.raises(ParameterError, match="covariates names keen, but the test has design=sessions"):
        stages.user_rows(replace(log, reading=replace(log.reading, design="sessions")), metrics)


@pytest.mark.parametrize(
    ("design", "metric", "said"),
    [
        (
            "sessions",
            "revenue",
            r"revenue is a mean over users.*numerator: revenue, denominator: sessions, role: s",
        ),
        (
            "sessions",
            {"name": "revenue", "role": "goal"},
            r"revenue is a mean.*every user meets both.*role: goal",
        ),
        ("sessions", {"name": "p95", "numerator": "latency", "quantile": 0.95}, "metric p95 is a quantile over users"),
        (
            "interleaved",
            {"name": "x", "numerator": "clicks", "denominator": "sessions"},
            "by design=interleaved clicks alone",
        ),
        ("off_policy", "revenue", "metrics names revenue, but by design=off_policy clicks alone are read"),
    ],
)
def test_a_metric_that_a_design_has_no_reading_of_is_refused_and_not_left_out(design, metric, said, tmp_path):
    log = log_of(TABLE, tmp_path, design=design, target="models:/m/1", metrics=[metric])
    with pytest.raises(ParameterError, match=said):
        stages.user_rows(log, metrics_from([metric]))


def test_a_ratio_is_read_by_sessions_and_what_it_divides_is_no_metric_of_the_users(tmp_path):
    ratio = {"name": "revenue_per_session", "numerator": "revenue", "denominator": "sessions", "role": "goal"}
    stages.analyze._check_metrics(log_of(TABLE, tmp_path, design="sessions", metrics=[ratio]), metrics_from([ratio]))


K = 3


def _of(users, items, **more) -> pd.DataFrame:
    n = len(users)
    lists = {"user_id": np.repeat(users, K), "position": np.tile(np.arange(1, K + 1), n), "item_id": np.tile(items, n)}
    return pd.DataFrame(lists).assign(**more)


TARGETS = {  # what a registered model says to the users of a log: a table, or what is wrong with it
    "knows some": (lambda users: _of(users, ["4", "2", "5"], cold=np.repeat(np.arange(len(users)) < 3, K)), 3),
    "does not say": (lambda users: _of(users, ["4", "2", "5"]), None),
    "knows nobody": (lambda users: _of(users, ["4", "2", "5"], cold=True), "knows none of the users of log.parquet"),
    "recommends nobody": (
        lambda users: _of(users[:0], ["4", "2", "5"]),
        "returned 0 items for the user 0",
    ),
    "one user less": (lambda users: _of(users[1:], ["4", "2", "5"]), "returned 0 items for the user 0"),
    "an item twice": (lambda users: _of(users, ["4", "4", "5"]), "twice"),
    "of another catalog": (
        lambda users: _of(users, ["x", "y", "z"]),
        "no item of the log: it has items such as x",
    ),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_read_with_whom_it_does_not_know_or_refused(target, rng, tmp_path, monkeypatch):
    n, says = 40, TARGETS[target]
    random = np.argsort(rng.random((n, 6)), axis=1)[:, :K]
    log = pd.DataFrame({"user_id": np.repeat(np.arange(n), K), "slate_id": np.repeat(np.arange(n), K)})
    log = log.assign(position=np.tile(np.arange(1, K + 1), n), item_id=random.ravel(), variant="control", day=0)
    log.assign(clicked=rng.integers(0, 2, n * K), propensity=1 / 6).to_parquet(tmp_path / "log.parquet")
    model = SimpleNamespace(address=ModelAddress.parse("models:/one/1"), recommend=lambda users, _: says[0](users))
    monkeypatch.setattr(stages.analyze.tracking, "load_model", lambda _: model)
    params = AnalyzeParams(log_file=str(tmp_path / "log.parquet"), design="off_policy", target="models:/one/1")
    if isinstance(says[1], str):
        with pytest.raises(DataError, match=says[1]):
            _reduced(params)
        return
    assert _reduced(params).target_unknown.get("treatment") == says[1]


def test_a_served_target_is_refused_with_the_way_out():
    with pytest.raises(ParameterError, match=r"target is http://h:1, which is served.*target=models:/NAME/3"):
        AnalyzeParams(log_file=__file__, design="off_policy", target="http://h:1")


@pytest.fixture
def open_bandit(tmp_path, monkeypatch):
    """A real log with propensities, whose users are known by four features only, and a target alike for all."""
    table = pd.read_csv(shared("data/open-bandit-all/random.csv.gz"))
    features = [c for c in table if c.startswith("user_feature")]
    table["user_id"] = table[features].agg(" ".join, axis=1)
    table = table.assign(slate_id=np.arange(len(table)), place=1, variant="control")
    file = tmp_path / "bandit.parquet"
    table.to_parquet(file)
    target = SimpleNamespace(
        address=ModelAddress.parse("models:/one/1"),
        recommend=lambda users, k: pd.DataFrame(
            {
                "user_id": np.repeat(users, k),
                "position": np.tile(np.arange(1, k + 1), len(users)),
                "item_id": np.tile(np.arange(14, 14 + k), len(users)).astype(str),
            }
        ),
    )
    monkeypatch.setattr(stages.analyze.tracking, "load_model", lambda _: target)
    columns = {"clicked": "click", "propensity": "propensity_score", "position": "place"}

    def log(**columns_too):
        given = {k: v for k, v in (columns | columns_too).items() if v}
        return AnalyzeParams(log_file=str(file), columns=given, design="off_policy", target="models:/one/1")

    return SimpleNamespace(params=log, clicks=table["click"].sum(), n=len(table), users=table["user_id"].nunique())


def test_a_real_log_with_propensities_is_read_or_refused_and_never_more_certain_than_it_is(open_bandit):
    test = _reduced(open_bandit.params())
    found = analysis.read_off_policy(test.off_policy["treatment"], Comparison("treatment"))
    assert found.n_users == open_bandit.users
    assert found.own_ctr == pytest.approx(open_bandit.clicks / open_bandit.n)
    assert found.support == pytest.approx(1, abs=0.3)  # every item has a chance of 1 in 80
    assert found.effective < found.n_users
    assert bool(found.refused) == (found.main is None)
    with pytest.raises(DataError, match=r"A slate of the log has 1\.0 items on average, but positions go up to 3"):
        _reduced(open_bandit.params(position=None))  # a row tells one of the three places that were shown


def test_a_real_log_without_user_ids_is_refused_at_the_door(open_bandit):
    with pytest.raises(DataError, match="user_id"):
        check_early(open_bandit.params(user_id="no_such_column"))
    with pytest.raises(ParameterError, match="unit is impression, but design is off_policy"):
        AnalyzeParams(**open_bandit.params().as_dict() | {"unit": "impression"})


def _reduced(params: AnalyzeParams):
    log = stages.find_log(params)
    rows = stages.user_rows(log, METRICS)
    return stages.reduce(rows, stages.measured(METRICS, rows), log)
