"""Looks are found all at once, and are what `estimate` says of the data of each day."""

from dataclasses import replace

import numpy as np
import pytest

from recab_helpers.analysis.estimating import estimate
from recab_helpers.analysis.metrics import CTR, mean_of
from recab_helpers.analysis.stacked import log_ratios
from recab_helpers.impressions.aggregates import Running
from recab_helpers.impressions.statistics import KNOWN

NAMES = ("control", "treatment")


def drawn(rng: np.random.Generator, n_users: int, n_days: int, *, known: bool) -> Running:
    """A test whose first days are thin: users without clicks, days without users, and a few heavy users."""
    shown = rng.poisson(rng.pareto(1.5, n_users)[:, None], (n_users, n_days)) * (np.arange(n_days) > 0)
    daily = np.stack([rng.binomial(shown, 0.2), shown], axis=-1)
    before = {
        "pre_age": rng.normal(40, 9, n_users) + shown.sum(axis=1),
        "pre_clicks": rng.poisson(1.0, n_users) * 1.0,
        "pre_impressions": rng.poisson(9.0, n_users) * 1.0,
        KNOWN: (rng.random(n_users) < 0.7) * 1.0,
    }
    code = np.arange(n_users) % 2
    return Running.of(
        code, daily, ("clicks", "impressions"), NAMES, seen="impressions", known=before if known else None
    )


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("n_users", [6, 30, 400])
@pytest.mark.parametrize(
    "metric",
    [
        CTR,
        mean_of("clicks", role="goal"),
        replace(CTR, further=("pre_age", "pre_clicks")),
        mean_of("clicks", role="goal", covariate=(), further=("pre_age",)),
    ],
    ids=["ratio", "mean", "ratio with more covariates", "mean with another covariate"],
)
def test_every_look_is_what_the_estimate_of_its_data_says(rng, metric, n_users, known):
    running = drawn(rng, n_users, 8, known=known)
    log_ratio, log_se, freedom = log_ratios(metric, *(running.stacked(v) for v in NAMES))
    defined = 0
    for day in range(8):
        of = running.at(day)
        effect = estimate(metric, of["control"], of["treatment"])
        assert (log_se[day] > 0) == (effect.log_se > 0), day
        if effect.log_se > 0:
            found = np.expm1(log_ratio[day]), log_se[day], freedom[day]
            assert found == pytest.approx((effect.lift, effect.log_se, effect.log_freedom), rel=1e-9, abs=1e-9)
            defined += 1
    assert defined


def test_looks_of_few_users_against_many_have_one_variance_too(rng):
    """A mean of 20 users against 600, whose variance would be small whenever the mean is."""
    shown = rng.poisson(rng.gamma(0.7, 8, 620)[:, None], (620, 4))
    daily = np.stack([rng.binomial(shown, 0.2), shown], axis=-1)
    running = Running.of((np.arange(620) < 20) * 1, daily, ("clicks", "impressions"), NAMES, seen="impressions")
    metric = mean_of("clicks", role="goal")
    log_ratio, log_se, freedom = log_ratios(metric, *(running.stacked(v) for v in NAMES))
    for day in range(4):
        effect = estimate(metric, *running.at(day).values())
        assert effect.method == "Student, one common variance"
        found = np.expm1(log_ratio[day]), log_se[day], freedom[day]
        assert found == pytest.approx((effect.lift, effect.log_se, effect.log_freedom), rel=1e-9)
