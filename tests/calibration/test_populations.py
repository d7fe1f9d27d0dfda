"""Drawn tests have the rates that their population states, and are the aggregates that a log would give."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers.analysis.checks import run_checks
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR, mean_of
from recab_helpers.calibration.grading import grade, rates
from recab_helpers.calibration.populations import BATCH, VARIANTS, Own, Population, assigned, draw_tests
from recab_helpers.impressions import Sample, sample
from tests.made import HALVES, distinct, even_log, log_like, reduced, rows_of


def test_drawn_users_have_the_stated_rates():
    population = Population(n_users=4000, ctr=0.05, lift=0.2, lift_sd=0.0, allocation=0.3)
    ctr, shares = {v: [] for v in VARIANTS}, []
    for lift, test in draw_tests(population, 40, 5):
        assert lift == 0.2
        for v, s in test.users.statistics.items():
            ctr[v].append(s.sum("clicks") / s.sum("impressions"))
        shares.append(test.users.counts["treatment"] / test.users.whole.n)
    assert np.mean(ctr["control"]) == pytest.approx(0.05, rel=0.03)
    assert np.mean(ctr["treatment"]) / np.mean(ctr["control"]) == pytest.approx(1.2, rel=0.03)
    assert np.mean(shares) == pytest.approx(0.3, abs=0.01)


def test_the_period_before_the_test_knows_no_treatment():
    population = Population(n_users=4000, lift=1.0)
    before = {v: [] for v in VARIANTS}
    for _, test in draw_tests(population, 20, 6):
        for v, s in test.users.statistics.items():
            before[v].append(s.sum("pre_clicks") / s.sum("pre_impressions"))
    assert np.mean(before["treatment"]) == pytest.approx(np.mean(before["control"]), rel=0.03)
    assert np.mean(before["control"]) == pytest.approx(population.ctr, rel=0.03)


def test_lifts_are_drawn_around_the_population_s_own():
    lifts = [lift for lift, _ in draw_tests(Population(n_users=20, lift_sd=0.2), 400, 7)]
    assert stats.kstest(np.log1p(lifts), stats.norm(0, 0.2).cdf).pvalue > 1e-3


def test_draws_repeat_themselves_and_differ_by_seed():
    population = Population(n_users=100, lift_sd=0.1)
    one, two, other = (list(draw_tests(population, 3, seed)) for seed in (1, 1, 2))
    assert [lift for lift, _ in one] == [lift for lift, _ in two] != [lift for lift, _ in other]
    for (_, a), (_, b) in zip(one, two, strict=True):
        assert a.users.whole.cov.tolist() == b.users.whole.cov.tolist()
    assert len(list(draw_tests(population, BATCH + 3, 1))) == BATCH + 3


def test_the_last_day_of_a_drawn_test_is_its_whole():
    for _, test in draw_tests(Population(n_users=200), 3, 8):
        for name, s in test.running.at(len(test.running) - 1).items():
            whole = test.users.statistics[name]
            at = [whole.columns.index(c) for c in s.columns]
            assert s.n == whole.n == test.users.histograms[CTR.columns].counts[name].sum()
            assert s.mean == pytest.approx(whole.mean[at])
            assert s.cov == pytest.approx(whole.cov[np.ix_(at, at)])


def test_a_drawn_test_has_what_every_graded_method_needs():
    _, test = next(draw_tests(Population(n_users=500), 1, 9))
    ctr, per_user = estimate_effects(test.users, (CTR, CLICKS_PER_USER))
    assert ctr.method == "delta method, CUPED"
    assert per_user.method == "Welch, CUPED"
    assert set(test.users.segments) == {"activity"}
    assert {("clicks", "impressions"), ("pre_clicks", "pre_impressions")} == set(test.users.histograms)
    assert {c.name for c in run_checks(test, HALVES) if c.state == "not tested"} == {
        "Users known from before",
        "Whole weeks",
    }
    assert test.users.columns[:4] == ("impressions", "clicks", "sessions", "clicked_any")


def test_planned_shares_and_nothing_to_find_are_those_of_the_population():
    assert Population(allocation=0.3).planned == pytest.approx({"control": 0.7, "treatment": 0.3})
    assert Population().null
    assert not Population(lift=0.1).null
    assert not Population(lift_sd=0.1).null


@pytest.mark.parametrize(
    "unlike",
    [{"activity": "pareto"}, {"closed": True}, {"late": True}, {"bots": 1, "n_users": 400}, {"allocation": 0.1}],
    ids=lambda u: next(iter(u)),
)
def test_other_traffic_is_what_a_log_of_it_would_be_reduced_to(unlike):
    """Users of a drawn test, written out as a log and read by the engine."""
    population = Population(**{"n_users": 120, "n_days": 8, "mean_sessions": 3.0, "slate_size": 2} | unlike)
    people, code = one_test(population)
    made = assigned(people, code, CTR)
    n, days = people.daily.shape[:2]
    shown = people.daily[:, :, 1].astype(int).ravel()
    user, day = np.repeat(np.repeat(np.arange(n), days), shown), np.repeat(np.tile(np.arange(days), n), shown)
    order = np.arange(len(user)) - np.repeat(np.cumsum(shown) - shown, shown)
    log = pd.DataFrame({"user_id": user, "day": day, "item_id": "x", "variant": np.array(VARIANTS)[code][user]})
    log["slate_id"], log["position"] = day * 100_000 + order // 2, 1 + order % 2
    log["clicked"] = (order < np.repeat(people.daily[:, :, 0].astype(int).ravel(), shown)).astype(int)
    known = pd.DataFrame({c: people.columns[c] for c in ("pre_clicks", "pre_impressions")})
    found = reduced(log, known.assign(user_id=range(n)), metrics=(CTR, CLICKS_PER_USER))
    assert made.users.caps == found.users.caps
    assert made.users.caps or not unlike.get("bots")
    for ours, theirs in (
        (made.users.statistics, found.users.statistics),
        (made.trend, found.trend),
        *((made.running.at(d), found.running.at(d)) for d in range(len(made.running))),
        *([(made.users.capped, found.users.capped)] if made.users.caps else []),
    ):
        for name, s in theirs.items():
            both = [c for c in s.columns if c in ours[name].columns]
            at, to = ([x.columns.index(c) for c in both] for x in (s, ours[name]))
            assert ours[name].n == s.n
            assert ours[name].mean[to] == pytest.approx(s.mean[at], nan_ok=True)
            assert ours[name].cov[np.ix_(to, to)] == pytest.approx(
                s.cov[np.ix_(at, at)], rel=1e-6, abs=1e-6, nan_ok=True
            )
    pd.testing.assert_frame_equal(made.by_day, found.by_day, check_dtype=False)
    pd.testing.assert_frame_equal(made.users.first_seen, found.users.first_seen, check_dtype=False)
    for h in (("clicks", "impressions"), ("pre_clicks", "pre_impressions")):
        assert distinct(made.users.histograms[h]).tolist() == distinct(found.users.histograms[h]).tolist()


def one_test(population: Population) -> tuple[Sample, np.ndarray]:
    """The users of one drawn test with what they were counted, and the codes of their variants."""
    kept = []

    def keep(people, code, goal):
        kept.append((people, code))
        return assigned(people, code, goal)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recab_helpers.calibration.populations.assigned", keep)
        next(draw_tests(population, 1, 12))
    return kept[0]


def test_other_traffic_is_what_its_name_says():
    _, closed = next(draw_tests(Population(n_users=300, closed=True), 1, 3))
    assert set(closed.by_day.loc["control"].index) == set(range(14)) - {6, 13}
    _, late = next(draw_tests(Population(n_users=8000, late=True), 1, 3))
    assert (late.users.first_seen.sum(axis=1) > 150).all()  # of a day's 570 newcomers, .36 come on their first
    _, bots = next(draw_tests(Population(n_users=500, bots=6), 1, 3))
    assert bots.users.caps
    assert sum(distinct(bots.users.histograms[CTR.columns])[:, 1] > 5000) == 6
    _, away = next(draw_tests(Population(n_users=8000, away=0.5, lift=0.1), 1, 3))
    shown = {v: s.sum("impressions") / s.n for v, s in away.users.statistics.items()}
    assert shown["treatment"] < 0.65 * shown["control"]


# The users of a log


def test_the_users_of_a_log_are_assigned_anew_and_nothing_is_to_be_found(rng):
    log = log_like(rng, n_users=400)
    log.loc[log["variant"] == "treatment", "clicked"] = 1  # the log has an effect, its users anew have none
    people = sample(rows_of(log), ["clicks", "impressions", "sessions"], ["clicks", "impressions"], most=1000, looks=28)
    own = Own(people=people, allocation=0.3)
    tests = [test for _, test in own.draw(60, 1)]
    assert own.null
    assert own.planned == {"control": 0.7, "treatment": 0.3}
    assert all(t.users.whole.sum("clicks") == pytest.approx(log["clicked"].sum()) for t in tests)
    shares = [t.users.counts["treatment"] / 400 for t in tests]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.02)
    lifts = [estimate_effects(t.users, (CTR,))[0].lift for t in tests]
    assert abs(np.median(lifts)) < 0.1
    first, again = (next(own.draw(1, 7))[1].users.statistics["control"].mean for _ in range(2))
    assert first.tolist() == again.tolist()


def test_of_many_users_every_so_many_th_is_taken(rng):
    log = even_log(rng, 90)
    people = sample(rows_of(log), ["clicks", "impressions"], ["clicks", "impressions"], most=40, looks=28)
    assert len(people) == 30
    assert people.of == 90
    taken = log[log["user_id"].isin(sorted(log["user_id"].unique())[::3])]
    assert people.columns["clicks"].sum() == taken["clicked"].sum()
    by_day = taken.groupby("day").size()
    assert people.daily[:, :, 1].sum(axis=0).tolist() == by_day.tolist()


def test_of_a_year_no_more_looks_than_of_a_month_hold_as_much(rng):
    """The grading of a year took 26 times as long as that of two weeks, and as much more memory."""
    log = even_log(rng, 80).assign(day=lambda t: t.index * 365 // (len(t) - 1))
    people = sample(rows_of(log), ["clicks", "impressions"], ["clicks", "impressions"], most=100, looks=28)
    assert people.daily.shape == (80, 28, 2)
    assert people.daily[:, :, 1].sum() == len(log)
    assert people.daily[:, :, 0].sum(axis=1).tolist() == people.columns["clicks"].tolist()
    by_look = np.bincount(log["day"] * 28 // 366, minlength=28)
    assert people.daily[:, :, 1].sum(axis=0).tolist() == by_look.tolist()


def test_bots_in_a_log_are_in_its_grade(rng):
    """Plain bands stop such tests of this log far too often, which a generic population would not show."""
    log = even_log(rng, 500, ctr=0.1)
    bots = pd.DataFrame({"user_id": np.repeat([900, 901, 902], 800), "variant": "treatment", "item_id": "x"})
    bots = bots.assign(slate_id=10_000 + np.arange(2400), position=1, day=np.resize(range(5), 2400), clicked=0)
    people = sample(
        rows_of(pd.concat([log, bots])), ["clicks", "impressions"], ["clicks", "impressions"], most=1000, looks=28
    )
    table = rates(grade(Own(people=people), 60, boot=False, whole=False, workers=1)).set_index(["kind", "method"])
    assert table.loc[("rejects", "usual way, impressions z"), "rate"] > 0.5
    assert table.loc[("rejects", "CTR"), "rate"] < 0.2


def test_users_without_days_are_graded_without_looks(rng):
    people = Sample(columns={"spend": rng.gamma(1.0, 2.0, 200)}, of=200)
    graded = grade(Own(people=people, goal=mean_of("spend", role="goal")), 5, boot=False, workers=1)
    assert set(graded["method"]) >= {"Spend", "spend, Mann-Whitney", "SRM"}
    assert "stops" not in set(graded["kind"])
