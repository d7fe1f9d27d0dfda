"""The whole analysis of a log: its parts agree with each other and with closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from recab_helpers import analysis as ab


def log_of(rng, n_users: int, variants=("control", "treatment"), sessions: int = 3, ctr: float = 0.2) -> pd.DataFrame:
    """A checked log: every user has `sessions` slates of one item, clicked with the same chance."""
    user = np.repeat(np.arange(n_users), sessions)
    return ab.check_impressions(
        pd.DataFrame(
            {
                "user_id": user,
                "slate_id": np.arange(len(user)),
                "position": rng.integers(1, 4, len(user)),
                "variant": np.array(variants)[user % len(variants)],
                "item_id": "x",
                "clicked": rng.binomial(1, ctr, len(user)),
                "day": rng.integers(0, 5, len(user)),
            }
        )
    )


@pytest.fixture
def found(rng):
    return ab.analyze(log_of(rng, 2000), planned={"control": 0.5, "treatment": 0.5}, power=0.7)


@pytest.mark.parametrize("by", ["day", "position"])
def test_parts_add_up_to_the_totals_and_keep_the_order_of_variants(rng, by):
    log = log_of(rng, 300, ("control", "b", "a"))
    table = ab.ctr_by(log, by)
    assert table.index.unique("variant").tolist() == ["control", "a", "b"]
    sums = table.groupby(level="variant")[["impressions", "clicks"]].sum()
    totals = ab.totals(ab.users_table(log))
    pd.testing.assert_frame_equal(sums, totals.loc[sums.index, ["impressions", "clicks"]], check_names=False)


def test_the_interval_of_a_ctr_is_binomial_when_every_user_has_one_impression(rng):
    log = log_of(rng, 4000, sessions=1)
    row = ab.ctr_by(log.assign(day=0), "day").loc[("control", 0)]
    half = norm.isf(0.025) * np.sqrt(row["ctr"] * (1 - row["ctr"]) / row["impressions"])
    assert [row["low"], row["high"]] == pytest.approx([row["ctr"] - half, row["ctr"] + half], rel=1e-3)


def test_the_interval_of_a_ctr_grows_when_users_repeat_themselves(rng):
    log = log_of(rng, 2000, sessions=1)
    again = pd.concat([log, log.assign(slate_id=log["slate_id"] + len(log))], ignore_index=True)
    once, twice = (ab.ctr_by(t.assign(day=0), "day")["high"] for t in (log, ab.check_impressions(again)))
    pd.testing.assert_series_equal(once, twice)  # twice the impressions, no more users: nothing is learned


def test_power_reaches_what_was_wanted_at_the_mde_and_alpha_at_no_lift(found):
    curve, smallest = found.power_curve["power"], found.power.loc["CTR", "mde"]
    assert np.interp(smallest, curve.index, curve) == pytest.approx(0.7, abs=2e-3)
    assert curve.iloc[0] == pytest.approx(0.05)


def test_treatments_that_share_alpha_need_larger_lifts(rng):
    planned = dict.fromkeys(("control", "a", "b"), 1 / 3)
    several = ab.analyze(log_of(rng, 3000, ("control", "a", "b")), planned=planned)
    goal = several.effects[0]
    z = norm.isf(0.025 / 2) + norm.isf(0.2)
    assert several.power["mde"].iloc[0] == pytest.approx(z * goal.se / goal.control)
    assert "97.5% interval" in several.verdict.sentence


def test_levels_of_a_segment_stand_in_the_order_of_their_numbers(rng):
    levels = ["100 or more", "none (cold)", "30 to 99", "1 to 9", "10 to 29"]
    log = log_of(rng, 3000)
    known = pd.DataFrame({"user_id": [str(u) for u in range(3000)], "history": np.resize(levels, 3000)})
    segments = ab.analyze(log, known, planned={"control": 0.5, "treatment": 0.5}).segments
    of = segments.loc[segments["segment"] == "history", "level"].tolist()
    assert of == ["none (cold)", "1 to 9", "10 to 29", "30 to 99", "100 or more"]


def test_a_metric_that_is_no_column_is_refused_with_the_nearest(rng):
    with pytest.raises(ValueError, match=r"metrics has .clickz.*Did you mean clicks"):
        ab.analyze(log_of(rng, 50), planned={"control": 0.5, "treatment": 0.5}, more_metrics=["clickz"])
