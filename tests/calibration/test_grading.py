"""The short form of the grading: the analysis keeps its promises on simulated tests, the usual ways do not."""

import numpy as np
import pytest
from scipy import stats

from recab_helpers.analysis import CTR, cumulative_effects
from recab_helpers.analysis.sequential import first_crossing
from recab_helpers.assumptions import PRIOR_SD
from recab_helpers.calibration.grading import RATES_COLUMNS, chance_calibration, grade, grade_looks, rates
from recab_helpers.calibration.populations import Population, draw_tests

N = 800


def share(graded, kind: str, method: str) -> tuple[int, int]:
    row = rates(graded).set_index(["kind", "method"]).loc[(kind, method)]
    return round(row["rate"] * row["tests"]), int(row["tests"])


@pytest.fixture(scope="module")
def null():
    return grade(Population(n_users=1500), N, seed=11, workers=1)


@pytest.fixture(scope="module")
def lifted():
    return grade(Population(n_users=1500, lift=0.1), N, seed=12, boot=False, workers=1)


@pytest.mark.parametrize(
    "method", ["CTR, CUPED", "CTR", "clicks per user, CUPED", "clicks per user, Welch", "clicks, Mann-Whitney"]
)
def test_a_a_tests_reject_as_often_as_alpha_says(null, method):
    assert stats.binomtest(*share(null, "rejects", method), 0.05).pvalue > 1e-3


def test_the_usual_ways_raise_many_false_alarms(null):
    for method, floor in (("total clicks", 0.3), ("impressions z", 0.15)):
        rejected, n = share(null, "rejects", f"usual way, {method}")
        assert rejected / n > floor
    stopped, n = share(null, "stops", "usual way, unadjusted daily looks")
    assert stopped / n > 0.08


@pytest.mark.parametrize(
    "band", ["planned looks (O'Brien-Fleming)", "planned looks (Pocock)", "any look (confidence sequence)"]
)
def test_daily_looks_keep_the_error(null, band):
    assert stats.binomtest(*share(null, "stops", band), 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("method", ["CTR, CUPED", "CTR"])
def test_intervals_cover_the_true_lift(lifted, method):
    assert stats.binomtest(*share(lifted, "covers", method), 0.95).pvalue > 1e-3


def test_cuped_and_the_user_as_unit_find_more(lifted):
    found = rates(lifted).set_index(["kind", "method"])["rate"]["rejects"]
    assert found["CTR, CUPED"] > found["CTR"] + 0.01
    assert found["CTR"] > found["clicks per user, Welch"] + 0.05


def test_a_treatment_at_the_margin_passes_as_rarely_as_alpha_says():
    graded = grade(Population(n_users=1500, lift=-0.05), N, seed=13, boot=False, workers=1)
    assert stats.binomtest(*share(graded, "passes", "guardrail, non-inferiority"), 0.05).pvalue > 1e-3


def test_the_chance_to_be_better_means_what_it_says():
    table = chance_calibration(grade(Population(n_users=1500, lift_sd=PRIOR_SD), N, seed=14, boot=False, workers=1))
    off = (table["true"] - table["stated"]) / np.sqrt(table["stated"] * (1 - table["stated"]) / table["tests"])
    assert stats.chi2.sf(np.sum(off**2), len(table)) > 1e-3


def test_the_number_of_processes_does_not_change_the_grades():
    one, two = (grade(Population(n_users=200), 120, seed=3, boot=False, workers=w) for w in (1, 2))
    assert one.equals(two)


def test_the_looks_that_are_graded_are_the_looks_that_are_shown():
    stopped = []
    for _, test in draw_tests(Population(n_users=800, lift=0.15), 40, 7):
        shown = cumulative_effects(test.running, (CTR,))
        graded = {g.method: g.value for g in grade_looks(test.running, alpha=0.05)}
        for method, which in (("planned looks (O'Brien-Fleming)", ""), ("any look (confidence sequence)", "anytime_")):
            low, high = (shown[f"{which}{end}"].to_numpy() for end in ("low", "high"))
            assert graded[method] == (first_crossing(low, high) is not None)
            stopped.append(graded[method])
    assert 0 < sum(stopped) < len(stopped)


def test_rates_are_shares_with_their_error_and_leave_out_what_was_not_defined(null):
    table = rates(null)
    assert list(table) == list(RATES_COLUMNS)
    row = table.iloc[0]
    mean = null[(null["kind"] == row["kind"]) & (null["method"] == row["method"])]["value"].mean()
    assert row["rate"] == pytest.approx(mean)
    assert row["error"] == pytest.approx(2 * np.sqrt(mean * (1 - mean) / row["tests"]))
    assert not {"chance", "truth"} & set(table["kind"])


@pytest.mark.slow
def test_full_calibration():
    """4,000 tests: every p-value rejects .04 to .06, intervals cover .94 to .96, daily looks err at most .055."""
    table = rates(grade(Population(), 4000, seed=29))
    null = table.set_index(["kind", "method"])["rate"]
    for method in ("CTR, CUPED", "CTR", "clicks per user, CUPED", "clicks per user, Welch", "clicks, Mann-Whitney"):
        assert 0.04 <= null["rejects", method] <= 0.06, method
    ours = table[(table["kind"] == "stops") & ~table["method"].str.contains("usual")]
    assert ours["rate"].max() <= 0.055
    for population in (Population(lift=0.1), Population(lift=0.1, n_users=8000, ctr=0.003)):
        covered = rates(grade(population, 4000, seed=30, boot=False)).set_index(["kind", "method"])["rate"]
        for method in ("CTR, CUPED", "CTR"):
            assert 0.94 <= covered["covers", method] <= 0.96, (population, method)
