"""How to test two models: the rule, exact truths, and drawn tests that do not depend on how they are shared out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recab_helpers.parameters import DesignsParams
from recab_helpers.stages import designs
from recab_helpers.stages.designs import WAYS, advise, answer, grade_designs, grade_readings, made_up_pair

PARAMS = DesignsParams(n_tests=20, n_users=300)


def graded(needed: dict[str, float], coverage: dict[str, float] | None = None, truth: float = 0.1) -> pd.DataFrame:
    """Grades by way, under both click models."""
    rows = [
        {
            "way": way.name,
            "design": way.label,
            "model": model,
            "truth": truth,
            "coverage": (coverage or {}).get(way.name, 0.95),
            "users_needed": needed.get(way.name, np.nan),
        }
        for model in ("position", "cascade")
        for way in WAYS
    ]
    return pd.DataFrame(rows)


NEEDED = {"counted": 4000.0, "cuped": 2000.0, "both": 500.0, "gated": 600.0, "sessions": 700.0, "interleaved": 300.0}


def test_the_rule_takes_the_fewest_users_among_lifts_that_hold_and_never_an_ungated_reading():
    assert advise(graded(NEEDED), PARAMS).way.name == "gated"
    assert advise(graded(NEEDED, {"gated": 0.8}), PARAMS).way.name == "sessions"


def test_what_takes_too_long_is_interleaved_and_what_takes_longer_still_is_not_tested():
    short = replace(PARAMS, users_per_day=20.0, longest_days=25)  # 500 users
    found = advise(graded(NEEDED), short)
    assert found.way.name == "interleaved"
    assert "600 users, more than 25 days of 20 users" in found.why
    none = advise(graded(NEEDED), replace(short, longest_days=10))
    assert none.way is None
    assert answer(graded(NEEDED), replace(short, longest_days=10)).startswith("Recommended: do not test.")


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
    assert (whole["tests"] == 20).all()
    assert (abs(whole["value"] - whole["truth"]) < 2 * whole["bias_error"] + 0.02)[whole["way"] != "both"].all()


def test_every_reading_is_graded():
    table = grade_readings(5, n_tests=20, n_users=200)
    assert list(table.index) == [way.label for way in WAYS]
    assert (table["tests"] == 20).all()
