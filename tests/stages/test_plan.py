"""The page of a plan: it uses the whole design, says what it assumed, and takes from a pilot what the pilot knows."""

import re
import sys
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import NormalIndPower

import recab_helpers
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.parameters import PlanParams
from recab_helpers.paths import NOTEBOOKS
from recab_helpers.stages import plan


@pytest.fixture
def page(monkeypatch):
    """What 00_plan hands to `report` when it runs with these parameters: arguments by name of the function."""
    cells = [c for c in nbformat.read(NOTEBOOKS / "00_plan.ipynb", as_version=4).cells if c.cell_type == "code"]

    def run(**values) -> dict[str, list[tuple]]:
        shown = {name: [] for name in ("style", "note", "facts", "table", "power_figure")}
        recorder = SimpleNamespace(
            **{name: lambda *a, _to=calls, **more: _to.append((*a, more)) for name, calls in shown.items()}
        )
        monkeypatch.setitem(sys.modules, "recab_helpers.report", recorder)
        monkeypatch.setattr(recab_helpers, "report", recorder, raising=False)
        names = {}
        for cell in cells:
            exec(cell.source, names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= values
        return shown

    return run


@pytest.fixture
def pilot(tmp_path, rng):
    """A pilot's log, 400 users who click by taste, and the same users with counts from before."""
    users = pd.DataFrame({"user_id": [f"u{i}" for i in range(400)], "taste": rng.beta(1, 6, 400)})
    users["pre_impressions"] = 10 * (1 + rng.poisson(6, 400))
    users["pre_clicks"] = rng.binomial(users["pre_impressions"], users["taste"])
    log = users.loc[users.index.repeat(30)].reset_index(drop=True)
    log = log.assign(slate_id=np.arange(len(log)) // 10, position=np.arange(len(log)) % 10 + 1, item_id="x")
    log = log.assign(variant="today", day=0, clicked=rng.binomial(1, log["taste"]))
    users, log = (t.drop(columns="taste") for t in (users, log))
    files = SimpleNamespace(own=tmp_path / "own.csv", log=tmp_path / "log.parquet", users=tmp_path / "users.csv")
    log.to_csv(files.own, index=False)
    log.drop(columns=["pre_impressions", "pre_clicks"]).to_parquet(files.log)
    users.to_csv(files.users, index=False)
    clicks = log.groupby("user_id", sort=False)["clicked"].sum().to_numpy()
    before = users["pre_clicks"] - users["pre_clicks"].sum() / users["pre_impressions"].sum() * users["pre_impressions"]
    return SimpleNamespace(**vars(files), table=log, reduction=np.corrcoef(clicks, before)[0, 1] ** 2)


@pytest.mark.parametrize("allocation", [0.5, 0.1])
def test_the_power_figure_is_that_of_the_whole_design(page, allocation):
    ((curve, _),) = page(allocation=allocation)["power_figure"]
    params = PlanParams(allocation=allocation)
    baseline = plan.grounds_of(params).baseline
    effect, users = 0.05 * baseline.value / baseline.variance**0.5, 14 * plan.grounds_of(params).users_per_day
    control = (1 - allocation) * users
    theirs = NormalIndPower().power(effect, control, 0.05, ratio=allocation * users / control)
    assert np.interp(0.05, curve.index, curve["power"]) == pytest.approx(theirs, abs=1e-3)


def test_alpha_and_treatments_reach_every_table_and_the_answer(page):
    usual, strict, several = page(), page(alpha=0.01), page(n_treatments=4)
    for other in (strict, several):
        ((plans, _), (smallest, _)), ((plans_of, _), (smallest_of, _)) = usual["table"], other["table"]
        assert (plans_of["users"] > plans["users"]).all()
        assert (smallest_of["mde"] > smallest["mde"]).all()
    assert "alpha 0.05 (two-sided)" in usual["note"][0][0]
    assert "alpha 0.01 (two-sided)" in strict["note"][0][0]
    assert "4 treatments divide 50% of users and alpha 0.05" in several["note"][0][0]
    assert several["facts"][0][0]["alpha of each comparison"] == "0.0125"


def test_the_answer_is_the_row_of_the_table_for_the_wanted_lift(page):
    shown = page(lift=0.08)
    row = shown["table"][0][0].loc[0.08]
    assert (
        f"a lift of +8.0% in CTR with a power of 80%, the test takes {row['users']:,.0f} users" in shown["note"][0][0]
    )
    assert f"{row['days_with_cuped']:.0f} days" in shown["note"][0][0]
    assert "assumes a CTR of 10.00%" in shown["note"][0][0]


@pytest.mark.parametrize("known", ["in the log", "in a users file"])
def test_a_pilot_says_what_cuped_removes(pilot, known):
    own = {"log_file": str(pilot.own)}
    params = PlanParams(
        **own if known == "in the log" else {"log_file": str(pilot.log), "users_file": str(pilot.users)}
    )
    grounds = plan.grounds_of(params)
    assert grounds.baseline.reduction == pytest.approx(pilot.reduction, rel=1e-6)
    assert grounds.baseline.value == pytest.approx(pilot.table["clicked"].mean())
    said = plan.answer(grounds, plan.design_of(params), params)
    assert f"they also say that CUPED removes {pilot.reduction:.0%}" in said


def test_what_a_pilot_does_not_know_is_assumed_and_said(pilot):
    params = PlanParams(log_file=str(pilot.log), cuped_reduction=0.42)
    grounds = plan.grounds_of(params)
    assert grounds.baseline.reduction == 0.42
    assert "it is assumed that CUPED removes 42%" in plan.answer(grounds, plan.design_of(params), params)
    assert plan.facts(grounds, plan.design_of(params))["removed by CUPED"] == "42%, assumed"


@pytest.mark.parametrize(("value", "message"), [(99, "pre_clicks is .* and 99 for the user 'u0'"), (-1, "pre_clicks")])
def test_rows_of_a_user_that_disagree_or_are_negative_are_refused(pilot, value, message, tmp_path):
    rows = pilot.table["user_id"] == "u0" if value < 0 else pilot.table.index == 0
    pilot.table.loc[rows, "pre_clicks"] = value
    pilot.table.to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(DataError, match=message):
        plan.pilot_rows(PlanParams(log_file=str(tmp_path / "odd.parquet")))


def test_users_without_a_log_are_refused(pilot):
    with pytest.raises(ParameterError, match="there is no log_file"):
        PlanParams(users_file=str(pilot.users))


def test_users_come_at_the_pace_of_the_pilot_unless_it_is_given(pilot, tmp_path):
    days = pilot.table.assign(day=pilot.table.index // 30 * 8 // 400)  # 50 of 400 users first come on each of 8 days
    days.to_parquet(tmp_path / "days.parquet")
    params = PlanParams(log_file=str(tmp_path / "days.parquet"))
    grounds = plan.grounds_of(params)
    assert grounds.users_per_day == 50
    assert "50 new users come a day, as in the 8 days of the pilot" in plan.answer(
        grounds, plan.design_of(params), params
    )
    given = plan.grounds_of(PlanParams(log_file=params.log_file, users_per_day=123.0))
    assert (given.users_per_day, given.pilot_days) == (123, 0)


def test_the_answer_says_what_guardrails_cost(pilot):
    """By assumed rates and by a pilot: less than the power of the goal, and more with twice the users."""
    for params in (PlanParams(lift=0.08), PlanParams(lift=0.08, log_file=str(pilot.own))):
        said = plan.answer(plan.grounds_of(params), plan.design_of(params), params)
        once, twice = (int(x) for x in re.search(r"with a chance of (\d+)%, twice as many with (\d+)%", said).groups())
        assert 5 < once < 84
        assert once < twice
