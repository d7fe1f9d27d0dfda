"""How the stage of an analysis reads a log: the columns that it needs, its end, its prior, and its own grading."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recab_helpers import analysis, stages, tracking
from recab_helpers.analysis import METRICS, mean_of, metrics_from
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.parameters import AnalyzeParams
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
