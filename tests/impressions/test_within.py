"""Users who meet every variant, summed up once: what pandas counts of the same rows."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions import Reading, open_log, reduce, user_rows
from recab_helpers.impressions.within import AFTER_OTHER, AFTER_SAME, PREFERS, TIED, WON, at
from recab_helpers.parameters import AnalyzeParams

VARIANTS = ("control", "treatment")


@pytest.fixture
def rows(rng) -> pd.DataFrame:
    """A log of sessions with three items, each session with a variant, in time; and the team of each item."""
    n = 400
    slate = np.repeat(np.arange(n), 3)
    table = pd.DataFrame({"slate_id": slate, "user_id": rng.integers(0, 40, n)[slate].astype(str)})
    table["position"] = np.tile([1, 2, 3], n)
    table["variant"] = np.array(VARIANTS)[rng.integers(0, 2, n)[slate]]
    table["team"] = np.array(VARIANTS)[rng.integers(0, 2, len(table))]
    table["item_id"] = rng.integers(0, 9, len(table)).astype(str)
    table["clicked"] = (rng.random(len(table)) < 0.4).astype(int)
    seconds = rng.permutation(n)[slate]
    return table.assign(timestamp=pd.Timestamp("2026-01-05") + pd.to_timedelta(seconds * 1800, unit="s"))


def within(table: pd.DataFrame, design: str):
    test = reduce(user_rows(open_log(table), design=design), ("clicks", "impressions", "sessions"))
    assert test.users.within is not None
    return test, test.users.within.statistics


def test_sessions_have_a_column_for_each_variant_and_are_one_row_a_user(rows):
    test, s = within(rows, "sessions")
    expected = rows.groupby(["user_id", "variant"])["clicked"].sum().unstack(fill_value=0)
    assert test.users.n == s.n == len(expected)
    assert test.users.in_two_variants is None
    columns = [s.columns.index(at("clicks", v)) for v in VARIANTS]
    np.testing.assert_allclose(s.mean[columns], expected.mean())
    np.testing.assert_allclose(s.cov[np.ix_(columns, columns)], expected.cov())


def test_what_follows_a_session_of_the_other_variant_is_counted_apart(rows):
    _, s = within(rows, "sessions")
    sessions = rows.groupby(["user_id", "slate_id"]).agg(
        t=("timestamp", "min"), v=("variant", "first"), clicks=("clicked", "sum")
    )
    sessions = sessions.sort_values("t")
    sessions["before"] = sessions.groupby(level="user_id")["v"].shift()
    told = sessions.dropna()
    for v in VARIANTS:
        for after, same in ((AFTER_SAME, True), (AFTER_OTHER, False)):
            of = told[(told["v"] == v) & ((told["before"] == v) == same)]
            assert s.sum(at(f"clicks {after}", v)) == pytest.approx(of["clicks"].sum())
            assert s.sum(at(f"impressions {after}", v)) == pytest.approx(3 * len(of))


def test_sessions_with_two_variants_are_counted(rows):
    rows.loc[0, "variant"] = "treatment" if rows.loc[0, "variant"] == "control" else "control"
    test, _ = within(rows, "sessions")
    assert test.users.within.mixed == 1


def test_slates_and_users_are_won_by_the_team_with_more_clicks(rows):
    _, s = within(rows.assign(variant=rows["team"]), "interleaved")
    clicks = rows.groupby(["user_id", "slate_id", "team"])["clicked"].sum().unstack(fill_value=0)
    assert s.sum(at(WON, "treatment")) == pytest.approx((clicks["treatment"] > clicks["control"]).sum())
    assert s.sum(TIED) == pytest.approx(((clicks["treatment"] == clicks["control"]) & (clicks["control"] > 0)).sum())
    users = clicks.groupby(level="user_id").sum()
    assert s.sum(at(PREFERS, "control")) == pytest.approx((users["control"] > users["treatment"]).sum())


def test_interleaved_slates_are_read_by_their_teams_and_else_refused_with_the_way(rows):
    log = rows.assign(variant="interleaved")
    test = reduce(user_rows(open_log(log, how=Reading.of(AnalyzeParams(design="interleaved"))), design="interleaved"))
    assert (
        test.users.within.statistics.sum(at("clicks", "treatment")) == log["clicked"][log["team"] == "treatment"].sum()
    )
    with pytest.raises(DataError, match="design=interleaved"):
        open_log(log)
