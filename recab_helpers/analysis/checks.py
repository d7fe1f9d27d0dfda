"""Checks that gate the verdict: a test that fails one of them names no winner.

A check is a function of the aggregates and the planned shares; CHECKS is the list of those that are run, and a caller
may give another.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from recab_helpers.analysis.carry_over import carry_over
from recab_helpers.analysis.effects import estimate
from recab_helpers.analysis.metrics import ratio_of
from recab_helpers.analysis.sensitivity import mann_whitney
from recab_helpers.analysis.statistics import bonferroni, effective_users, t_tail, variance_of, welch_freedom
from recab_helpers.brief import Brief
from recab_helpers.formats import lift
from recab_helpers.impressions.aggregates import Aggregates
from recab_helpers.impressions.statistics import PRE, SufficientStatistics

SRM_ALPHA = 5e-4  # one false alarm in two thousand healthy experiments
GATE_ALPHA = 1e-3  # of the other gates that test a hypothesis
NOVELTY_ALPHA = 0.01  # a warning, not a gate
FEW_EXPECTED = 100  # users of a variant, below which the tail of chi-squared is too light at SRM_ALPHA
SMALL_N = 500  # users in a variant, below which normal intervals are doubtful for heavy-tailed counts
SMALL_CLICKED = 100  # users of a variant who clicked, likewise
MOST_TWICE = 0.01  # share of users in two variants, above which those left out may not be like the others
WEEK = 7
FEW_DAYS = 4  # with clicks in both variants, below which no trend is told

State = Literal["passed", "failed", "not tested"]
Planned = Mapping[str, float]  # share of users by variant


class Assumed(dict[str, float]):
    """Shares of users by variant that nobody planned but that are taken for planned."""


@dataclass(frozen=True, kw_only=True)
class Check(Brief):
    """One check; `detail` gives the counts behind it and, when it failed, where to look, or why it was not tested.

    A failed check that is no gate is a warning: it does not void the verdict.
    """

    name: str
    state: State
    detail: str
    p_value: float = math.nan
    gate: bool = True

    def in_words(self) -> str:
        """Name, state and the counts behind it."""
        return f"{self.name}: {self.state}. {self.detail}"


CheckFunction = Callable[[Aggregates, Planned], Check]


def run_checks(test: Aggregates, planned: Planned, checks: Sequence[CheckFunction] | None = None) -> list[Check]:
    """Every check of the list (CHECKS unless given) on the test; `planned` holds the share of users by variant."""
    if checks is None:
        always = CHECKS if test.users.within is None else CHECKS_WITHIN[test.users.within.design]
        if test.off_policy:
            always = EVERY_DESIGN
        checks = (*always, *([dropped_check] if test.dropped else []), *([unit_check] if test.by_impression else []))
    return [check(test, planned) for check in checks]


def judged(name: str, passed: bool, detail: str, where: str, *, p_value: float = math.nan, gate: bool = True) -> Check:
    """A check that could be tested; `where` to look is said when it failed."""
    said = detail if passed else f"{detail}. {where}"
    state: State = "passed" if passed else "failed"
    return Check(name=name, state=state, detail=said, p_value=p_value, gate=gate)


def not_tested(name: str, why: str, *, gate: bool = True) -> Check:
    """A check that these data cannot answer."""
    return Check(name=name, state="not tested", detail=why, gate=gate)


def srm_p_value(counts: Sequence[float], weights: Sequence[float]) -> float:
    """Chance of a split this uneven or worse, had assignment followed `weights`.

    Pearson chi-squared on counts of users, never of impressions (Fabijan et al., KDD 2019). Where fewer than
    FEW_EXPECTED users are expected in a variant, twice the smaller tail of the binomial: of one of two variants, or of
    each against the others with Bonferroni's correction. Nan without users.

    >>> f"{srm_p_value([502, 498], [0.5, 0.5]):.3f}"
    '0.899'
    >>> f"{srm_p_value([821_588, 815_482], [0.5, 0.5]):.1e}"
    '1.8e-06'
    """
    total, mass = sum(counts), sum(weights)
    if total * min(weights) < FEW_EXPECTED * mass:
        pairs = list(zip(counts, weights, strict=True))[1 if len(counts) == 2 else 0 :]  # of two, one says both
        tails = ((special.bdtr(c, total, w / mass), special.bdtrc(c - 1, total, w / mass)) for c, w in pairs if total)
        return bonferroni(min(1.0, 2 * float(min(two))) for two in tails)
    expected = [total * w / mass for w in weights]
    statistic = sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True))
    return float(special.chdtrc(len(expected) - 1, statistic))


def srm_check(test: Aggregates, planned: Planned) -> Check:
    """Do the users per variant fit the planned shares? A variant that was not planned fails."""
    name, found = "Users split as planned (SRM)", test.users.counts
    word = "assumed" if isinstance(planned, Assumed) else "planned"
    if extra := [v for v, n in found.items() if v not in planned and n]:
        detail = f"{word} are {', '.join(planned)}, but the log also holds {', '.join(sorted(extra))}"
        return judged(name, False, detail, "Check how variants are named.")
    counts = {v: found.get(v, 0) for v in planned}
    p = srm_p_value(list(counts.values()), list(planned.values()))
    n = sum(counts.values())
    detail = ", ".join(f"{v} {c:,} users ({c / n:.2%}, {word} {planned[v]:.2%})" for v, c in counts.items())
    where = "Look for users lost or filtered in one variant, redirects, bots and late logging."
    if word == "assumed":
        where = f"If other shares were planned, give them (allocation). Else: {where}"
    return judged(name, p >= SRM_ALPHA, detail, where, p_value=p)


def srm_by_part(test: Aggregates, planned: Planned) -> Check:
    """The sample ratio of every day's newly exposed users and of every segment, Bonferroni over them.

    Segments of a table of users alone may be counted after the treatment, which can then change them: a warning only.
    """
    parts = {}
    if test.users.first_seen is not None:
        first, nobody = test.users.first_seen, np.zeros(len(test.users.first_seen), dtype=int)
        by_variant = [first[v].to_numpy() if v in first else nobody for v in planned]
        for day, counts in zip(first.index, np.column_stack(by_variant).tolist(), strict=True):
            parts[f"users first seen on day {day + 1}"] = counts
    for segment, levels in test.users.segments.items():
        for level, group in levels.items():
            parts[f"{segment} {level}"] = [group[v].n if v in group else 0 for v in planned]
    smallest = min(planned.values())
    enough = {k: c for k, c in parts.items() if sum(c) * smallest >= 1}  # fewer cannot fail the exact test
    name = "Split as planned by day and segment"
    if not enough:
        return not_tested(name, "no day or segment has users enough to test")
    p_values = {k: srm_p_value(c, list(planned.values())) for k, c in enough.items()}
    p = bonferroni(p_values.values())
    detail = f"{len(enough)} days and segments, the least even is {min(p_values, key=p_values.__getitem__)}"
    where, gate = "Look at what happened to assignment or logging there.", test.users.first_seen is not None
    return judged(name, p >= SRM_ALPHA, detail, where, p_value=p, gate=gate)


def one_variant_check(test: Aggregates, planned: Planned) -> Check:
    """Was every user seen in one variant only?"""
    name, twice = "One variant per user", test.users.in_two_variants
    if twice is None:
        return not_tested(name, "users have no ids")
    share = twice / (twice + test.users.whole.n)
    left = "; they are left out" if twice else ""
    detail = f"{twice:,} users ({share:.2%}) were seen in more than one variant{left}"
    return judged(name, share <= MOST_TWICE, detail, "Look at how assignment is remembered between sessions.")


def known_check(test: Aggregates, planned: Planned) -> Check:
    """Does the table of users know the users of the log? A warning only: who is new was not there before."""
    name, unknown, n = "Users known from before", test.users.unknown, test.users.n
    if unknown is None:
        return not_tested(name, "no table of users was given", gate=False)
    detail = f"all {n:,} users are in the table of users"
    if unknown:
        detail = f"{n - unknown:,} of {n:,} users are in the table of users; the counts of the others from before are 0"
    return judged(name, unknown < n / 2, detail, "Look at whether ids are written alike in both.", gate=False)


def concentration_check(test: Aggregates, planned: Planned) -> Check:
    """Does one user outweigh the rest? A warning only: heavy users are then capped in the goal."""
    name, users = "No user outweighs the rest", test.users
    shares = {}
    for goal, histogram in users.histograms.items():
        value = histogram.values[:, -1]
        for variant, counts in histogram.counts.items():
            if (total := value @ counts) > 0:
                shares[variant, goal[-1]] = value[counts > 0].max() / total
    if not shares:
        return not_tested(name, "what each user adds is not known", gate=False)
    (variant, column), share = max(shares.items(), key=lambda s: s[1])
    detail = f"the largest makes up {share:.1%} of the {column} of {variant}"
    capped = " and ".join(f"{cap:,.0f} {column}" for column, cap in users.caps.items())
    where = f"Heavier users are counted as if they had {capped}, in looks and segments too. Are they bots?"
    return judged(name, not users.caps, detail, where, gate=False)


def possible_check(test: Aggregates, planned: Planned) -> Check:
    """Can every count be: clicks within impressions, and no impression without a session?"""
    name, bad = "Possible counts", test.users.impossible
    if bad is None:
        return not_tested(name, "clicks, impressions or sessions are not counted")
    detail = f"{bad:,} users with more clicks than impressions or more sessions than impressions"
    return judged(name, not bad, detail, "Look for rows logged twice and for slate ids shared between users.")


def days_check(test: Aggregates, planned: Planned) -> Check:
    """Does every variant have impressions on every day that any has some and that is busy enough to tell?"""
    name = "Days complete"
    if test.by_day is None:
        return not_tested(name, "days are not known")
    every, of = test.daily
    days, n = every.tolist(), test.users.whole.n
    span = range(days[0], days[-1] + 1)
    users = {v: of[v]["users"] if v in of else np.zeros(len(days)) for v in test.users.variants}
    seen, share = np.sum(list(users.values()), axis=0), test.users.counts
    chance = {  # that so few users leave the variant out
        (v, d): (1 - share[v] / n) ** seen[i] for v, came in users.items() for i, d in enumerate(days) if not came[i]
    }
    missing = [f"{v} day {d + 1}" for (v, d), p in chance.items() if p * len(share) * len(days) < GATE_ALPHA]
    if not missing:
        closed = f", {len(span) - len(days)} of them without any impression" if len(span) > len(days) else ""
        return judged(name, True, f"{len(span)} days{closed}, no variant alone without impressions beyond chance", "")
    detail = f"{len(span)} days; without impressions: {', '.join(missing[:5])}"
    return judged(name, False, detail, "Look for lost logs, or keep whole days only.")


def weeks_check(test: Aggregates, planned: Planned) -> Check:
    """Does every day of the week count as often? A warning only: weekends are unlike other days.

    Only where days have dates; those of a log without are not known to be days of the calendar.
    """
    name = "Whole weeks"
    if test.by_day is None or test.first_day is None:
        return not_tested(name, "days have no dates", gate=False)
    days = test.by_day.index.get_level_values("day")
    n = int(days.max() - days.min()) + 1
    detail = f"{n} {'day' if n == 1 else 'days'}" + (f", {n // WEEK} of 7 days each" if n >= WEEK else "")
    where = "Some days of the week count more often than others: run whole weeks."
    return judged(name, n % WEEK == 0, detail, where, gate=False)


def pre_period_check(test: Aggregates, planned: Planned) -> Check:
    """An A/A test of CTR on the pre-experiment period, when both variants had the same model.

    By ranks of what users clicked beyond the common CTR (Mann and Whitney 1947), which hold their level whatever the
    tails: means of a few heavy users do not.
    """
    name = "No difference before the test (A/A)"
    spec = ratio_of(f"{PRE}clicks", f"{PRE}impressions", name="pre", label="CTR before the test", covariate=())
    before = test.users.histograms.get(spec.columns)
    if before is None:
        return not_tested(name, "clicks and impressions of the period before the test are not known")
    statistics = test.users.statistics
    effects = [estimate(spec, statistics[c.against], statistics[c.variant]) for c in test.users.comparisons]
    clicks, shown = before.values.T
    beyond = before.of_value("clicks beyond", clicks - shown * (test.users.whole.gradient(spec.columns)[0]))
    p = bonferroni(mann_whitney(beyond, c).p_value for c in test.users.comparisons)
    if math.isnan(p):
        return not_tested(name, next((e.reason for e in effects if e.reason), "all users had the same CTR"))
    detail = f"CTR lift {', '.join(lift(e.lift) for e in effects)} before the test, compared by ranks"
    where = "The variants differed before the test: look at assignment and at earlier experiments."
    return judged(name, p >= GATE_ALPHA, detail, where, p_value=p)


def balance_check(test: Aggregates, planned: Planned) -> Check:
    """Are the variants alike in what is known from before? Rank tests, Bonferroni over columns and treatments."""
    name = "Users alike before the test (balance)"
    of = {c: h.only(c) for h in test.users.histograms.values() for c in h.columns if c.startswith(PRE)}
    if not of:
        return not_tested(name, "nothing is known of the period before the test")
    p_values = {
        (column, c): mann_whitney(histogram, c).p_value
        for column, histogram in of.items()
        for c in test.users.comparisons
    }
    p = bonferroni(p_values.values())
    if math.isnan(p):
        return not_tested(name, "nothing known of the period before the test varies between users")
    column, _ = min(p_values, key=lambda k: (math.isnan(p_values[k]), p_values[k]))
    n = len({c for (c, _), p in p_values.items() if not math.isnan(p)})
    detail = f"{n} counts from before the test by ranks, the least alike is {column.removeprefix(PRE)}"
    where = "The variants were unlike before the test: look at assignment."
    return judged(name, p >= GATE_ALPHA, detail, where, p_value=p)


def novelty_check(test: Aggregates, planned: Planned) -> Check:
    """Does the effect drift over the days? A warning only.

    The lift of CTR with late days weighing more, against that with early days weighing more; users are the clusters
    (delta method), since they come on several days.
    """
    name, few = "Steady effect (novelty)", f"fewer than {FEW_DAYS} days with clicks in both variants, or all alike"
    if test.by_day is None or not test.trend:
        return not_tested(name, "days are not known", gate=False)
    days, of = test.daily
    day, weight = days.astype(float), np.sum([d["impressions"] for d in of.values()], axis=0)
    last = day.max()
    trends = []
    for comparison in test.users.comparisons:
        clicks = [of[v]["clicks"] for v in (comparison.against, comparison.variant) if v in of]
        if len(clicks) < 2 or np.count_nonzero((clicks[0] > 0) & (clicks[1] > 0)) < FEW_DAYS:
            continue
        ends = [_late_over_early(test.trend[v], last) for v in (comparison.against, comparison.variant)]
        (c, c_var, c_users), (t, t_var, t_users) = ends
        if not c_var + t_var > 0:
            continue
        apart = np.average(day, weights=weight * day) - np.average(day, weights=weight * (last - day))
        p = 2 * t_tail(abs(t - c) / math.sqrt(c_var + t_var), welch_freedom(c_var, c_users, t_var, t_users))
        trends.append((p, (t - c) / apart))
    if not trends:
        return not_tested(name, few, gate=False)
    p = bonferroni(p for p, _ in trends)
    detail = f"the lift changes by {lift(float(np.expm1(min(trends)[1])), 2)} of itself a day"
    where = "Run longer, and compare new with old users in the segments."
    return judged(name, p >= NOVELTY_ALPHA, detail, where, p_value=p, gate=False)


def _late_over_early(s: SufficientStatistics, last: float) -> tuple[float, float, float]:
    """log of the CTR weighted by the day over that weighted by the days to the last, its variance, effective users."""
    clicks, shown, late_clicks, late_shown = s.mean
    parts = np.array([late_clicks, late_shown, last * clicks - late_clicks, last * shown - late_shown])
    if not (parts > 0).all():
        return math.nan, math.nan, math.nan
    by_part = np.array([1, -1, -1, 1]) / parts  # derivatives of the log by the four weighted sums
    gradient = np.array([last * by_part[2], last * by_part[3], by_part[0] - by_part[2], by_part[1] - by_part[3]])
    users = effective_users(s, "impressions")
    grow = (1 - 1 / s.n) / (1 - 1 / users)
    return float(np.log(parts) @ [1, -1, -1, 1]), grow * variance_of(s, gradient), users


def smallest(test: Aggregates) -> tuple[int, int | None]:
    """Users, and users who clicked (None where that is not counted), of the variant that has fewest."""
    users = test.users
    clicked = [s.sum("clicked_any") for s in users.statistics.values()] if "clicked_any" in users.columns else []
    return min(users.counts.values()), round(min(clicked)) if clicked else None


def is_small(test: Aggregates) -> bool:
    """Whether there are too few users or clicks for normal intervals to be relied on."""
    n, clicked = smallest(test)
    return n < SMALL_N or (clicked is not None and clicked < SMALL_CLICKED)


def size_check(test: Aggregates, planned: Planned) -> Check:
    """Are there users and clicks enough for normal intervals? A warning only."""
    n, clicked = smallest(test)
    detail = f"the smallest variant has {n:,} users" + ("" if clicked is None else f", and {clicked:,} who clicked")
    passed = not is_small(test)
    where = f"Intervals are doubtful below {SMALL_N} users or {SMALL_CLICKED} who clicked: run longer."
    return judged("Enough users for the method", passed, detail, where, gate=False)


def dropped_check(test: Aggregates, planned: Planned) -> Check:
    """Do the users with rows that were left out fit the planned shares?"""
    name = "Rows left out"
    counts = [test.dropped.get(v, (0, 0)) for v in planned]
    detail = ", ".join(
        f"{v} {rows:,} rows of {users:,} users" for v, (rows, users) in zip(planned, counts, strict=True)
    )
    if unknown := sum(rows for v, (rows, _) in test.dropped.items() if v not in planned):
        detail += f", {unknown:,} rows of no variant"
    if sum(users for _, users in counts) * min(planned.values()) < 5:  # chi-squared needs five expected
        return not_tested(name, f"{detail}: too few users to tell whether they fall evenly")
    p = srm_p_value([users for _, users in counts], list(planned.values()))
    where = "What breaks the rows depends on the variant: mend the log."
    return judged(name, p >= SRM_ALPHA, detail, where, p_value=p)


def unit_check(test: Aggregates, planned: Planned) -> Check:
    """Is the unit the user? Without ids of users nothing may be decided."""
    detail = "impressions are the unit, since users have no ids; every interval is too narrow by an unknown factor"
    return judged("Unit of the analysis", False, detail, "Log who was shown the item.")


CHECKS: tuple[CheckFunction, ...] = (
    srm_check,
    srm_by_part,
    one_variant_check,
    possible_check,
    concentration_check,
    known_check,
    days_check,
    weeks_check,
    pre_period_check,
    balance_check,
    novelty_check,
    size_check,
)


def sessions_check(test: Aggregates, planned: Planned) -> Check:
    """Do the sessions per variant fit the planned shares? Each drew its variant by itself."""
    name, of = "Sessions split as planned (SRM)", test.users.within
    counts = {v: s.sum("sessions") for v, s in test.users.statistics.items() if "sessions" in s.columns}
    if of is None or not counts:
        return not_tested(name, "the log tells no sessions (slate_id)")
    word = "assumed" if isinstance(planned, Assumed) else "planned"
    p, n = srm_p_value(list(counts.values()), [planned[v] for v in counts]), sum(counts.values())
    shares = (f"{v} {c:,.0f} sessions ({c / n:.2%}, {word} {planned[v]:.2%})" for v, c in counts.items())
    where = "Look for sessions lost in one variant, and whether each draws its variant by itself."
    return judged(name, p >= SRM_ALPHA, ", ".join(shares), where, p_value=p)


def one_session_check(test: Aggregates, planned: Planned) -> Check:
    """Did every session keep its variant?"""
    name, of = "One variant per session", test.users.within
    if of is None or of.mixed is None:
        return not_tested(name, "the log tells no sessions (slate_id)")
    detail = f"{of.mixed:,} sessions hold items of more than one variant; that users meet both is by design"
    where = "Give every session one variant, or read interleaved slates as such: design=interleaved."
    return judged(name, not of.mixed, detail, where)


def carry_over_check(test: Aggregates, planned: Planned) -> Check:
    """Does CTR depend on the variant of the session before? A warning only: what lasts is in both variants."""
    name, of = "No carry-over between sessions", test.users.within
    found = None if of is None else carry_over(of, test.users.variants)
    if found is None:
        return not_tested(name, "the sessions are not in order (timestamp), or too few follow another", gate=False)
    change, p = found
    detail = f"CTR changes by {lift(change, 1)} after a session of the other variant"
    where = "A session leaves something behind: give users one variant each."
    return judged(name, p >= NOVELTY_ALPHA, detail, where, p_value=p, gate=False)


def coin_check(test: Aggregates, planned: Planned) -> Check:
    """Does either variant pick first as often? A draft that favors one is no fair comparison."""
    name = "Both pick first as often (coin)"
    if test.by_position is None or 1 not in test.by_position.index.get_level_values("position"):
        return not_tested(name, "positions are not known")
    first = test.by_position.xs(1, level="position")["impressions"].reindex(test.users.variants, fill_value=0)
    p = srm_p_value(first.to_list(), [1.0] * len(first))
    detail = ", ".join(f"{v} picked first in {n:,.0f} slates" for v, n in first.items())
    return judged(name, p >= SRM_ALPHA, detail, "Look at the coin, and for slates lost.", p_value=p)


EVERY_DESIGN: tuple[CheckFunction, ...] = (possible_check, known_check, days_check, weeks_check, size_check)
CHECKS_WITHIN: dict[str, tuple[CheckFunction, ...]] = {
    "sessions": (sessions_check, one_session_check, carry_over_check, *EVERY_DESIGN),
    "interleaved": (coin_check, *EVERY_DESIGN),
}
