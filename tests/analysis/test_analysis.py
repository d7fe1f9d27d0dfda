"""The whole analysis of a log: its parts agree with each other, whatever the goal and the names of the variants."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis.analysis import Analysis, analyze, read_further, table
from recab_helpers.analysis.bayes import BAYES_COLUMNS
from recab_helpers.analysis.checks import CHECKS, Check, run_checks
from recab_helpers.analysis.decision import decide
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.looks import LOOK_COLUMNS
from recab_helpers.analysis.metrics import CTR, METRICS, MetricSpec, metrics_from
from recab_helpers.analysis.power import POWER_COLUMNS
from recab_helpers.analysis.segments import HETEROGENEITY_COLUMNS, SEGMENT_COLUMNS
from recab_helpers.analysis.totals import CTR_COLUMNS
from recab_helpers.references import Comparison
from tests.made import GOAL, PASSED, analyzed, log_like, reduced

NAMES = ("control", "b", "new vs old")
THIRDS = dict.fromkeys(NAMES, 1 / 3)
GIVEN = {
    "ctr": "ctr",
    "clicks per session": "clicks_per_session",
    "a mean": "clicks_per_user",
    "a share of users": {"name": "clicked_any", "margin": 0.0},
    "a column of the log": "dwell",
    "columns of the log": {"name": "dwell_rate", "numerator": "dwell", "denominator": "sessions"},
    "a column of the users file": "spent",
}


def with_goals(*names) -> tuple[MetricSpec, ...]:
    goals = [{"name": n} if isinstance(n, str) else n for n in (GIVEN[n] for n in names)]
    return metrics_from([goal | {"role": "goal"} for goal in goals])


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    log = log_like(rng, n_users=900)
    of = log["user_id"].map({u: NAMES[i % 3] for i, u in enumerate(log["user_id"].unique())})
    return log.assign(variant=of, dwell=rng.gamma(2.0, 3.0, len(log)), position=rng.integers(1, 4, len(log)))


@pytest.fixture(scope="module")
def known(log) -> pd.DataFrame:
    rng = np.random.default_rng(12)
    users = pd.DataFrame({"user_id": log["user_id"].unique()})
    sessions = log.groupby("user_id").size().reindex(users["user_id"]).to_numpy()
    return users.assign(
        spent=rng.gamma(1.0, 5.0, len(users)).round(1) + 0.1,
        pre_clicks=rng.poisson(sessions * 0.1),
        pre_impressions=sessions + rng.poisson(1.0, len(users)),
        activity=np.where(sessions > 3, "often", "seldom"),
    )


def whole(log, known, metrics, **how) -> Analysis:
    return analyzed(log, known, planned=THIRDS, metrics=metrics, numbers=["dwell"], **how)


@pytest.fixture(scope="module", params=[*([name] for name in GIVEN), ["clicks per session", "ctr", "a mean"]], ids=str)
def found(request, log, known) -> Analysis:
    """The analysis with one goal of every sort, and with several."""
    return whole(log, known, with_goals(*request.param), alpha=0.06, power=0.7)


def with_days(found: Analysis) -> list[str]:
    return [g.name for g in found.goals if "spent" not in g.columns]


def test_goals_decide_everywhere(found):
    names = [g.name for g in found.goals]
    each = [(n, v) for n in names for v in NAMES[1:]]
    assert [(e.metric.name, e.comparison.variant) for e in found.goal_effects] == each
    assert {e.alpha for e in found.goal_effects} == {0.06 / len(each)}
    assert found.verdict.effect in found.goal_effects
    segments = found.segments[found.segments["segment"] == "activity"]
    assert set(segments[["metric", "variant"]].itertuples(index=False, name=None)) == set(each)
    assert segments["lift"].notna().all()
    assert set(found.heterogeneity[["metric", "variant"]].itertuples(index=False, name=None)) == set(each)
    plain = [e for e in found.sensitivity if e.method in ("delta method", "Welch")]
    assert [(e.metric.name, e.comparison.variant) for e in plain] == each
    for method in ("post-stratified by activity", "bootstrap", "Mann-Whitney"):
        assert sum(e.method == method and math.isfinite(e.p_value) for e in found.sensitivity) == len(each)
    assert set(found.looks["metric"]) == set(with_days(found))


def test_the_last_look_is_the_estimate(found):
    plain = {(e.metric.name, e.comparison.variant): e for e in found.goal_effects}
    last = found.looks.groupby(["metric", "variant"]).last()
    assert len(last) == 2 * len(with_days(found))
    for key, row in last.iterrows():
        assert row["lift"] == pytest.approx(plain[key].lift)
        assert (row["naive_low"], row["naive_high"]) == pytest.approx(plain[key].lift_ci)
        assert row["fraction"] == 1


def test_strata_of_a_segment_are_the_users(found):
    segments = found.segments[found.segments["segment"] == "activity"]
    for variant in NAMES[1:]:
        of = segments[(segments["variant"] == variant) & (segments["metric"] == found.goals[0].name)]
        assert of["users"].sum() == found.test.users.counts["control"] + found.test.users.counts[variant]


def test_the_power_curve_is_that_of_the_goals(found):
    curve, alpha = found.power_curve["power"], found.goal_effects[0].alpha
    assert curve.iloc[0] == pytest.approx(alpha)
    labels = [g.label for g in found.goals]
    smallest = found.power[found.power["metric"].isin(labels)]["mde"].max()  # of the least precise
    assert np.interp(smallest, curve.index, curve) == pytest.approx(0.7, abs=3e-3)
    assert found.wanted_power == 0.7


def test_tables_hold_the_columns_that_are_described(found):
    described = {
        "bayes": BAYES_COLUMNS,
        "power": POWER_COLUMNS,
        "looks": LOOK_COLUMNS,
        "segments": SEGMENT_COLUMNS,
        "heterogeneity": HETEROGENEITY_COLUMNS,
        "by_day": CTR_COLUMNS,
        "by_position": CTR_COLUMNS,
    }
    for name, columns in described.items():
        assert list(getattr(found, name)) == list(columns), name
        assert all(columns.values()), name


def test_names_of_variants_stay_whole_in_every_table(found):
    for name in ("bayes", "power", "looks", "segments", "heterogeneity"):
        made = getattr(found, name)
        if len(made):
            assert list(dict.fromkeys(made["variant"])) == ["b", "new vs old"], name
            assert set(made["against"]) == {"control"}, name
    for name in ("totals", "by_day", "by_position"):
        assert getattr(found, name).index.unique("variant").tolist() == list(NAMES), name
    assert list(found.test.items) == list(NAMES)
    assert {e.comparison for e in found.effects} == {Comparison("b"), Comparison("new vs old")}


def test_a_winner_is_called_by_its_whole_name(log, known):
    better = log.assign(clicked=np.where((log["variant"] == "new vs old") & (log.index % 4 == 0), 1, log["clicked"]))
    verdict = whole(better, known, METRICS[:2]).verdict  # too few users to hold their traffic inside a margin
    assert (verdict.call, verdict.winner) == ("ship", "new vs old")


def test_several_goals_share_alpha_in_the_verdict(log, known):
    """The same lift has a wider interval when four goals share alpha."""
    one = whole(log, known, with_goals("ctr"))
    several = whole(log, known, with_goals("ctr", "clicks per session", "a mean", "a column of the log"))
    narrow, wide = (next(e for e in a.effects if e.metric.name == "ctr") for a in (one, several))
    assert wide.alpha == pytest.approx(narrow.alpha / 4)
    assert wide.lift == pytest.approx(narrow.lift)
    assert wide.lift_ci[1] - wide.lift_ci[0] > narrow.lift_ci[1] - narrow.lift_ci[0]


def test_one_call_is_its_parts(log, known):
    test = reduced(log, known, numbers=["dwell"])
    checks, effects = run_checks(test, THIRDS), estimate_effects(test.users, METRICS)
    verdict = decide(effects, checks)
    parts, one = read_further(test, METRICS, checks, effects, verdict), analyze(test, planned=THIRDS)
    assert parts.verdict.call == one.verdict.call
    pd.testing.assert_frame_equal(parts.segments, one.segments)
    pd.testing.assert_frame_equal(parts.looks, one.looks)
    pd.testing.assert_frame_equal(parts.bayes, one.bayes)


def test_a_callers_own_check_voids_the_verdict(log, known):
    def never(test, planned) -> Check:
        return Check(name="Never", state="failed", detail="by rule")

    test = reduced(log, known, numbers=["dwell"])
    effects = estimate_effects(test.users, METRICS)
    checks = run_checks(test, THIRDS, [*CHECKS, never])
    found = read_further(test, METRICS, checks, effects, decide(effects, checks))
    assert found.verdict.call == "invalid"
    assert [c.name for c in found.verdict.failed] == ["Never"]
    assert found.bayes.empty
    assert list(found.bayes) == list(BAYES_COLUMNS)


def test_a_log_without_clicks_is_analyzed_and_says_why(rng):
    found = analyzed(log_like(rng).assign(clicked=0))
    assert found.verdict.call == "inconclusive"
    assert found.verdict.undefined[0].reason
    assert found.power_curve.empty
    assert found.looks.empty
    assert found.heterogeneity.empty
    traffic = {"Sessions per user", "Impressions per user"}
    none = {
        "Users with a click",
        "Clicks per user",
    }  # the same for all users: inside their margins, and nothing to find
    assert set(found.power["metric"]) == {"Novelty of what was shown (bits)"} | traffic | none


def test_a_log_of_one_day_is_analyzed(rng):
    found = analyzed(log_like(rng, n_days=1))
    assert found.looks["day"].tolist() == [0]
    assert len(found.by_day) == 2
    assert {c.name: c.state for c in found.checks}["Steady effect (novelty)"] == "not tested"


@pytest.mark.parametrize("n_users", [2, 4])
def test_a_handful_of_users_is_analyzed(rng, n_users):
    found = analyzed(log_like(rng, n_users=n_users))
    assert found.verdict.call in ("inconclusive", "invalid")
    assert len(found.effects) == len(METRICS)


def test_metrics_checks_and_effects_show_every_field_with_names_for_things():
    assert table([CTR])["numerator"].tolist() == ["clicks"]
    assert table([PASSED])["state"].tolist() == ["passed"]
    effects = table([GOAL, replace(GOAL, comparison=Comparison("new vs old"))])
    assert effects["metric"].tolist() == ["CTR", "CTR"]
    assert effects["comparison"].map(str).tolist() == ["treatment vs control", "new vs old vs control"]
    assert table([]).empty
