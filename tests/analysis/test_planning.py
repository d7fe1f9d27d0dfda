"""Plans against published sample sizes, another library, simulation and the analysis that follows them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import NormalIndPower

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CTR, mean_of
from recab_helpers.analysis.planning import (
    Baseline,
    Design,
    detectable,
    mde_table,
    plan_table,
    power_curve,
    power_of,
    users_per_variant,
)
from recab_helpers.impressions.aggregates import Users
from recab_helpers.impressions.statistics import SufficientStatistics
from tests.published import PLANNING

BASELINE = Baseline(value=0.05, variance=0.004, reduction=0.3, label="CTR")
variances = st.floats(1e-3, 1e3)
designs = st.fixed_dictionaries(
    {
        "control_variance": variances,
        "treatment_variance": variances,
        "alpha": st.floats(1e-4, 0.2),
        "ratio": st.floats(0.1, 10),
    }
)


def statistics_of(**columns) -> SufficientStatistics:
    """A pilot's users as one group, from one value per user."""
    values = np.column_stack([np.asarray(c, dtype=float) for c in columns.values()])
    return SufficientStatistics.of(values, tuple(columns))


def ctr_of(**columns) -> Baseline:
    """CTR's baseline from a pilot with these columns."""
    return Baseline.from_statistics(statistics_of(**columns), CTR)


def proportions(control: float, treatment: float) -> dict[str, float]:
    """The design of a test of two proportions, pooled under equality."""
    pooled = (control + treatment) / 2
    return {
        "difference": treatment - control,
        "control_variance": control * (1 - control),
        "treatment_variance": treatment * (1 - treatment),
        "null_variance": pooled * (1 - pooled),
    }


def heavy_tailed_users(rng: np.random.Generator, size, *, ctr: float, sessions: float, correlation: float, slate=10):
    """Impressions and clicks: gamma-Poisson sessions, at least one, and a beta click rate per user."""
    every = rng.poisson(rng.gamma(0.7, sessions / 0.7, 4 * np.prod(size)))
    impressions = slate * every[every > 0][: np.prod(size)].reshape(size)
    weight = 1 / correlation - 1
    return impressions, rng.binomial(impressions, rng.beta(ctr * weight, (1 - ctr) * weight, size))


def test_users_of_two_proportions_are_those_of_r():
    fact = PLANNING.two_proportions
    assert users_per_variant(**proportions(*fact.rates), power=fact.power) == fact.users


def test_totals_are_those_of_gpower():
    mean, proportion = PLANNING.mean_total, PLANNING.proportion_total
    users = users_per_variant(mean.difference, control_variance=mean.variance, power=mean.power)
    assert 2 * math.ceil(users) == mean.users
    users = users_per_variant(**proportions(*proportion.rates), power=proportion.power)
    assert 2 * math.ceil(users) == proportion.users


def test_power_of_two_proportions_is_that_of_stata():
    fact = PLANNING.power
    assert power_of(n=fact.users, **proportions(*fact.rates)) == fact.power


def test_noninferiority_takes_the_users_of_chow_shao_and_wang():
    fact = PLANNING.noninferiority
    control, treatment = fact.rates
    design = {"control_variance": control * (1 - control), "treatment_variance": treatment * (1 - treatment)}
    distance = treatment - control + fact.margin
    assert math.ceil(users_per_variant(distance, **design, power=fact.power, sides=1)) == fact.users


@given(effect=st.floats(0.01, 2), n=st.floats(5, 1e5), alpha=st.floats(1e-3, 0.2), ratio=st.floats(0.2, 5))
@settings(max_examples=50, deadline=None)
def test_power_is_that_of_statsmodels(effect, n, alpha, ratio):
    for sides, alternative in ((2, "two-sided"), (1, "larger")):
        theirs = NormalIndPower().power(effect, n, alpha, ratio=ratio, alternative=alternative)
        ours = power_of(3 * effect, n, control_variance=9, alpha=alpha, ratio=ratio, sides=sides)
        assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize(("alpha", "power", "ratio"), [(0.05, 0.8, 1), (0.01, 0.9, 0.25), (0.1, 0.95, 3)])
def test_users_are_those_of_statsmodels(alpha, power, ratio):
    design = {"alpha": alpha, "power": power, "ratio": ratio}
    theirs = NormalIndPower().solve_power(0.1, alternative="larger", **design)
    assert users_per_variant(0.2, control_variance=4, sides=1, **design) == pytest.approx(theirs, rel=1e-6)


@given(design=designs, difference=st.floats(1e-3, 1e3), power=st.floats(0.5, 0.999), sides=st.sampled_from([1, 2]))
@settings(max_examples=100, deadline=None)
def test_users_power_and_mde_are_inverses(design, difference, power, sides):
    design["alpha"] = alpha = min(design["alpha"], power / 2)
    n = users_per_variant(difference, power=power, sides=sides, **design)
    wrong_side = stats.norm.sf(2 * stats.norm.isf(alpha / 2)) if sides == 2 else 0
    assert power - 1e-9 <= power_of(difference, n, sides=sides, **design) <= power + wrong_side + 1e-9
    assert detectable(n, power, sides=sides, **design) == pytest.approx(difference)


@given(design=designs, difference=st.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_swapping_the_variants_keeps_users_and_power(design, difference):
    swapped = {
        "control_variance": design["treatment_variance"],
        "treatment_variance": design["control_variance"],
        "alpha": design["alpha"],
        "ratio": 1 / design["ratio"],
    }
    control, treatment = (users_per_variant(d, **x) for d, x in ((difference, design), (-difference, swapped)))
    assert control * design["ratio"] == pytest.approx(treatment)
    assert power_of(difference, control, **design) == pytest.approx(power_of(-difference, treatment, **swapped))


def test_power_is_the_share_of_simulated_tests_that_reject(rng):
    n, ratio, runs = 200, 0.5, 5000
    design = {"control_variance": 1.0, "treatment_variance": 2.25, "ratio": ratio}
    control = rng.gamma(4, 0.5, (runs, n))
    treatment = rng.gamma(4, 0.75, (runs, round(n * ratio))) - 1 + 0.4
    variance = control.var(axis=1, ddof=1) / n + treatment.var(axis=1, ddof=1) / (n * ratio)
    z = (treatment.mean(axis=1) - control.mean(axis=1)) / np.sqrt(variance)
    rejected = int((abs(z) > stats.norm.isf(0.025)).sum())
    assert abs(rejected / runs - power_of(0.4, n, **design)) < 0.025


def test_variance_from_rates_is_that_of_simulated_users(rng):
    impressions, clicks = heavy_tailed_users(rng, 400_000, ctr=0.08, sessions=3, correlation=0.1)
    sessions = impressions.mean() / 10
    baseline = Baseline.from_rates(0.08, slate_size=10, sessions_per_user=sessions, click_correlation=0.1)
    squares = ((clicks - 0.08 * impressions) / impressions.mean()) ** 2
    assert abs(squares.mean() - baseline.variance) < 4 * squares.std() / math.sqrt(len(squares))
    pilot = ctr_of(impressions=impressions, clicks=clicks)
    assert pilot.variance == pytest.approx(baseline.variance, rel=0.03)
    assert pilot.value == pytest.approx(0.08, rel=0.02)


def test_one_session_without_correlation_is_a_binomial():
    baseline = Baseline.from_rates(0.2, slate_size=5, sessions_per_user=1, click_correlation=0)
    assert baseline.variance == pytest.approx(0.2 * 0.8 / 5)


def test_a_planned_ctr_test_finds_its_lift_as_often_as_planned(rng):
    ctr, lift, correlation, runs = 0.1, 0.1, 0.05, 600
    sessions = 3 / (1 - stats.nbinom.pmf(0, 0.7, 0.7 / 3.7))
    baseline = Baseline.from_rates(ctr, slate_size=10, sessions_per_user=sessions, click_correlation=correlation)
    n = plan_table(baseline, [lift], Design(), users_per_day=100)["users"][0] // 2
    value, variance = [], []
    for rate in (ctr, ctr * (1 + lift)):
        shown, clicks = heavy_tailed_users(rng, (runs, n), ctr=rate, sessions=3, correlation=correlation)
        value.append(clicks.sum(axis=1) / shown.sum(axis=1))
        residual = (clicks - value[-1][:, None] * shown) / shown.mean(axis=1, keepdims=True)
        variance.append(residual.var(axis=1, ddof=1) / n)
    found = np.abs(value[1] - value[0]) > stats.norm.isf(0.025) * np.sqrt(variance[0] + variance[1])
    assert found.mean() == pytest.approx(0.8, abs=0.06)


def test_the_reduction_is_what_cuped_then_removes(rng):
    n = 20_000
    taste = rng.beta(1, 12, n)
    sessions, before = 1 + rng.poisson(rng.gamma(0.7, 5, (2, n)))
    counts = {"impressions": 10 * sessions, "clicks": rng.binomial(10 * sessions, taste)}
    counts |= {"pre_impressions": 10 * before, "pre_clicks": rng.binomial(10 * before, taste)}
    (effect,) = estimate_effects(Users.of(rng.choice(["control", "treatment"], n), counts), (CTR,))
    baseline = ctr_of(**counts)
    assert baseline.reduction > 0.1
    assert baseline.reduction == pytest.approx(effect.variance_reduction, abs=1e-3)
    without = {name: values for name, values in counts.items() if not name.startswith("pre_")}
    assert ctr_of(**without).reduction == 0


def test_a_mean_takes_its_sample_variance(rng):
    spend = rng.gamma(2, 3, 50)
    baseline = Baseline.from_statistics(statistics_of(spend=spend), mean_of("spend"))
    assert (baseline.value, baseline.variance) == pytest.approx((spend.mean(), spend.var(ddof=1)))


def test_cuped_takes_its_share_of_users_and_of_the_squared_mde():
    plan = plan_table(BASELINE, [0.02, -0.05], Design(allocation=0.2), users_per_day=700)
    np.testing.assert_allclose(plan["users_with_cuped"], 0.7 * plan["users"], atol=2)
    np.testing.assert_array_equal(plan["days"], np.ceil(plan["users"] / 700))
    mde = mde_table(BASELINE, [7, 28], Design(), users_per_day=700)
    np.testing.assert_allclose(mde["mde_with_cuped"], math.sqrt(0.7) * mde["mde"])
    assert mde["mde"][0] == pytest.approx(2 * mde["mde"][1])


def test_fewer_false_alarms_take_more_users_in_closed_form():
    usual, strict = (
        plan_table(BASELINE, [0.04], Design(alpha=alpha), users_per_day=9)["users"][0] for alpha in (0.05, 0.01)
    )
    z = stats.norm.isf
    assert strict / usual == pytest.approx(((z(0.005) + z(0.2)) / (z(0.025) + z(0.2))) ** 2, rel=1e-3)


@pytest.mark.parametrize("n_treatments", [1, 2, 5])
def test_treatments_share_users_and_alpha_as_the_analysis_does(n_treatments, rng):
    design = Design(allocation=0.6, n_treatments=n_treatments, alpha=0.1, power=0.9)
    users = plan_table(BASELINE, [0.04], design, users_per_day=100)["users"][0]
    control, treatment = 0.4 * users, 0.6 * users / n_treatments
    effect = BASELINE.value * 0.04 / math.sqrt(BASELINE.variance)
    theirs = NormalIndPower().power(effect, control, 0.1 / n_treatments, ratio=treatment / control)
    assert theirs == pytest.approx(0.9, abs=1e-3)
    assert power_curve(BASELINE, users, [0.04], design)["power"][0] == pytest.approx(theirs, abs=1e-6)
    names = ["control", *(f"treatment_{i}" for i in range(n_treatments))]
    drawn = Users.of(rng.choice(names, 500), {"clicks": rng.poisson(2, 500), "impressions": np.full(500, 10)})
    assert {e.alpha for e in estimate_effects(drawn, (CTR,), alpha=design.alpha)} == {design.level}


def test_plan_curve_and_mde_tell_the_same_story():
    design = Design(allocation=0.3, n_treatments=2)
    plan = plan_table(BASELINE, [0.04], design, users_per_day=100)
    curve = power_curve(BASELINE, plan["users"][0], [0, 0.04], design)
    assert curve["power"].tolist() == pytest.approx([0.025, 0.8], abs=1e-3)
    assert curve["power_with_cuped"][1] > curve["power"][1]
    days = plan["users"][0] / 100
    assert mde_table(BASELINE, [days], design, users_per_day=100)["mde"][0] == pytest.approx(0.04, rel=1e-3)


RATES = {"slate_size": 10, "sessions_per_user": 3, "click_correlation": 0.1}
SHOWN = {"impressions": [10, 20]}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plan_table(BASELINE, [0.0], Design(), users_per_day=10), "lift is 0.0; give .*0.05"),
        (lambda: plan_table(BASELINE, [-1], Design(), users_per_day=10), "lift is -1; give .* above -1"),
        (lambda: plan_table(BASELINE, [0.1], Design(), users_per_day=-5), "users_per_day is -5; give .* above 0"),
        (lambda: Design(alpha=1), "alpha is 1; give .* below 1"),
        (lambda: Design(power=0.4), "power is 0.4; give .* from 0.5"),
        (lambda: Design(allocation=1), "allocation is 1; give .* below 1"),
        (lambda: Design(n_treatments=0), "n_treatments is 0; give .* from 1"),
        (lambda: power_curve(BASELINE, 0, [0.1], Design()), "users is 0; give .* above 0"),
        (lambda: mde_table(BASELINE, [0], Design(), users_per_day=10), "days is 0; give .* above 0"),
        (lambda: users_per_variant(-1, control_variance=1, sides=1), "difference is -1; give .* above 0"),
        (lambda: users_per_variant(1, control_variance=1, sides=3), "sides is 3; give 2"),
        (lambda: users_per_variant(1, control_variance=1, ratio=-1), "ratio is -1; give .* above 0"),
        (lambda: power_of(math.nan, 5, control_variance=1), "difference is nan; give"),
        (lambda: detectable(5, control_variance=0), "control_variance is 0; give .* above 0"),
        (lambda: Baseline(value=1, variance=1, reduction=1), "reduction is 1; give .* below 1"),
        (lambda: Baseline(value=-1, variance=1), "metric without treatment is -1; give .* above 0"),
        (
            lambda: ctr_of(**SHOWN, clicks=[0, 0]),
            "CTR without treatment is 0.0; .*longer pilot",
        ),
        (lambda: ctr_of(impressions=[10], clicks=[0]), "1 user.*at least 2"),
        (
            lambda: ctr_of(**SHOWN, clicks=[1, 2]),
            "variance of CTR is 0.0; .*differ",
        ),
        (lambda: ctr_of(clicks=[0, 0]), "no column impressions.*Add"),
        (lambda: Baseline.from_rates(5, **RATES), "ctr is 5; give .* below 1"),
        (lambda: Baseline.from_rates(0.1, **RATES | {"slate_size": 0}), "slate_size is 0; give .* from 1"),
        (lambda: Baseline.from_rates(0.1, **RATES | {"sessions_per_user": 0.5}), "sessions_per_user is 0.5; give"),
        (lambda: Baseline.from_rates(0.1, **RATES | {"click_correlation": 1}), "click_correlation is 1; give"),
    ],
)
def test_bad_input_is_refused_with_value_limit_and_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()
