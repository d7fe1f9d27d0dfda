"""Who came back within some days of the first is told of users whose days are over, and of no others."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers.analysis.analysis import analyze
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import columns_of, goals_of, metrics_from
from recab_helpers.errors import ParameterError
from recab_helpers.impressions.log import open_log
from recab_helpers.impressions.reduce import reduce
from recab_helpers.impressions.sampling import sample
from recab_helpers.impressions.user_rows import user_rows
from recab_helpers.impressions.users import open_users
from tests.made import HALVES, LOG, log_like

GOAL = metrics_from([{"name": "retained_3", "role": "goal"}, "retained_1"])


def arriving(rng: np.random.Generator, *, dates: bool = False) -> pd.DataFrame:
    """Users who come for the first time on some day of twelve, and some of them again; treatment brings back more."""
    n = 800
    first, treated = rng.integers(0, 12, n), np.arange(n) % 2 == 1
    again = rng.random((n, 12)) < np.where(treated, 0.25, 0.12)[:, None]
    again &= np.arange(12) > first[:, None]
    again[np.arange(n), first] = True
    user, day = np.nonzero(again)
    log = pd.DataFrame({"user_id": user, "variant": np.where(treated[user], "treatment", "control"), "day": day})
    log = log.assign(slate_id=np.arange(len(log)), position=1, item_id="x", clicked=rng.integers(0, 2, len(log)))
    if dates:
        log["timestamp"] = pd.Timestamp("2026-02-20 23:30") + pd.to_timedelta(log.pop("day"), unit="D")
    return log


def came_back(log: pd.DataFrame, within: int) -> pd.DataFrame:
    """By plain pandas: variant and whether a user came back, of users whose days are over."""
    days = pd.to_datetime(log["timestamp"]).dt.normalize().rank(method="dense") if "timestamp" in log else log["day"]
    log = log.assign(day=days)
    first = log.groupby("user_id")["day"].transform("min")
    gap = (log["day"] - first).where(log["day"] > first)
    users = (
        log.assign(gap=gap, first=first)
        .groupby(["user_id", "variant"], as_index=False)
        .agg(gap=("gap", "min"), first=("first", "first"))
    )
    users = users[users["first"] + within <= log["day"].max()]
    return users.assign(back=(users["gap"] <= within).astype(float))


@pytest.mark.parametrize("dates", [False, True], ids=["days", "dates"])
def test_who_came_back_is_what_plain_pandas_says_of_whole_cohorts(rng, dates):
    log = arriving(rng, dates=dates)
    rows = user_rows(open_log(log), retained=["retained_3", "retained_1"])
    test = reduce(rows, columns_of(GOAL, rows.numeric), goals=[m.columns for m in goals_of(GOAL)])
    effects = {e.metric.name: e for e in estimate_effects(test.users, GOAL)}
    for within in (3, 1):
        users, e = came_back(log, within), effects[f"retained_{within}"]
        back = [users.loc[users["variant"] == v, "back"] for v in ("control", "treatment")]
        assert (e.n_control, e.n_treatment) == tuple(map(len, back))
        assert (e.control, e.treatment) == pytest.approx(tuple(b.mean() for b in back))
        assert e.p_value == pytest.approx(stats.ttest_ind(*back, equal_var=False).pvalue)
        left_out = log["user_id"].nunique() - len(users)
        assert f"but not {left_out} users whose {within} days were not over" in e.method
    assert effects["retained_3"].better
    assert effects["clicks_per_user"].n == log["user_id"].nunique()  # other metrics have all users


def test_as_a_goal_its_segments_other_readings_and_drawn_tests_are_of_whole_cohorts_too(rng):
    log, known = arriving(rng), pd.DataFrame({"user_id": range(800)}).assign(app=rng.choice(["old", "new"], 800))
    rows = user_rows(open_log(log), open_users(known), retained=["retained_3", "retained_1"])
    test = reduce(rows, columns_of(GOAL, rows.numeric), goals=[m.columns for m in goals_of(GOAL)])
    found = analyze(test, planned=HALVES, metrics=GOAL)
    users = came_back(log, 3).merge(known, on="user_id")
    by_app = users.groupby(["app", "variant"])["back"].mean().unstack()
    levels = found.segments[found.segments["segment"] == "app"].set_index("level")
    for app, (control, treatment) in by_app.iterrows():
        assert levels.loc[app, "lift"] == pytest.approx(treatment / control - 1)
    assert levels["users"].sum() == len(users)
    plain = next(e for e in found.sensitivity if e.method == "bootstrap")
    assert (plain.n_control + plain.n_treatment, plain.lift) == (len(users), pytest.approx(found.effects[0].lift))
    people = sample(rows, ["retained_3", "clicks", "impressions"], ["clicks", "impressions"], most=10_000, looks=28)
    assert len(people) == len(users)
    assert people.columns["retained_3"].sum() == users["back"].sum()
    shown = log[log["user_id"].isin(users["user_id"])]
    assert people.daily[:, :, 1].sum() == len(shown)


def test_a_log_too_short_for_anybodys_days_to_be_over_is_refused_with_the_longest():
    with pytest.raises(ParameterError, match=r"the log ends 3 days after its first.*such as retained_3"):
        user_rows(open_log(LOG), retained=["retained_4"])


def test_a_column_of_that_name_is_read_as_it_is(rng):
    log = log_like(rng, 40).assign(retained_2=0.5)
    rows = user_rows(open_log(log, numbers=["retained_2"]), numbers=("retained_2",))
    assert rows.head()["retained_2"].tolist() == (rows.head()["impressions"] / 2).tolist()
