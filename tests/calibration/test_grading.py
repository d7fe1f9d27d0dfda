"""The short form of the grading: the analysis keeps its promises on simulated tests, the usual ways do not."""

import numpy as np
import pytest
from scipy import stats

from recab_helpers.analysis.bayes import PRIOR_SD
from recab_helpers.calibration.grading import Population, chance_calibration, draw_tests, grade, rates

N = 800


def share(graded, method: str) -> tuple[int, int]:
    table = rates(graded).loc[method]
    return round(table["rate"] * table["tests"]), int(table["tests"])


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
    assert stats.binomtest(*share(null, f"rejects: {method}"), 0.05).pvalue > 1e-3


def test_the_usual_ways_raise_many_false_alarms(null):
    for method, floor in (("total clicks", 0.3), ("impressions z", 0.15)):
        rejected, n = share(null, f"rejects: usual way, {method}")
        assert rejected / n > floor
    stopped, n = share(null, "stops: usual way, unadjusted daily looks")
    assert stopped / n > 0.08


@pytest.mark.parametrize(
    "band", ["planned looks (O'Brien-Fleming)", "planned looks (Pocock)", "any look (confidence sequence)"]
)
def test_daily_looks_keep_the_error(null, band):
    assert stats.binomtest(*share(null, f"stops: {band}"), 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("method", ["CTR, CUPED", "CTR"])
def test_intervals_cover_the_true_lift(lifted, method):
    assert stats.binomtest(*share(lifted, f"covers: {method}"), 0.95).pvalue > 1e-3


def test_cuped_and_the_user_as_unit_find_more(lifted):
    found = rates(lifted)["rate"]
    assert found["rejects: CTR, CUPED"] > found["rejects: CTR"] + 0.01
    assert found["rejects: CTR"] > found["rejects: clicks per user, Welch"] + 0.05


def test_a_treatment_at_the_margin_passes_as_rarely_as_alpha_says():
    graded = grade(Population(n_users=1500, lift=-0.05), N, seed=13, boot=False, workers=1)
    assert stats.binomtest(*share(graded, "rejects: guardrail, non-inferiority"), 0.05).pvalue > 1e-3


def test_the_chance_to_be_better_means_what_it_says():
    table = chance_calibration(grade(Population(n_users=1500, lift_sd=PRIOR_SD), N, seed=14, boot=False, workers=1))
    off = (table["true"] - table["stated"]) / np.sqrt(table["stated"] * (1 - table["stated"]) / table["tests"])
    assert stats.chi2.sf(np.sum(off**2), len(table)) > 1e-3


def test_the_number_of_processes_does_not_change_the_grades():
    one, two = (grade(Population(n_users=200), 120, seed=3, boot=False, workers=w) for w in (1, 2))
    assert one.equals(two)


def test_drawn_users_have_the_stated_rates():
    population = Population(n_users=4000, ctr=0.05, lift=0.2, lift_sd=0.0, allocation=0.3)
    draws = list(draw_tests(population, 40, 5))
    ctr = {v: [] for v in ("control", "treatment")}
    for lift, users, _ in draws:
        assert lift == 0.2
        by = users.groupby("variant", observed=True)[["clicks", "impressions"]].sum()
        for v in ctr:
            ctr[v].append(by.loc[v, "clicks"] / by.loc[v, "impressions"])
    assert np.mean(ctr["control"]) == pytest.approx(0.05, rel=0.03)
    assert np.mean(ctr["treatment"]) / np.mean(ctr["control"]) == pytest.approx(1.2, rel=0.03)
    shares = [(u["variant"] == "treatment").mean() for _, u, _ in draws]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.01)


@pytest.mark.slow
def test_full_calibration():
    """4,000 tests: every p-value rejects .04 to .06, intervals cover .94 to .96, daily looks err at most .055."""
    null = rates(grade(Population(), 4000, seed=29))["rate"]
    for method in ("CTR, CUPED", "CTR", "clicks per user, CUPED", "clicks per user, Welch", "clicks, Mann-Whitney"):
        assert 0.04 <= null[f"rejects: {method}"] <= 0.06, method
    assert null[null.index.str.startswith("stops: ") & ~null.index.str.contains("usual")].max() <= 0.055
    for population in (Population(lift=0.1), Population(lift=0.1, n_users=8000, ctr=0.003)):
        covered = rates(grade(population, 4000, seed=30, boot=False))["rate"]
        for method in ("CTR, CUPED", "CTR"):
            assert 0.94 <= covered[f"covers: {method}"] <= 0.96, (population, method)
