"""Each check fails where it should, passes where nothing is wrong, and says when it was not tested."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recab_helpers.analysis.checks import (
    CHECKS,
    FEW_DAYS,
    SRM_ALPHA,
    Assumed,
    Check,
    balance_check,
    concentration_check,
    days_check,
    dropped_check,
    known_check,
    novelty_check,
    one_variant_check,
    possible_check,
    pre_period_check,
    run_checks,
    srm_by_part,
    srm_check,
    srm_p_value,
    unit_check,
    weeks_check,
)
from recab_helpers.analysis.decision import decide
from recab_helpers.analysis.metrics import CTR
from recab_helpers.calibration.populations import assigned
from recab_helpers.impressions.aggregates import Aggregates, Sample, Users
from tests import published
from tests.made import GOAL, HALVES, LOG, PASSED, even_log, log_like, reduced, users_like, users_of


def checks_of(log, known=None, planned=HALVES) -> dict[str, Check]:
    return {c.name: c for c in run_checks(reduced(log, known), planned)}


def known_of(log: pd.DataFrame, **columns) -> pd.DataFrame:
    """What is known from before of the users of a log, in the order in which they first stand in it."""
    return pd.DataFrame({"user_id": log["user_id"].unique(), **columns})


# Sample ratio


def test_srm_is_pearsons_chi_squared():
    """44,700 against 45,489 users: chi-squared 6.90, p .0086."""
    p = srm_p_value([44_700, 45_489], [1, 1])
    assert p == pytest.approx(stats.chi2.sf(789**2 / 90_189, 1))
    assert p == published.COOKIE_CATS.srm_p_value


@pytest.mark.parametrize("source", published.SRM)
def test_published_srm_p_values(source):
    counts, p = published.SRM[source]
    assert srm_p_value(counts, [0.5, 0.5]) == p


def test_published_srm_p_value_with_yatess_correction():
    more, fewer = published.SRM_YATES.counts
    assert srm_p_value([more - 0.5, fewer + 0.5], [1, 1]) == published.SRM_YATES.p_value


def test_srm_alarms_are_as_rare_as_stated(rng):
    counts = rng.binomial(5000, 0.5, 20_000)
    p_value = {n: srm_p_value([n, 5000 - n], [1, 1]) for n in set(counts.tolist())}
    alarms = sum(p_value[n] < SRM_ALPHA for n in counts.tolist())
    assert stats.binomtest(alarms, 20_000, SRM_ALPHA).pvalue > 1e-3


def test_planned_shares_are_those_of_every_variant(rng):
    table = pd.DataFrame({"variant": np.repeat(["control", "a", "b"], [700, 200, 100]), "clicks": 1})
    test = Aggregates(users=users_of(table))
    check = srm_check(test, {"control": 0.7, "a": 0.2, "b": 0.1})
    assert (check.state, check.p_value) == ("passed", pytest.approx(1))
    assert srm_check(test, dict.fromkeys(("control", "a", "b"), 1 / 3)).state == "failed"


def test_a_variant_that_was_not_planned_fails_the_sample_ratio():
    check = srm_check(reduced(LOG.assign(variant=["control"] * 3 + ["treatment_1"] * 2 + ["treatment_2"])), HALVES)
    assert check.state == "failed"
    assert "treatment_1" in check.detail


def test_a_planned_variant_without_users_fails_the_sample_ratio(rng):
    check = srm_check(reduced(log_like(rng)), {"control": 0.4, "treatment": 0.4, "other": 0.2})
    assert check.state == "failed"
    assert "other 0 users" in check.detail


def test_a_loss_in_one_segment_fails_the_sample_ratio_there(rng):
    log = log_like(rng, n_users=3000)
    early = log.groupby("user_id")["day"].transform("min") <= 2
    lost = (log["variant"] == "treatment") & early & log["user_id"].str.endswith(("1", "3"))
    check = checks_of(log[~lost])["Split as planned by day and segment"]
    assert check.state == "failed"
    assert check.detail.split(", the least even is ")[1].startswith(("users first seen on day ", "exposure early"))


def test_the_sample_ratio_of_parts_is_bonferronis_over_days_and_levels(rng):
    table = users_like(rng, 400).assign(kind=rng.choice(["x", "y"], 400))
    users = users_of(table, ["kind"])
    first = pd.DataFrame({"control": [90, 2], "treatment": [110, 1]}, index=[0, 1])
    check = srm_by_part(Aggregates(users=replace(users, first_seen=first)), HALVES)
    by_level = [[g[v].n for v in HALVES] for g in users.segments["kind"].values()]
    smallest = min(srm_p_value(c, [1, 1]) for c in [[90, 110], [2, 1], *by_level])
    assert check.p_value == pytest.approx(min(4 * smallest, 1))
    assert check.detail.startswith("4 days and segments")


def test_a_split_of_few_users_is_tested_exactly():
    for counts, shares in (([190, 10], [0.99, 0.01]), ([3, 9], [1, 1]), ([0, 12], [1, 1])):
        n, p = sum(counts), shares[1] / sum(shares)
        below, above = stats.binom.cdf(counts[1], n, p), stats.binom.sf(counts[1] - 1, n, p)
        assert srm_p_value(counts, shares) == pytest.approx(min(1, 2 * min(below, above)))
    exact = [stats.binom(60, p) for p in (0.9, 0.05, 0.05)]
    tails = [2 * min(d.cdf(c), d.sf(c - 1)) for d, c in zip(exact, (48, 12, 0), strict=True)]
    assert srm_p_value([48, 12, 0], [0.9, 0.05, 0.05]) == pytest.approx(3 * min(tails))
    assert math.isnan(srm_p_value([0, 0], [1, 1]))


def test_segments_of_a_table_of_users_alone_warn_and_void_nothing(rng):
    """What is counted after the treatment can be changed by it."""
    table = users_like(rng, 2000)
    engaged = np.where(table["variant"] == "treatment", rng.random(2000) < 0.7, rng.random(2000) < 0.3)
    users = users_of(table.assign(engaged=np.where(engaged, "yes", "no")), ["engaged"])
    check = srm_by_part(Aggregates(users=users), HALVES)
    assert (check.state, check.gate) == ("failed", False)
    known = replace(users, first_seen=pd.DataFrame({v: [n] for v, n in users.counts.items()}))
    assert srm_by_part(Aggregates(users=known), HALVES).gate


# Healthy and broken logs


def test_a_healthy_log_passes_every_check(rng):
    log = log_like(rng, n_users=2000)
    checks = checks_of(log, known_of(log, pre_clicks=rng.poisson(3, 2000), pre_impressions=rng.poisson(20, 2000)))
    assert {name for name, c in checks.items() if c.state != "passed"} == {"Whole weeks"}  # its days have no dates
    assert len(checks) == len(CHECKS)


def test_a_user_in_two_variants_and_a_missing_day_fail_their_checks():
    log = even_log(np.random.default_rng(4), 60)
    lost = (log["variant"] == "treatment") & (log["day"] == 3)
    swapped = (log["user_id"] == 8) & (log.index % 3 == 0)
    checks = checks_of(log[~lost].assign(variant=log["variant"].mask(swapped, "treatment")))
    assert checks["One variant per user"].state == "failed"
    assert checks["Days complete"].state == "failed"
    assert checks["Users split as planned (SRM)"].state == "passed"


def test_missing_days_are_named_with_their_variant(rng):
    log = log_like(rng).replace({"variant": {"treatment": "new vs old"}})
    lost = (log["variant"] != "control") & (log["day"] == 3)
    checks = checks_of(log[~lost], planned={"control": 0.5, "new vs old": 0.5})
    assert checks["Days complete"].detail.startswith("6 days; without impressions: new vs old day 4.")


def test_users_with_impossible_counts_fail():
    table = pd.DataFrame({"variant": ["control", "treatment"], "clicks": [1, 2]})
    users = users_of(table)
    check = possible_check(Aggregates(users=replace(users, impossible=3)), HALVES)
    assert check.state == "failed"
    assert check.detail.startswith("3 users with more clicks than impressions")
    assert possible_check(Aggregates(users=replace(users, impossible=0)), HALVES).state == "passed"


def test_a_difference_before_the_test_fails_its_checks(rng):
    log = log_like(rng, n_users=2000)
    known = known_of(log)
    treated = known["user_id"].map(log.groupby("user_id")["variant"].first()) == "treatment"
    pre = np.where(treated, 4, 2) + rng.poisson(1, len(known))
    checks = checks_of(log, known.assign(pre_clicks=pre, pre_impressions=20.0 + rng.poisson(1, len(known))))
    assert checks["No difference before the test (A/A)"].state == "failed"
    assert checks["Users alike before the test (balance)"].state == "failed"
    assert "the least alike is clicks" in checks["Users alike before the test (balance)"].detail


def test_small_tests_are_warned_of(rng):
    check = checks_of(log_like(rng, n_users=200))["Enough users for the method"]
    assert check.state == "failed"
    assert not check.gate


# Novelty


def by_users(rng, ctr: np.ndarray, n: int = 3000, sessions: float = 0.5) -> tuple[Sample, np.ndarray]:
    """Users who come on several days and like more or less; CTR of control and treatment by day, shape (2, n_days)."""
    code = rng.integers(0, 2, n)
    likes, comes = rng.gamma(4.0, 0.25, n), rng.gamma(0.7, sessions / 0.7, n)
    shown = 10 * rng.poisson(comes[:, None], (n, ctr.shape[1]))
    clicks = rng.binomial(shown, np.minimum(ctr[code] * likes[:, None], 1))
    seen = shown.sum(axis=1) > 0
    daily = np.stack([clicks, shown], axis=-1)[seen]
    columns = {"clicks": daily[:, :, 0].sum(axis=1), "impressions": daily[:, :, 1].sum(axis=1)}
    return Sample(columns=columns, daily=daily, daily_columns=("clicks", "impressions")), code[seen]


def test_a_fading_effect_is_a_warning_and_not_a_gate(rng):
    days = np.arange(14)
    check = novelty_check(assigned(*by_users(rng, np.array([0.1 + 0 * days, 0.1 * (1.5 - 0.05 * days)])), CTR), HALVES)
    assert check.state == "failed"
    assert not check.gate
    assert check.detail.startswith(("the lift changes by \u22123.", "the lift changes by \u22124."))  # 3.3% to 5.3%
    assert decide([GOAL], [PASSED, check]).call == "ship"


def test_the_error_of_the_trend_is_that_of_leaving_users_out(rng):
    """The jackknife by users knows nothing of derivatives."""
    people, code = by_users(rng, np.full((2, 9), 0.1), n=1500)
    found = novelty_check(assigned(people, code, CTR), HALVES)
    clicks, shown = people.daily[:, :, 0], people.daily[:, :, 1]
    day = np.arange(9)
    parts = np.column_stack([clicks @ day, shown @ day, clicks @ (8 - day), shown @ (8 - day)])

    def value(sums: np.ndarray) -> np.ndarray:
        return np.log(sums[..., 0] / sums[..., 1]) - np.log(sums[..., 2] / sums[..., 3])

    values, variance = [], 0.0
    for arm in (0, 1):
        of = parts[code == arm]
        left_out = value(of.sum(axis=0) - of)
        values.append(value(of.sum(axis=0)))
        variance += (len(of) - 1) / len(of) * np.sum((left_out - left_out.mean()) ** 2)
    surprise = abs(values[1] - values[0]) / math.sqrt(variance)
    assert stats.norm.isf(found.p_value / 2) == pytest.approx(surprise, rel=0.03)


def test_a_trend_in_clusters_is_no_more_often_told_than_its_level_says():
    """Users who come often carry a trend of daily ratios, which took each day for a new sample."""
    rng = np.random.default_rng(5)
    tests = (assigned(*by_users(rng, np.full((2, 7), 0.1), n=150, sessions=1.0), CTR) for _ in range(300))
    told = sum(novelty_check(test, HALVES).p_value < 0.05 for test in tests)
    assert stats.binomtest(told, 300, 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize(
    ("ctr", "n_days"),
    [(0.0, 14), (0.1, FEW_DAYS - 1), (0.1, 14)],
    ids=["no clicks", "few days", "every day alike"],
)
def test_a_trend_that_cannot_be_told_is_not_tested(ctr, n_days):
    daily = np.broadcast_to(np.array([1000 * ctr, 1000.0]), (8, n_days, 2))
    columns = {"clicks": daily[:, :, 0].sum(axis=1), "impressions": daily[:, :, 1].sum(axis=1)}
    people = Sample(columns=columns, daily=daily, daily_columns=("clicks", "impressions"))
    check = novelty_check(assigned(people, np.arange(8) % 2, CTR), HALVES)
    assert check.state == "not tested"
    assert math.isnan(check.p_value)
    assert not check.gate


def test_days_that_are_no_whole_weeks_are_a_warning(rng):
    for n_days, state in ((14, "passed"), (10, "failed"), (3, "failed")):
        log = even_log(rng, 100).assign(
            day=lambda t, n=n_days: pd.Timestamp("2026-03-02") + pd.to_timedelta(t.index % n, unit="D")
        )
        test = reduced(log.rename(columns={"day": "timestamp"}))
        check = weeks_check(test, HALVES)
        assert (check.state, check.gate) == (state, False)
        assert check.detail.startswith(f"{n_days} days")
    assert weeks_check(reduced(even_log(rng, 50)), HALVES).state == "not tested"  # days without dates


# What was not tested


def test_without_days_ids_or_a_period_before_checks_are_not_tested(rng):
    test = Aggregates(users=users_of(pd.DataFrame({"variant": ["control", "treatment"] * 3, "spent": range(6)})))
    states = {c.name: c.state for c in run_checks(test, HALVES)}
    assert states.pop("Users split as planned (SRM)") == "passed"
    assert states.pop("Enough users for the method") == "failed"
    assert set(states.values()) == {"not tested"}
    assert len(states) == len(CHECKS) - 2


@pytest.mark.parametrize(
    ("clicks", "impressions"), [(0, 0), (0, 5), (5, 9)], ids=["nothing", "no clicks", "all users alike"]
)
def test_an_undefined_a_a_is_not_tested_and_has_no_p_of_one(rng, clicks, impressions):
    log = log_like(rng)
    checks = checks_of(log, known_of(log, pre_clicks=clicks, pre_impressions=impressions))
    for name in ("No difference before the test (A/A)", "Users alike before the test (balance)"):
        assert checks[name].state == "not tested"
        assert checks[name].detail
        assert math.isnan(checks[name].p_value)


def test_one_undefined_comparison_does_not_hide_another(rng):
    """b has no period before; of a it is known that it differs."""
    n = 3000
    variant = np.resize(["control", "a", "b"], n)
    shown = np.where(variant == "b", 0, 20)
    clicks = np.where(variant == "b", 0, rng.poisson(np.where(variant == "a", 4, 2)))
    test = Aggregates(
        users=users_of(pd.DataFrame({"variant": variant, "pre_clicks": clicks, "pre_impressions": shown}))
    )
    for check in (pre_period_check(test, HALVES), balance_check(test, HALVES)):
        assert check.state == "failed"


def test_a_heavy_user_before_the_test_is_no_imbalance(rng):
    """Means of so few heavy users failed healthy tests forty times as often as their level says."""
    n, failed = 300, 0
    for _ in range(300):
        heavy = np.round(10 * (1 + rng.pareto(1.1, n)))
        table = pd.DataFrame({"variant": rng.choice(["control", "treatment"], n), "pre_impressions": heavy})
        users = users_of(table.assign(pre_clicks=rng.binomial(heavy.astype(int), rng.beta(1, 15, n))))
        test = Aggregates(users=users)
        failed += min(pre_period_check(test, HALVES).p_value, balance_check(test, HALVES).p_value) < 0.05
    assert failed / 300 < 0.13  # two checks


def test_a_check_that_was_not_tested_voids_nothing():
    checks = run_checks(Aggregates(users=Users(statistics=reduced(LOG).users.statistics)), HALVES)
    assert any(c.state == "not tested" for c in checks)
    assert decide([GOAL], checks).call == "ship"


# The list


def test_a_callers_own_list_of_checks_is_run():
    def three_users(test, planned) -> Check:
        return Check(name="Three users", state="passed", detail=f"{test.users.whole.n} of {len(planned)}")

    test = reduced(LOG)
    assert run_checks(test, HALVES, [three_users]) == [Check(name="Three users", state="passed", detail="3 of 2")]
    both = run_checks(test, HALVES, [*CHECKS, three_users])
    assert [c.name for c in both] == [*(c.name for c in run_checks(test, HALVES)), "Three users"]
    assert run_checks(test, HALVES, []) == []


def test_what_a_check_says_is_plain_values(rng):
    log = log_like(rng, n_users=2000)
    for check in checks_of(log, known_of(log, pre_clicks=rng.poisson(3, 2000), pre_impressions=20)).values():
        values = asdict(check)
        assert json.loads(json.dumps(values))["name"] == check.name
        assert type(check.gate) is bool
        assert type(check.p_value) is float
        assert check.state in ("passed", "failed", "not tested")


def test_every_check_reads_one_test_and_the_planned_shares(rng):
    test = reduced(log_like(rng))
    assert one_variant_check in CHECKS
    assert [check(test, HALVES).name for check in CHECKS] == [c.name for c in run_checks(test, HALVES)]


def test_equal_shares_are_assumed_where_nothing_was_planned_and_said_to_be(rng):
    test = reduced(even_log(rng, 900, variants=("control", "a", "b")))
    check = srm_check(test, Assumed({"control": 1 / 3, "a": 1 / 3, "b": 1 / 3}))
    assert check.state == "passed"
    assert "assumed 33.33%" in check.detail
    other = srm_check(test, Assumed({"control": 0.5, "a": 0.25, "b": 0.25}))
    assert other.state == "failed"
    assert "give them (allocation)" in other.detail


def by_day(rows: dict) -> pd.DataFrame:
    """Users by variant and day, as a table of days has them."""
    table = pd.DataFrame({"users": rows})
    return table.rename_axis(["variant", "day"])


def with_days(rng, rows: dict) -> Check:
    test = Aggregates(users=users_of(users_like(rng, 400)), by_day=by_day(rows))
    return days_check(test, HALVES)


def test_a_day_without_any_traffic_and_a_sparse_one_are_no_fault(rng):
    closed = {(v, d): 30 for v in HALVES for d in (0, 1, 3)}
    check = with_days(rng, closed)
    assert check.state == "passed"
    assert "1 of them without any impression" in check.detail
    assert with_days(rng, closed | {("control", 4): 2}).state == "passed"  # as likely as two coins alike
    lost = with_days(rng, closed | {("control", 4): 30})
    assert lost.state == "failed"
    assert "treatment day 5" in lost.detail


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_sample_ratio_of_few_users_keeps_its_level(share):
    n = 1000
    counts = np.arange(n + 1)
    p = np.array([srm_p_value([n - k, k], [1 - share, share]) for k in counts])
    assert stats.binom.pmf(counts, n, share)[p < SRM_ALPHA].sum() <= SRM_ALPHA * 1.2


def test_users_in_two_variants_void_a_test_only_where_they_are_many(rng):
    users = users_of(users_like(rng, 1000))
    for twice, state in ((5, "passed"), (30, "failed")):
        check = one_variant_check(Aggregates(users=replace(users, in_two_variants=twice)), HALVES)
        assert check.state == state
        assert f"{twice} users" in check.detail


def test_a_users_table_that_knows_few_and_a_user_who_outweighs_the_rest_are_warned_of(rng):
    table = users_like(rng, 1000)
    users = users_of(table, histograms=[("clicks", "impressions")])
    assert known_check(Aggregates(users=replace(users, unknown=400)), HALVES).state == "passed"
    warned = known_check(Aggregates(users=replace(users, unknown=600)), HALVES)
    assert (warned.state, warned.gate) == ("failed", False)
    assert concentration_check(Aggregates(users=users), HALVES).state == "passed"
    table.loc[0, ["impressions", "clicks", "sessions"]] = [30_000, 10, 3000]
    bot = users_of(table, histograms=[("clicks", "impressions")])
    heavy = concentration_check(Aggregates(users=bot), HALVES)
    assert (heavy.state, heavy.gate) == ("failed", False)
    assert f"{bot.caps['impressions']:,.0f} impressions" in heavy.detail


def test_rows_left_out_are_held_against_the_planned_shares_by_their_users():
    users = Users.of(["control", "treatment"] * 5, {"clicks": np.arange(10)})
    even = Aggregates(users=users, dropped={"control": (300, 103), "treatment": (90, 97)})
    check = dropped_check(even, HALVES)
    assert check.state == "passed"
    assert check.p_value == pytest.approx(stats.chisquare([103, 97]).pvalue)
    assert check.detail == "control 300 rows of 103 users, treatment 90 rows of 97 users"
    uneven = replace(even, dropped={"treatment": (200, 60), "unknown": (7, 2)})
    check = dropped_check(uneven, HALVES)
    assert (check.state, check.gate) == ("failed", True)
    assert check.p_value == pytest.approx(stats.chisquare([0, 60]).pvalue)
    assert "7 rows of no variant" in check.detail
    few = dropped_check(replace(even, dropped={"treatment": (9, 9)}), HALVES)
    assert few.state == "not tested"
    assert "Rows left out" not in {c.name for c in run_checks(replace(even, dropped={}), HALVES)}
    assert "Rows left out" in {c.name for c in run_checks(uneven, HALVES)}


def test_impressions_without_users_decide_nothing(rng):
    test = replace(reduced(even_log(rng, 600)), by_impression=True)
    checks = run_checks(test, HALVES)
    assert unit_check(test, HALVES) in checks
    verdict = decide([GOAL], checks)
    assert (verdict.call, verdict.winner) == ("invalid", "")
    assert "too narrow by an unknown factor" in unit_check(test, HALVES).detail
    assert decide([GOAL], run_checks(replace(test, by_impression=False), HALVES)).call != "invalid"
