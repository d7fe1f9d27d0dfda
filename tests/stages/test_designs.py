"""How to test two models: exact truths, and drawn tests that do not depend on how they are shared out."""

import pandas as pd
import pytest

from recab_helpers.parameters import DesignsParams
from recab_helpers.stages import designs
from recab_helpers.stages.designs import WAYS, grade_designs, grade_readings, made_up_pair

PARAMS = DesignsParams(n_tests=20, n_users=300)


def test_without_a_lift_all_ctrs_are_the_same_and_neither_is_preferred():
    pair = made_up_pair(0.0, seed=3)
    assert pair.ctr()[0] == pytest.approx(pair.ctr()[1])
    assert pair.drafted()[0] == pytest.approx(0.5, abs=1e-3)
    assert made_up_pair(0.4, seed=3).ctr()[1] > pair.ctr()[0] / 1.4


def test_drawn_tests_are_the_same_however_they_are_shared_out(monkeypatch):
    pair = made_up_pair(0.4, seed=3, n_users=400)
    whole = grade_designs(pair, PARAMS)
    monkeypatch.setattr(designs, "BATCH", 10)
    pd.testing.assert_frame_equal(grade_designs(pair, PARAMS), whole)
    own = whole[whole["model"] == "position"].set_index("way")
    assert own.loc["both", "users_needed"] <= own.loc["gated", "users_needed"] <= own.loc["cuped", "users_needed"]
    assert own.loc["off_policy", "users"] > own.loc["counted", "users"]  # so that the weights leave enough
    assert own.loc["off_policy", "tests"] >= 16  # of 20; its gate has a level of .05
    apart = (whole["way"] == "off_policy") & (whole["model"] == "cascade")
    assert (whole[apart]["tests"] <= 2).all()  # its gate sees that clicks depend on those above
    assert whole[apart]["users_needed"].isna().all()
    whole = whole[~apart]
    assert (whole["tests"] >= 16).all()
    assert (abs(whole["value"] - whole["truth"]) < 2 * whole["bias_error"] + 0.02)[whole["way"] != "both"].all()


def test_every_reading_is_graded():
    table = grade_readings(5, n_tests=20, n_users=200)
    assert list(table.index) == [way.label for way in WAYS]
    assert (table["tests"] == 20).all()
