"""The short form of the grading: the analysis keeps its promises on drawn tests, the usual ways do not."""

import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from scipy import stats

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.looks import could_have_stopped, cumulative_effects
from recab_helpers.analysis.metrics import CTR
from recab_helpers.analysis.progress import progress_of
from recab_helpers.analysis.sequential import first_crossing
from recab_helpers.assumptions import PRIOR_SD
from recab_helpers.calibration.grading import (
    RATES_COLUMNS,
    TYPED,
    Grade,
    chance_calibration,
    grade,
    grade_looks,
    grade_one,
    grading_pool,
    rates,
)
from recab_helpers.calibration.populations import Population, draw_tests
from recab_helpers.impressions.aggregates import Running
from recab_helpers.paths import ROOT
from recab_helpers.references import Comparison

N = 800
OURS = ["CTR, CUPED", "CTR", "clicks per user, CUPED", "clicks per user, Welch", "clicks, Mann-Whitney"]
BANDS = ["planned looks (O'Brien-Fleming)", "planned looks (Pocock)", "any look (confidence sequence)", TYPED]


def rate(graded: pd.DataFrame, kind: str, method: str) -> float:
    return rates(graded).set_index(["kind", "method"])["rate"][kind, method]


def share(graded: pd.DataFrame, kind: str, method: str) -> tuple[int, int]:
    row = rates(graded).set_index(["kind", "method"]).loc[(kind, method)]
    return round(row["rate"] * row["tests"]), int(row["tests"])


@pytest.fixture(scope="module")
def null():
    return grade(Population(n_users=1500), N, seed=11, whole=False, workers=1)


@pytest.fixture(scope="module")
def lifted():
    return grade(Population(n_users=1500, lift=0.1), N, seed=12, boot=False, whole=False, workers=1)


@pytest.mark.parametrize("method", OURS)
def test_a_a_tests_reject_as_often_as_alpha_says(null, method):
    assert stats.binomtest(*share(null, "rejects", method), 0.05).pvalue > 1e-3


def test_the_usual_ways_raise_many_false_alarms(null):
    for method, floor in (("total clicks", 0.3), ("impressions z", 0.15)):
        assert rate(null, "rejects", f"usual way, {method}") > floor
    assert rate(null, "stops", "usual way, unadjusted daily looks") > 0.08


@pytest.mark.parametrize("band", BANDS)
def test_daily_looks_keep_the_error(null, band):
    assert stats.binomtest(*share(null, "stops", band), 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("method", ["CTR, CUPED", "CTR"])
def test_intervals_cover_the_true_lift(lifted, method):
    assert stats.binomtest(*share(lifted, "covers", method), 0.95).pvalue > 1e-3


def test_cuped_and_the_user_as_unit_find_more(lifted):
    assert rate(lifted, "rejects", "CTR, CUPED") > rate(lifted, "rejects", "CTR") + 0.01
    assert rate(lifted, "rejects", "CTR") > rate(lifted, "rejects", "clicks per user, Welch") + 0.05


def test_a_treatment_at_the_margin_passes_as_rarely_as_alpha_says():
    graded = grade(Population(n_users=1500, lift=-0.05), N, seed=13, boot=False, whole=False, workers=1)
    assert stats.binomtest(*share(graded, "passes", "guardrail, non-inferiority"), 0.05).pvalue > 1e-3


def test_the_chance_to_be_better_means_what_it_says():
    table = chance_calibration(
        grade(Population(n_users=1500, lift_sd=PRIOR_SD), N, seed=14, boot=False, whole=False, workers=1)
    )
    off = (table["true"] - table["stated"]) / np.sqrt(table["stated"] * (1 - table["stated"]) / table["tests"])
    assert stats.chi2.sf(np.sum(off**2), len(table)) > 1e-3


def test_the_number_of_processes_does_not_change_the_grades():
    one, two = (grade(Population(n_users=200), 120, seed=3, boot=False, workers=w) for w in (1, 2))
    assert one.equals(two)
    with grading_pool(1) as pool:
        again = grade(Population(n_users=200), 120, seed=3, boot=False, pool=pool)
    assert one.equals(again)
    assert one["test"].nunique() == 120


# What is graded is what is shown


def shown(running: Running, alpha: float) -> dict[str, float]:
    """Whether each band of the page leaves out zero at a look."""
    spent, pocock = (cumulative_effects(running, (CTR,), alpha=alpha, shape=s) for s in ("obrien_fleming", "pocock"))

    def crossed(looks: pd.DataFrame, low: str, high: str) -> float:
        return float(first_crossing(looks[low].to_numpy(dtype=float), looks[high].to_numpy(dtype=float)) is not None)

    evenings = progress_of(running, planned_days=len(running), shape="obrien_fleming")
    typed = cumulative_effects(running, (CTR,), alpha=alpha, progress=evenings)
    planned = could_have_stopped(spent, "ctr").get(Comparison("treatment"))
    assert crossed(spent, "low", "high") == (planned is not None)
    return {
        BANDS[0]: crossed(spent, "low", "high"),
        BANDS[1]: crossed(pocock, "low", "high"),
        BANDS[2]: crossed(spent, "anytime_low", "anytime_high"),
        TYPED: crossed(typed, "low", "high"),
        "usual way, unadjusted daily looks": crossed(spent, "naive_low", "naive_high"),
    }


@pytest.mark.parametrize(
    ("population", "alpha"),
    [
        (Population(n_users=400, n_days=5, ctr=0.1, lift=0.4), 0.05),
        (Population(n_users=400, n_days=5, ctr=0.1), 0.3),
        (
            Population(n_users=30, n_days=1, ctr=0.2, lift=1.0),
            0.05,
        ),  # normal bands are narrower than Student's interval
        (Population(n_users=12, n_days=2, ctr=0.2, lift=1.0), 0.2),
    ],
    ids=["a lift", "none", "one day, few users", "two days, few users"],
)
def test_the_looks_that_are_graded_are_the_looks_that_are_shown(population, alpha):
    stopped = []
    for _, test in draw_tests(population, 30, 21):
        expected = shown(test.running, alpha)
        graded = grade_looks(test.running, alpha=alpha)
        if cumulative_effects(test.running, (CTR,)).empty:
            assert graded == []
            continue
        assert {g.method: g.value for g in graded} == expected
        assert {g.kind for g in graded} == {"stops"}
        stopped.append(expected[BANDS[0]])
    assert 0 < np.mean(stopped) < 1


def test_an_evening_s_band_is_the_interval_of_that_evening_s_report():
    """The reports of a running test, typed every evening, stop where the graded bands do."""
    ((_, test),) = draw_tests(Population(n_users=60, n_days=6, ctr=0.2, lift=0.5), 1, 4)
    evenings = progress_of(test.running, planned_days=6, shape="obrien_fleming")
    looks = cumulative_effects(test.running, (CTR,), progress=evenings).set_index("day")
    for day in (2, 4, 5):
        progress = replace(evenings, days=day + 1, reached=evenings.reached[: day + 1])
        to_date = replace(test.users, statistics=test.running.at(day), capped={}, caps={})
        [effect] = estimate_effects(to_date, (CTR,), progress=progress)
        assert effect.method == "delta method, CUPED"
        assert looks.loc[day, ["low", "high"]].tolist() == pytest.approx(effect.lift_ci, rel=1e-6)


def test_a_treatment_that_drives_keen_users_away_does_not_ship():
    graded = grade(Population(n_users=1500, lift=0.085, away=0.25), 100, seed=5, boot=False, workers=1)
    found, n = share(graded, "ships", "verdict")
    assert stats.binomtest(found, n, 0.02, alternative="greater").pvalue > 1e-3
    assert rate(graded, "rejects", "CTR, CUPED") > 0.4  # by CTR alone it would


def test_bots_fool_neither_the_verdict_nor_the_gates_nor_the_bands():
    graded = grade(Population(n_users=1500, bots=6), 100, seed=6, boot=False, workers=1)
    for kind, method, most in (("ships", "verdict", 0.025), ("voids", "any gate", 0.005), ("stops", TYPED, 0.055)):
        assert stats.binomtest(*share(graded, kind, method), most, alternative="greater").pvalue > 1e-3, method
    lifted = [
        rate(
            grade(Population(n_users=1500, lift=0.12, bots=b), 150, boot=False, whole=False, workers=1), "rejects", ours
        )
        for b, ours in ((0, "CTR, CUPED"), (6, "CTR, CUPED"))
    ]
    assert lifted[1] > 0.85 * lifted[0]


def test_a_grade_is_what_the_analysis_says_of_the_test():
    population = Population(n_users=300, lift=0.3)
    for lift, test in draw_tests(population, 20, 22):
        grades = {
            (g.kind, g.method): g.value for g in grade_one(lift, test, planned=population.planned, alpha=0.1, boot=True)
        }
        [effect] = estimate_effects(test.users, (CTR,), alpha=0.1)
        assert grades["rejects", "CTR, CUPED"] == (effect.p_value < 0.1)
        assert grades["covers", "CTR, CUPED"] == (effect.lift_ci[0] <= lift <= effect.lift_ci[1])
        assert grades["truth", "lift"] == lift
        assert ("rejects", "CTR, bootstrap") in grades
        assert ("covers", "CTR, post-stratified by activity") in grades
        assert ("covers", "clicks, Mann-Whitney") not in grades


def test_what_is_undefined_is_no_grade():
    population = Population(n_users=60, ctr=1e-7)
    ((lift, test),) = draw_tests(population, 1, 23)
    grades = grade_one(lift, test, planned=population.planned, alpha=0.05, boot=False)
    undefined = {g.method for g in grades if math.isnan(g.value)}
    assert {"CTR, CUPED", "usual way, total clicks", "clicks, Mann-Whitney"} <= undefined
    assert grade_looks(test.running, alpha=0.05) == []


# Tables


def test_rates_count_the_tests_in_which_a_method_was_defined():
    rows = [(i, "rejects", "a", v) for i, v in enumerate([1.0, 0.0, 0.0, math.nan])]
    rows += [(0, "chance", "to be better", 0.7), (0, "truth", "lift", 0.1), (1, "covers", "a", 1.0)]
    table = rates(pd.DataFrame(rows, columns=["test", "kind", "method", "value"]))
    assert list(table) == list(RATES_COLUMNS)
    assert all(RATES_COLUMNS.values())
    assert table[["kind", "method", "rate", "tests"]].to_numpy().tolist() == [
        ["rejects", "a", pytest.approx(1 / 3), 3],
        ["covers", "a", 1.0, 1],
    ]
    assert table["error"].iloc[0] == pytest.approx(2 * math.sqrt(2 / 9 / 3))


def test_chances_are_held_against_the_truth_of_the_same_test():
    chances, lifts = [0.05, 0.15, 0.95, 0.9], [-0.1, 0.1, 0.2, 0.3]
    rows = [
        (i, *g) for i, c in enumerate(chances) for g in (("chance", "to be better", c), ("truth", "lift", lifts[i]))
    ]
    table = chance_calibration(pd.DataFrame(rows, columns=["test", "kind", "method", "value"]))
    assert table[["stated", "true", "tests"]].to_numpy().tolist() == [[0.1, 0.5, 2], [0.925, 1.0, 2]]


def test_a_grade_names_its_kind_and_its_method():
    assert Grade("rejects", "CTR", 1.0).method == "CTR"
    graded = grade(Population(n_users=50), 2, boot=False, workers=1)
    assert set(graded["kind"]) == {"rejects", "passes", "covers", "chance", "truth", "stops", "voids", "ships"}
    part = grade(Population(n_users=50), 2, boot=False, whole=False, workers=1)
    assert not set(part["kind"]) & {"voids", "ships"}
    assert not part["method"].str.startswith("check, ").any()
    assert list(graded) == ["test", "kind", "method", "value"]


@pytest.mark.slow
def test_full_calibration():
    """4,000 tests: every p-value rejects .04 to .06, intervals cover .94 to .96, daily looks err at most .055."""
    null = rates(grade(Population(), 4000, seed=29)).set_index(["kind", "method"])["rate"]
    for method in OURS:
        assert 0.04 <= null["rejects", method] <= 0.06, method
    assert null["stops"][BANDS].max() <= 0.055
    for population in (Population(lift=0.1), Population(lift=0.1, n_users=8000, ctr=0.003)):
        graded = grade(population, 4000, seed=30, boot=False)
        for method in ("CTR, CUPED", "CTR"):
            assert 0.94 <= rate(graded, "covers", method) <= 0.96, (population, method)


@pytest.mark.slow
def test_a_grading_that_is_killed_leaves_no_process():
    code = "from recab_helpers.calibration import *\nif __name__ == '__main__': grade(Population(), 100_000)"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.py").write_text(code)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen([sys.executable, f"{folder}/run.py"], env=environment, stderr=subprocess.DEVNULL)
        ours = psutil.Process(process.pid)
        for _ in range(300):
            if len(workers := [c for c in ours.children() if "spawn_main" in " ".join(c.cmdline())]) == 2:
                break
            time.sleep(0.1)
        time.sleep(3)
        process.kill()
        process.wait()
        assert len(workers) == 2
        left = psutil.wait_procs(workers, timeout=10)[1]
        assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]  # where nobody asks for their end
