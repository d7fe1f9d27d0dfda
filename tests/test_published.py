"""Every published fact is met by numpy, scipy or statsmodels alone: a number copied wrongly fails here."""

import math

import numpy as np
import pytest
import tea_tasting
from scipy import integrate, optimize, signal, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower, TTestIndPower

from tests import published

SIDES = ("control", "treatment")
BOTH = [getattr(published.USERS, side) for side in SIDES]
Z = stats.norm.isf(0.025)
Group = tuple[float, float, int]  # mean, variance and number of users


def dof(a: float, n: int, b: float, m: int) -> float:
    """Welch's degrees of freedom for squared errors a and b of the means of n and m."""
    return (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))


def welch(control: Group, treatment: Group) -> tuple[float, tuple[float, float], float]:
    """Difference of two means, its 95% interval and p."""
    (a, va, n), (b, vb, m) = control, treatment
    p = stats.ttest_ind_from_stats(b, math.sqrt(vb), m, a, math.sqrt(va), n, equal_var=False).pvalue
    half = stats.t.isf(0.025, dof(va / n, n, vb / m, m)) * math.sqrt(va / n + vb / m)
    return b - a, (b - a - half, b - a + half), p


def lift_ci(control: Group, treatment: Group) -> tuple[float, float]:
    """95% interval of a ratio of two means, less 1, on the log scale."""
    (a, va, n), (b, vb, m) = control, treatment
    parts = va / n / a**2, vb / m / b**2
    half = stats.t.isf(0.025, dof(parts[0], n, parts[1], m)) * math.sqrt(sum(parts))
    return b / a * math.exp(-half) - 1, b / a * math.exp(half) - 1


def together(one: published.Moments, two: published.Moments) -> published.Moments:
    """Users of both variants as one group."""
    n, apart = one.n + two.n, two.mean - one.mean
    squares = (one.n - 1) * one.cov + (two.n - 1) * two.cov + one.n * two.n / n * np.outer(apart, apart)
    return published.Moments(n=n, mean=(one.n * one.mean + two.n * two.mean) / n, cov=squares / (n - 1))


def value_and_weights(users: published.Moments, name: str, suffix: str = "") -> tuple[float, np.ndarray]:
    """A mean or orders per session, and the weights of the columns that linearize it at its means (delta method)."""
    weights = np.zeros(len(users.mean))
    column = published.USERS.columns.index
    if name != "orders_per_session":
        weights[column(name + suffix)] = 1
        return float(weights @ users.mean), weights
    orders, sessions = (users.mean[column(c + suffix)] for c in ("orders", "sessions"))
    weights[column("orders" + suffix)], weights[column("sessions" + suffix)] = 1 / sessions, -orders / sessions**2
    return float(orders / sessions), weights


def plain(users: published.Moments, name: str) -> Group:
    value, w = value_and_weights(users, name)
    return value, float(w @ users.cov @ w), users.n


# Means and ratios


def test_the_published_users_are_those_that_tea_tasting_makes():
    made = tea_tasting.make_users_data(rng=42, covariates=True, return_type="pandas")
    for variant, side in enumerate(SIDES):
        rows = made.loc[made["variant"] == variant, list(published.USERS.columns)].to_numpy(float)
        users = getattr(published.USERS, side)
        assert len(rows) == users.n
        assert rows.mean(axis=0) == pytest.approx(users.mean, rel=1e-11)
        assert np.cov(rows.T) == pytest.approx(users.cov, rel=1e-11)


def test_welch():
    groups = []
    for side in SIDES:
        n, total, squares = getattr(published.WELCH, side).values()
        groups.append((total / n, (squares - total**2 / n) / (n - 1), n))
    difference, ci, p = welch(*groups)
    assert (difference, ci, p) == (published.WELCH.difference, published.WELCH.difference_ci, published.WELCH.p_value)
    (a, va, n), (b, vb, m) = groups
    assert b / a - 1 == published.WELCH.lift
    assert math.sqrt(vb / m / a**2 + va / n * b**2 / a**4) == published.WELCH.lift_se


def test_mean_and_ratio():
    orders = [plain(users, "orders") for users in BOTH]
    difference, ci, p = welch(*orders)
    assert (difference, ci, p) == (published.MEAN.difference, published.MEAN.difference_ci, published.MEAN.p_value)
    assert orders[1][0] / orders[0][0] - 1 == published.MEAN.lift
    assert lift_ci(*orders) == published.MEAN.lift_ci
    (a, *_), (b, *_) = ratios = [plain(users, "orders_per_session") for users in BOTH]
    assert (a, b, b / a - 1) == (published.RATIO.control, published.RATIO.treatment, published.RATIO.lift)
    assert welch(*ratios)[2] == published.RATIO.p_value


@pytest.mark.parametrize("name", published.CUPED.p_value)
def test_cuped(name):
    """One theta from both variants together; both values move to the covariate's common mean."""
    whole = together(*BOTH)
    (_, w), (common, w_before) = (value_and_weights(whole, name, suffix) for suffix in ("", "_covariate"))
    theta = (w @ whole.cov @ w_before) / (w_before @ whole.cov @ w_before)
    adjusted = []
    for users in BOTH:
        (value, w), (before, w_before) = (value_and_weights(users, name, suffix) for suffix in ("", "_covariate"))
        w = w - theta * w_before
        adjusted.append((value - theta * (before - common), float(w @ users.cov @ w), users.n))
    assert welch(*adjusted)[2] == published.CUPED.p_value[name]
    assert lift_ci(*adjusted) == published.CUPED.lift_ci[name]


def test_cookie_cats():
    groups = []
    for side in SIDES:
        n, retained = getattr(published.COOKIE_CATS, side).values()
        share = retained / n
        groups.append((share, share * (1 - share) * n / (n - 1), n))
    facts = published.COOKIE_CATS
    assert welch(*groups) == (facts.difference, facts.difference_ci, facts.p_value)
    assert stats.chisquare([n for *_, n in groups]).pvalue == facts.srm_p_value


# Sample ratio and several metrics


@pytest.mark.parametrize("source", published.SRM)
def test_sample_ratio(source):
    counts, p = published.SRM[source]
    assert stats.chisquare(counts).pvalue == p


def test_sample_ratio_with_yates():
    a, b = published.SRM_YATES.counts
    assert stats.chi2.sf((abs(a - b) - 1) ** 2 / (a + b), 1) == published.SRM_YATES.p_value


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("nothing adjusted", None),
        ("Benjamini-Hochberg", "fdr_bh"),
        ("Bonferroni", "bonferroni"),
        ("Hochberg", "simes-hochberg"),
    ],
)
def test_rejections_of_benjamini_and_hochberg(name, method):
    p = np.array(published.BENJAMINI_HOCHBERG_1995.p_values)
    adjusted = p if method is None else multipletests(p, method=method)[1]
    assert (adjusted <= 0.05).sum() == published.BENJAMINI_HOCHBERG_1995.rejected_by[name]


def test_adjusted_p_values():
    p = published.ADJUSTED.p_values
    assert list(multipletests(p, method="holm")[1]) == published.ADJUSTED.holm
    assert list(stats.false_discovery_control(p)) == published.ADJUSTED.benjamini_hochberg


# Planning


def power_of_proportions(a: float, b: float, n: float) -> float:
    """Pooled under equality, each rate's own variance otherwise, the nearer tail."""
    pooled = (a + b) / 2
    own = math.sqrt(a * (1 - a) + b * (1 - b))
    return stats.norm.cdf((abs(b - a) * math.sqrt(n) - Z * math.sqrt(2 * pooled * (1 - pooled))) / own)


@pytest.mark.parametrize(("name", "variants"), [("two_proportions", 1), ("proportion_total", 2)])
def test_users_for_two_proportions(name, variants):
    case = getattr(published.PLANNING, name)
    users = optimize.brentq(lambda n: power_of_proportions(*case.rates, n) - case.power, 2, 1e7, xtol=1e-9)
    assert users * variants == case.users


def test_power_of_two_proportions():
    case = published.PLANNING.power
    assert power_of_proportions(*case.rates, case.users) == case.power


def test_users_for_a_mean():
    case = published.PLANNING.mean_total
    effect = case.difference / math.sqrt(case.variance)
    for test in (TTestIndPower(), NormalIndPower()):
        assert 2 * math.ceil(test.solve_power(effect, alpha=0.05, power=case.power)) == case.users


def test_users_for_noninferiority():
    case = published.PLANNING.noninferiority
    a, b = case.rates
    z = stats.norm.isf(0.05) + stats.norm.ppf(case.power)
    assert math.ceil(z**2 * (a * (1 - a) + b * (1 - b)) / (b - a + case.margin) ** 2) == case.users


# Looks before the end


def chance_to_cross(boundaries: np.ndarray) -> float:
    """Chance that Brownian motion, seen at equally spaced looks, is beyond +-boundary (in z) at any of them."""
    looks = np.arange(1, len(boundaries) + 1)
    if len(looks) == 1:
        return 2 * stats.norm.sf(boundaries[0])
    cov = np.sqrt(np.minimum.outer(looks, looks) / np.maximum.outer(looks, looks))
    normal = stats.multivariate_normal(cov=cov, abseps=1e-5, releps=1e-5, maxpts=2_000_000, seed=1)
    return 1 - normal.cdf(boundaries, lower_limit=-boundaries)


def obrien_fleming(t: np.ndarray) -> np.ndarray:
    return 4 * stats.norm.sf(stats.norm.isf(0.0125) / np.sqrt(t))


def pocock(t: np.ndarray) -> np.ndarray:
    return 0.05 * np.log(1 + (math.e - 1) * t)


@pytest.mark.parametrize(
    ("spending", "boundaries"),
    [
        *((obrien_fleming, b) for b in published.OBRIEN_FLEMING_SPENDING.boundaries),
        *((pocock, b) for b in published.POCOCK_SPENDING.boundaries),
    ],
)
def test_boundaries_spend_what_their_shape_says(spending, boundaries):
    b = np.array([x.expected for x in boundaries])
    spent = [chance_to_cross(b[:k]) for k in range(1, len(b) + 1)]
    within = 2 * stats.norm.pdf(b).max() * boundaries[0].abs * len(b)  # what half a digit of each boundary is worth
    assert spent == pytest.approx(list(spending(np.arange(1, len(b) + 1) / len(b))), abs=within + 1e-5)


def test_classical_boundaries_err_five_percent():
    root = np.sqrt(5 / np.arange(1, 6))
    for constant, shape in ((published.CLASSICAL.pocock, np.ones(5)), (published.CLASSICAL.obrien_fleming, root)):
        assert chance_to_cross(constant.expected * shape) == pytest.approx(0.05, abs=2e-4)


@pytest.mark.parametrize(
    ("looks", "rejects"), list(zip(published.PEEKING.looks, published.PEEKING.rejects, strict=True))
)
def test_peeking(looks, rejects):
    """On a grid: the density of the sum that no look has rejected yet, convolved with a step at a time."""
    step = 0.02
    grid = np.arange(-Z * math.sqrt(looks), Z * math.sqrt(looks) + step, step)
    kernel = stats.norm.pdf(np.arange(-8, 8 + step, step)) * step
    density = stats.norm.pdf(grid)
    for k in range(1, looks + 1):
        if k > 1:
            density = signal.fftconvolve(density, kernel, mode="same")
        density = np.where(np.abs(grid) <= Z * math.sqrt(k), density, 0)
    assert 1 - density.sum() * step == rejects


# Bayesian readings


def test_beta_binomial():
    case = published.BETA_BINOMIAL
    control, treatment = (stats.beta(k + 0.5, n - k + 0.5) for k, n in (case.control, case.treatment))
    for chance, expected in (
        (lambda x: control.pdf(x) * treatment.sf(x), case.chance_to_be_better),
        (lambda x: control.sf(x) * treatment.cdf(x), case.loss_of_treatment),
        (lambda x: treatment.sf(x) * control.cdf(x), case.loss_of_control),
    ):
        assert integrate.quad(chance, 0, 1, points=[0.4, 0.5], limit=200)[0] == expected


def test_normal_lift():
    case = published.NORMAL_LIFT
    (a, n), (b, m) = ((k / n, n) for k, n in (case.control, case.treatment))
    lift = stats.norm(b / a - 1, math.sqrt(b * (1 - b) / m / a**2 + b**2 * a * (1 - a) / n / a**4))
    assert lift.sf(0) == case.chance_to_be_better
    assert lift.interval(0.95) == case.lift_ci
    assert integrate.quad(lift.cdf, -2, 0)[0] == case.loss_of_treatment
    assert integrate.quad(lift.sf, 0, 2)[0] == case.loss_of_control
