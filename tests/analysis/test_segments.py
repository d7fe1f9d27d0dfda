"""Effects within segments: what is unlike is found, what is small is not estimated, and their number is paid for."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR, ratio_of
from recab_helpers.analysis.segments import (
    HETEROGENEITY_COLUMNS,
    SEGMENT_COLUMNS,
    heterogeneity,
    reversed_in,
    segment_effects,
)
from tests.made import even_log, reduced, users_like, users_of

PER_SESSION = ratio_of("clicks", "sessions", role="goal")


@pytest.fixture
def table(rng) -> pd.DataFrame:
    """Users whose kind decides the effect, and a coin that does not."""
    n = 4000
    kind = rng.choice(["old", "new"], n)
    treated = rng.random(n) < 0.5
    rate = 0.1 * (1 + np.where(kind == "new", 0.8, 0.0) * treated)
    return pd.DataFrame(
        {
            "variant": np.where(treated, "treatment", "control"),
            "kind": kind,
            "coin": rng.choice(["heads", "tails"], n),
            "impressions": 20,
            "clicks": rng.binomial(20, rate),
            "sessions": 2,
        }
    )


def test_segments_are_found_corrected_and_tested_for_being_unlike(table):
    segments = segment_effects(users_of(table, ["kind", "coin"]), (CTR,))
    assert set(segments["segment"]) == {"kind", "coin"}
    assert (segments["adjusted_p_value"] >= segments["p_value"]).all()
    unlike = heterogeneity(segments).set_index("segment")["adjusted_p_value"]
    assert unlike["kind"] < 1e-4
    assert unlike["coin"] > 1e-3


def test_a_level_is_an_analysis_of_its_users_alone(table):
    segments = segment_effects(users_of(table, ["kind"]), (CTR,), alpha=0.1).set_index("level")
    for level, part in table.groupby("kind"):
        [alone] = estimate_effects(users_of(part[["variant", "clicks", "impressions"]]), (CTR,), alpha=0.1)
        row = segments.loc[level]
        assert row["users"] == len(part)
        assert row["lift"] == pytest.approx(alone.lift)
        assert (row["low"], row["high"]) == pytest.approx(alone.lift_ci)
        assert (row["log_se"], row["p_value"]) == pytest.approx((alone.log_se, alone.p_value))


def test_cuped_is_used_within_a_segment(table, rng):
    known = table.assign(pre_clicks=table["clicks"] + rng.poisson(1, len(table)), pre_impressions=20.0)
    plain, cuped = (segment_effects(users_of(t, ["kind"]), (CTR,))["log_se"] for t in (table, known))
    assert (cuped.to_numpy() < 0.8 * plain.to_numpy()).all()


def test_small_segments_are_not_estimated(rng):
    table = users_like(rng, 1200)
    rare = np.where(np.arange(1200) < 20, "a", "b")
    one = np.where(np.arange(1200) < 1, "c", "d")
    rows = segment_effects(users_of(table.assign(rare=rare, one=one), ["rare", "one"]), (CTR,)).set_index("level")
    assert "users in one variant; 100 are needed" in rows.loc["a", "reason"]
    assert rows.loc["c", "reason"] == "0 users in one variant; 100 are needed"
    assert math.isnan(rows.loc["a", "lift"])
    assert math.isnan(rows.loc["a", "adjusted_p_value"])
    assert math.isfinite(rows.loc["b", "lift"])
    assert rows.loc["b", "reason"] == ""


def test_nothing_is_adjusted_or_tested_where_no_segment_is_large_enough(rng):
    table = users_like(rng, 60).assign(kind=np.resize(["x", "y"], 60))
    segments = segment_effects(users_of(table, ["kind"]), (CTR,))
    assert segments["reason"].str.contains("are needed").all()
    assert heterogeneity(segments).empty
    assert segment_effects(users_of(table.drop(columns="kind")), (CTR,)).empty


def test_a_level_without_clicks_says_why(table):
    none = table.assign(clicks=np.where(table["kind"] == "old", 0, table["clicks"]))
    rows = segment_effects(users_of(none, ["kind"]), (CTR,)).set_index("level")
    assert "does not vary" in rows.loc["old", "reason"]
    assert heterogeneity(rows.reset_index()).empty  # one level is not unlike itself


def test_levels_of_a_segment_stand_in_the_order_of_their_numbers(rng):
    levels = ["100 or more", "none (cold)", "30 to 99", "1 to 9", "10 to 29"]
    known = pd.DataFrame({"user_id": [str(u) for u in range(3000)], "history": np.resize(levels, 3000)})
    segments = segment_effects(reduced(even_log(rng, 3000), known).users, (CTR,))
    of = segments.loc[segments["segment"] == "history", "level"].tolist()
    assert of == ["none (cold)", "1 to 9", "10 to 29", "30 to 99", "100 or more"]


def test_every_goal_and_treatment_has_its_rows_and_all_share_the_correction(rng):
    n = 3000
    table = users_like(rng, n).assign(
        variant=np.resize(["control", "b", "new vs old"], n), kind=rng.choice(["x", "y"], n)
    )
    goals = (CTR, PER_SESSION, replace(CLICKS_PER_USER, role="goal"))
    segments = segment_effects(users_of(table, ["kind"]), goals)
    names = segments[["metric", "level", "variant", "against"]].to_numpy().tolist()
    assert names == [[g.name, k, v, "control"] for g in goals for k in "xy" for v in ("b", "new vs old")]
    assert segments["adjusted_p_value"].to_numpy(dtype=float) == pytest.approx(
        stats.false_discovery_control(segments["p_value"].to_numpy(dtype=float))
    )
    unlike = heterogeneity(segments)
    pairs = unlike[["metric", "variant"]].to_numpy().tolist()
    assert sorted(pairs) == sorted([g.name, v] for g in goals for v in ("b", "new vs old"))


def test_heterogeneity_is_cochrans_q():
    rows = pd.DataFrame({"lift": [0.1, 0.0, -0.2], "log_se": [0.1, 0.2, 0.1], "level": list("abc")}).assign(
        metric="ctr", segment="kind", variant="new vs old", against="control"
    )
    [found] = heterogeneity(rows).to_dict("records")
    y, w = np.log1p(rows["lift"]), 1 / rows["log_se"] ** 2
    q = (w * y**2).sum() - (w * y).sum() ** 2 / w.sum()
    assert found["q"] == pytest.approx(q)
    assert found["p_value"] == found["adjusted_p_value"] == pytest.approx(stats.chi2.sf(q, 2))
    assert (found["variant"], found["levels"]) == ("new vs old", 3)


def test_the_tables_hold_the_columns_that_are_described(table):
    segments = segment_effects(users_of(table, ["kind"]), (CTR,))
    assert list(segments) == list(SEGMENT_COLUMNS)
    assert list(heterogeneity(segments)) == list(HETEROGENEITY_COLUMNS)
    assert "log_se" in SEGMENT_COLUMNS


def test_groups_that_all_point_the_other_way_than_the_whole_are_named():
    """Treatment is better in both groups and worse in all, since it has more of the group with the low CTR."""
    rng, rows = np.random.default_rng(2), []
    for variant, often, ctr in (("control", 300, (0.10, 0.30)), ("treatment", 900, (0.12, 0.34))):
        for n, rate, group in ((often, ctr[0], "new"), (1200 - often, ctr[1], "old")):
            shown = np.full(n, 20)
            part = {"variant": variant, "clicks": rng.binomial(shown, rate), "impressions": shown, "group": group}
            rows.append(pd.DataFrame(part))
    users = users_of(pd.concat(rows, ignore_index=True), ["group"])
    [effect] = estimate_effects(users, (CTR,))
    segments = segment_effects(users, (CTR,))
    assert effect.worse
    assert reversed_in(segments, effect) == ["group"]
    assert reversed_in(segments, replace(effect, lift=-effect.lift)) == []
    assert reversed_in(segments[segments["level"] == "new"], effect) == []
