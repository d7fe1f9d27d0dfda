"""What is advised of a pair follows the written rule."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd

from recab_helpers.parameters import DesignsParams
from recab_helpers.stages.advice import advise, answer, holds_title, left_out, rule
from recab_helpers.stages.designs import WAYS

PARAMS = DesignsParams()


def graded(needed: dict[str, float], coverage: dict[str, float] | None = None, truth: float = 0.1) -> pd.DataFrame:
    """Grades by way, under both click models."""
    rows = [
        {
            "way": way.name,
            "design": way.label,
            "model": model,
            "truth": truth,
            "coverage": (coverage or {}).get(way.name, 0.95),
            "tests": PARAMS.n_tests,
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
    fails = graded(NEEDED)  # where the gate always fails it takes what CUPED does
    fails.loc[(fails["way"] == "gated") & (fails["model"] == "cascade"), "users_needed"] = 2000.0
    assert "with 600 users (2,000 if users click by the cascade model), fewest" in advise(fails, PARAMS).why


def test_off_policy_takes_part_and_needs_numbers_under_both_click_models():
    needed = NEEDED | {"off_policy": 100.0}
    assert advise(graded(needed), PARAMS).way.name == "off_policy"
    silent = graded(needed)
    here = (silent["way"] == "off_policy") & (silent["model"] == "cascade")
    silent.loc[here, ["coverage", "tests"]] = 1.0, 4  # of the few that its gate lets pass
    assert advise(silent, PARAMS).way.name == "gated"
    assert left_out(silent, PARAMS)["off_policy"].endswith("cascade model it gave a number in only 0.4% of the tests")
    said = rule(silent, SimpleNamespace(params=PARAMS, grounds=None))
    assert "Left out here: Two groups, both slates, its gate not asked (it is never read where its gate" in said
    assert "only 0.4% of the tests" in said
    assert "hardly ever a number from: Off-policy" in holds_title(silent, "cascade", PARAMS)
    assert "every way holds" in holds_title(silent, "position", PARAMS)


def test_what_no_drawn_test_grades_is_said_with_the_best_way_without_it():
    why = advise(graded(NEEDED, {"gated": 0.8}), PARAMS).why
    assert "changes nothing in the next is assumed here and in every drawn test, so that it is not graded" in why
    assert "If you doubt it: Two groups, CUPED, 2,000 users." in why
    assert "assumed" not in advise(graded(NEEDED), PARAMS).why


def test_what_takes_too_long_is_interleaved_and_what_takes_longer_still_is_not_tested():
    short = replace(PARAMS, users_per_day=20.0, longest_days=25)  # 500 users
    found = advise(graded(NEEDED), short)
    assert found.way.name == "interleaved"
    assert "600 users, more than 25 days of 20 users" in found.why
    shorter = replace(short, longest_days=10)
    none = advise(graded(NEEDED), shorter)
    assert none.way is None
    found = answer(graded(NEEDED), SimpleNamespace(params=shorter, grounds=None))
    assert found.startswith("Recommended: do not test.")
