"""What many treatments and metrics ask of each effect of a test."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR, METRICS, mean_of
from recab_helpers.errors import ParameterError
from recab_helpers.impressions.aggregates import Users
from recab_helpers.references import Comparison
from tests.made import ctr_of, effects_of, log_like, reduced, users_like

GUARD = replace(CTR, name="guard", label="Guard", role="guardrail", margin=0.05)


def test_treatments_and_goals_share_alpha_treatments_that_of_guardrails_and_other_metrics_do_not(rng):
    users = users_like(rng, 900).assign(variant=np.resize(["control", "a", "new vs old"], 900))
    second = replace(CLICKS_PER_USER, role="goal")
    effects = effects_of(users, (CTR, second, mean_of("sessions"), GUARD), alpha=0.08)
    names = [(e.metric.name, e.comparison) for e in effects]
    every = (Comparison("a"), Comparison("new vs old"))
    assert names == [(m, c) for m in ("ctr", "clicks_per_user", "sessions", "guard") for c in every]
    assert [e.alpha for e in effects] == pytest.approx([0.08 / 4] * 4 + [0.08] * 2 + [0.04] * 2)
    alone = users.loc[users["variant"] != "a"].replace({"variant": {"new vs old": "treatment"}})
    assert effects[1].lift_ci == pytest.approx(ctr_of(alone, alpha=0.02).lift_ci)


def test_goals_are_adjusted_by_holm_and_secondary_metrics_by_benjamini_and_hochberg(rng):
    users = users_like(rng, 900).assign(variant=np.resize(["control", "a", "b"], 900))
    metrics = (CTR, CLICKS_PER_USER, mean_of("sessions"), GUARD)
    effects = effects_of(users, metrics)
    p = np.array([e.p_value for e in effects])
    adjusted = [e.adjusted_p_value for e in effects]
    smaller, larger = np.argsort(p[:2])
    assert adjusted[smaller] == pytest.approx(min(2 * p[smaller], 1))
    assert adjusted[larger] == pytest.approx(min(max(2 * p[smaller], p[larger]), 1))
    assert adjusted[2:6] == pytest.approx(stats.false_discovery_control(p[2:6]))
    assert np.isnan(adjusted[6:]).all()  # guardrails have tests of their own


def test_an_undefined_p_value_is_not_adjusted_and_does_not_count(rng):
    users = users_like(rng, 900).assign(one=1.0)
    defined, other, constant = effects_of(users, (CTR, mean_of("sessions"), mean_of("one")))
    assert math.isnan(constant.adjusted_p_value)
    assert other.adjusted_p_value == other.p_value
    assert defined.adjusted_p_value == defined.p_value


def test_a_metric_whose_column_the_users_lack_is_refused_with_the_nearest(rng):
    with pytest.raises(ParameterError, match=r"metric clickz reads the column clickz, .*Did you mean clicks"):
        effects_of(users_like(rng, 50), (CTR, mean_of("clickz")))


def test_every_metric_of_ours_is_defined_on_a_log(rng):
    for effect in estimate_effects(reduced(log_like(rng)).users, METRICS):
        assert effect.defined, effect.metric.name


def test_effects_of_a_log_are_those_of_its_users_as_arrays(rng):
    log = log_like(rng)
    by = log.assign(impressions=1).groupby(["user_id", "variant"])[["impressions", "clicked"]].sum().reset_index()
    users = Users.of(by["variant"], {"clicks": by["clicked"].to_numpy(), "impressions": by["impressions"].to_numpy()})
    [ours], [arrays] = (estimate_effects(u, (CTR,)) for u in (reduced(log).users, users))
    assert ours.lift == pytest.approx(arrays.lift)
    assert ours.lift_ci == pytest.approx(arrays.lift_ci)
    assert ours.p_value == pytest.approx(arrays.p_value)
