"""From a log to one row per user, the checks that gate the verdict, and its written rule."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers import analysis as ab
from recab_helpers.analysis import Check, Effect
from recab_helpers.data import DataError

LOG = pd.DataFrame(
    {
        "user_id": ["a", "a", "a", "b", "b", "c"],
        "slate_id": [1, 1, 2, 3, 3, 4],
        "position": [1, 2, 1, 1, 2, 1],
        "variant": ["control"] * 3 + ["treatment"] * 3,
        "item_id": ["x", "y", "x", "x", "y", "x"],
        "clicked": [1, 0, 1, 0, 0, 1],
        "day": [0, 0, 3, 1, 1, 2],
    }
)
GOAL = Effect(
    metric="ctr",
    label="CTR",
    role="goal",
    comparison="treatment vs control",
    method="delta method",
    n_control=100,
    n_treatment=100,
    control=0.1,
    treatment=0.11,
    difference=0.01,
    lift=0.1,
    lift_ci=(0.02, 0.18),
    se=0.004,
)
PASSED = Check(name="Sample ratio (SRM)", passed=True, detail="")


def test_users_table_counts_by_hand():
    users = ab.users_table(ab.check_impressions(LOG)).set_index("user_id")
    assert users.loc["a", ["impressions", "clicks", "sessions", "clicked_any", "exposed_at"]].tolist() == [
        3,
        2,
        2,
        1,
        0,
    ]
    assert users.loc["b", ["impressions", "clicks", "sessions", "clicked_any", "exposed_at"]].tolist() == [
        2,
        0,
        1,
        0,
        1,
    ]
    assert users.loc["c", "variant"] == "treatment"


def test_the_order_of_the_log_does_not_matter():
    tables = [
        ab.users_table(ab.check_impressions(t)).sort_values("user_id", ignore_index=True) for t in (LOG, LOG[::-1])
    ]
    pd.testing.assert_frame_equal(*tables)


def test_totals_of_users_equal_totals_of_the_log():
    log = ab.check_impressions(LOG)
    totals, daily = ab.totals(ab.users_table(log)), ab.ctr_by(log, "day")
    assert totals.loc["control", ["users", "sessions", "impressions", "clicks"]].tolist() == [1, 2, 3, 2]
    assert daily["clicks"].groupby("variant", observed=True).sum().to_dict() == totals["clicks"].to_dict()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (LOG.drop(columns="clicked"), "lacks the column clicked"),
        (LOG.drop(columns="day"), "neither timestamp nor day"),
        (LOG.assign(clicked=[1, 0, 2, 0, 0, 1]), "clicked is 2 in row 3"),
        (LOG.assign(clicked=[1, 0, -1, 0, 0, 1]), "clicked is -1 in row 3"),
        (LOG.assign(clicked=[1, 0, math.nan, 0, 0, 1]), "in row 3"),
        (pd.concat([LOG, LOG[:1]]), "repeat an earlier"),
        (LOG.assign(position=[0, 2, 1, 1, 2, 1]), "positions count from 1"),
        (LOG.assign(variant="treatment"), "needs control"),
        (LOG[:3], "at least one treatment"),
        (LOG[:0], "no rows"),
    ],
)
def test_a_broken_log_is_refused(log, words):
    with pytest.raises(DataError, match=words):
        ab.check_impressions(log)


def test_timestamps_in_seconds_or_as_dates_give_the_same_days():
    stamps = pd.Timestamp("2026-03-01 20:00") + pd.to_timedelta(LOG["day"], unit="D")
    bare = LOG.drop(columns="day")
    dates = ab.check_impressions(bare.assign(timestamp=stamps))["day"]
    seconds = ab.check_impressions(bare.assign(timestamp=stamps.astype("datetime64[s]").astype(np.int64)))["day"]
    assert dates.tolist() == seconds.tolist() == LOG["day"].tolist()


def test_srm_is_pearsons_chi_squared():
    """44,700 against 45,489 users: chi-squared 6.90, p .0086."""
    p = ab.srm_p_value([44_700, 45_489], [1, 1])
    assert p == pytest.approx(stats.chi2.sf(789**2 / 90_189, 1))
    assert p == pytest.approx(0.0086, abs=5e-5)


def test_a_variant_that_was_not_planned_fails_the_sample_ratio():
    users = ab.users_table(
        ab.check_impressions(LOG.assign(variant=["control"] * 3 + ["treatment_1"] * 2 + ["treatment_2"]))
    )
    check = ab.srm_check(users, {"control": 0.5, "treatment": 0.5})
    assert not check.passed
    assert "treatment_1" in check.detail


def test_srm_alarms_are_as_rare_as_stated(rng):
    counts = rng.binomial(5000, 0.5, 20_000)
    alarms = sum(ab.srm_p_value([n, 5000 - n], [1, 1]) < 5e-4 for n in counts)
    assert stats.binomtest(alarms, 20_000, 5e-4).pvalue > 1e-3


def test_a_user_in_two_variants_and_a_missing_day_fail_their_checks():
    log = ab.check_impressions(LOG.assign(user_id=["a", "a", "a", "a", "b", "c"]))
    users, daily = ab.users_table(log), ab.ctr_by(log, "day")
    checks = {c.name: c for c in ab.run_checks(users, daily, {"control": 0.5, "treatment": 0.5})}
    assert not checks["One variant per user"].passed
    assert not checks["Days complete"].passed
    assert checks["Sample ratio (SRM)"].passed


@pytest.mark.parametrize(
    ("effect", "checks", "call"),
    [
        (GOAL, [PASSED], "ship"),
        (replace(GOAL, lift=-0.1, lift_ci=(-0.18, -0.02)), [PASSED], "keep control"),
        (replace(GOAL, lift_ci=(-0.02, 0.2)), [PASSED], "inconclusive"),
        (GOAL, [replace(PASSED, passed=False)], "invalid"),
        (replace(GOAL, lift=math.nan, lift_ci=(math.nan, math.nan), reason="no clicks"), [PASSED], "inconclusive"),
    ],
)
def test_the_verdict_follows_its_rule(effect, checks, call):
    verdict = ab.decide([effect], checks)
    assert verdict.call == call
    assert "nan" not in verdict.sentence


def test_an_invalid_test_names_no_winner():
    verdict = ab.decide([GOAL], [replace(PASSED, passed=False, detail="1 to 9")])
    text = " ".join([verdict.sentence, *verdict.reasons])
    assert "treatment" not in text
    assert "10" not in text


def test_of_several_treatments_the_best_one_that_is_clear_is_shipped():
    weak = replace(GOAL, comparison="treatment_1 vs control", lift=0.12, lift_ci=(-0.01, 0.26))
    strong = replace(GOAL, comparison="treatment_2 vs control", lift=0.1)
    verdict = ab.decide([weak, strong], [PASSED])
    assert verdict.call == "ship"
    assert "treatment_2" in verdict.sentence
