"""What `00_plan` rests on, and its answer: a pilot log or assumed rates, and the design of the test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers.analysis.metrics import CTR
from recab_helpers.analysis.planning import Baseline, Design, plan_table, rate_of_all_users
from recab_helpers.analysis.shipping import Pilot, chance_to_ship, with_period_before
from recab_helpers.calibration.populations import Population, draw_tests
from recab_helpers.errors import DataError
from recab_helpers.formats import count, lift, number, percent
from recab_helpers.impressions.aggregates import Users
from recab_helpers.impressions.contract import check, of_users
from recab_helpers.impressions.log import read_log
from recab_helpers.impressions.reading import Reading
from recab_helpers.impressions.reduce import reduce
from recab_helpers.impressions.sources import column_names
from recab_helpers.impressions.statistics import PRE, SufficientStatistics
from recab_helpers.impressions.user_rows import UserRows, user_rows
from recab_helpers.impressions.users import open_users
from recab_helpers.parameters import PlanParams, ReadParams

USERS_PER_DAY = 500.0  # where nobody says how many come
DRAWN_USERS, DRAWN_SEED = 20_000, 29  # of assumed rates


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """What a plan rests on; what no pilot tells is assumed."""

    baseline: Baseline
    pilot: str = ""  # name of the pilot's log
    pilot_users: int = 0
    users_per_day: float = USERS_PER_DAY  # who come for the first time that day
    pilot_days: int = 0  # over which they were counted in the pilot; 0 where they were given or assumed
    reduction_is_assumed: bool = True
    users: Pilot | None = None  # the pilot's, or drawn by the assumed rates

    @property
    def reduction_from(self) -> str:
        """Where the share of variance that CUPED removes was found."""
        return "assumed" if self.reduction_is_assumed else "in the pilot"


def grounds_of(params: PlanParams, users: Users | None = None) -> Grounds:
    """CTR, its variance and the users who come a day from the pilot log that the parameters name, else assumed rates.

    `users` are those of the pilot where it has been read.

    A pilot also says what CUPED removes where it knows its users from before: from `pre_` columns of the users file, or
    of the log itself.

    Raises:
        DataError: the pilot breaks its contract, or has no clicks or too few users.
        ParameterError: assumed rates that make no baseline.
    """
    if not params.log_file:
        names = ("ctr", "slate_size", "sessions_per_user", "click_correlation")
        rates = {name: getattr(params, name) for name in names}
        return Grounds(
            baseline=replace(Baseline.from_rates(**rates), reduction=params.cuped_reduction),
            users=_drawn(params),
            users_per_day=params.users_per_day or USERS_PER_DAY,
        )
    users = users or reduce(pilot_rows(params)).users
    pilot, days = users.whole, 0 if users.first_seen is None or params.users_per_day else len(users.first_seen)
    baseline = Baseline.from_statistics(pilot, CTR)
    assumed = not set(CTR.covariate) <= set(pilot.columns)
    return Grounds(
        baseline=replace(baseline, reduction=params.cuped_reduction) if assumed else baseline,
        pilot=Path(params.log_file).name,
        pilot_users=pilot.n,
        users_per_day=pilot.n / days if days else params.users_per_day or USERS_PER_DAY,
        pilot_days=days,
        reduction_is_assumed=assumed,
        users=Pilot.of(users, reduction=params.cuped_reduction),
    )


def _drawn(params: PlanParams) -> Pilot:
    """Users drawn by the assumed rates, in one day, since only their sums count."""
    population = Population(
        n_users=DRAWN_USERS,
        ctr=params.ctr,
        slate_size=params.slate_size,
        mean_sessions=rate_of_all_users(params.sessions_per_user),
        click_cv=math.sqrt(max(params.click_correlation, 1e-3) * (1 - params.ctr) / params.ctr),
        n_days=1,
    )
    (_, test), *_ = draw_tests(population, 1, DRAWN_SEED)
    whole = test.users.whole
    now = [i for i, c in enumerate(whole.columns) if not c.startswith(PRE)]  # what is known from before is assumed
    alone = SufficientStatistics(
        n=whole.n,
        columns=tuple(whole.columns[i] for i in now),
        mean=whole.mean[now],
        cov=whole.cov[np.ix_(now, now)],
    )
    once = Pilot.of(test.users).clicked_once
    return Pilot(statistics=with_period_before(alone, params.cuped_reduction), clicked_once=once)


def pilot_rows(params: ReadParams) -> UserRows:
    """The users of a pilot log, with what is known of them from before the pilot."""
    how = Reading.of(params)
    own = [] if params.users_file else [n for n in column_names(params.log_file, how) if n.startswith(PRE)]
    log = read_log(params.log_file, numbers=own, pilot=True, how=how, clicks=params.clicks_file or None)
    known = open_users(params.users_file, how=how) if params.users_file else None
    if known is None and own:
        known = _known_in(log.rows, own, source=params.log_file)
    return user_rows(log.rows, known, before=log.before, counted=None if own else log.counted)


def design_of(params: PlanParams) -> Design:
    """The design that the parameters describe."""
    return Design(**{name: getattr(params, name) for name in ("allocation", "n_treatments", "alpha", "power")})


def answer(grounds: Grounds, design: Design, params: PlanParams) -> str:
    """Users and days for the wanted lift, the chance to ship, and what was assumed for it, in four sentences."""
    row = plan_table(grounds.baseline, [params.lift], design, users_per_day=grounds.users_per_day).iloc[0]
    found = (
        f"To find a lift of {lift(params.lift)} in {grounds.baseline.label} with a power of {percent(design.power, 0)}"
    )
    takes = f"{found}, the test takes {count(row['users'])} users and {_days(row['days'])}"
    cuped = f"with CUPED {count(row['users_with_cuped'])} users and {_days(row['days_with_cuped'])}"
    return (
        f"{takes}; {cuped}. {_ships(grounds, design, params)}{_rests_on(grounds, params)} {_designed(design, grounds)}"
    )


def _ships(grounds: Grounds, design: Design, params: PlanParams) -> str:
    """What the guardrails of the report leave of that power."""
    if grounds.users is None:
        return ""
    row = plan_table(grounds.baseline, [params.lift], design, users_per_day=grounds.users_per_day).iloc[0]
    ship = partial(chance_to_ship, grounds.users, params.lift, design)
    once, twice = (percent(ship(users=n * row["users_with_cuped"]), 0) for n in (1, 2))
    return (
        f"Guardrails cost power: with CUPED so many users ship a treatment of that lift with a chance of {once}, "
        f"twice as many with {twice}. "
    )


def facts(grounds: Grounds, design: Design) -> dict[str, str]:
    """What the plan rests on and how the test is designed, by name."""
    baseline = grounds.baseline
    alone = {"alpha of each comparison": f"{design.level:g}"} if design.n_treatments > 1 else {}
    return {
        f"{baseline.label} in control": percent(baseline.value),
        "variance per user": number(baseline.variance, 5),
        "from": f"{grounds.pilot}, {count(grounds.pilot_users)} users" if grounds.pilot else "assumed rates",
        "removed by CUPED": f"{percent(baseline.reduction, 0)}, {grounds.reduction_from}",
        "treatments": count(design.n_treatments),
        "users outside control": percent(design.allocation, 0),
        "alpha, two-sided": f"{design.alpha:g}",
        **alone,
        "power": percent(design.power, 0),
    }


def power_title(curve: pd.DataFrame, wanted: float, days: int) -> str:
    """What so many days find, by the curve of their power: the chance at the smallest lift above or at the wanted."""
    row = curve[curve["lift"] >= wanted * (1 - 1e-9)].iloc[0]
    chances = f"{percent(row['power'], 0)}, with CUPED {percent(row['power_with_cuped'], 0)}"
    return f"{_days(days).capitalize()} find a lift of {lift(row['lift'])} with a chance of {chances}"


def _known_in(log: nw.LazyFrame, columns: Sequence[str], *, source: str) -> nw.LazyFrame:
    """What the log's own columns say of its users from before, one row each.

    Raises:
        DataError: rows of one user disagree, or a count is negative.
    """
    most = {c: f"most {c}" for c in columns}
    users = log.group_by("user_id").agg(
        *(nw.col(c).min() for c in columns), *(nw.col(c).max().alias(m) for c, m in most.items())
    )
    for column, largest in most.items():
        odd = (
            users.filter(nw.col(column) != nw.col(largest)).sort("user_id").head(1).collect("pyarrow").rows(named=True)
        )
        if odd:
            raise DataError(
                f"{source}: {column} is {odd[0][column]:g} and {odd[0][largest]:g} for the user {odd[0]['user_id']!r}. "
                "Give every row of a user the same count of the period before the pilot."
            )
    known = users.select("user_id", *columns)
    check(known, of_users(["user_id", *columns]), source=source)
    return known


def _rests_on(grounds: Grounds, params: PlanParams) -> str:
    reduction = f"that CUPED removes {percent(grounds.baseline.reduction, 0)} of the variance"
    if not grounds.pilot:
        return (
            f"This assumes a CTR of {percent(params.ctr)}, {count(params.slate_size)} items in each of "
            f"{number(params.sessions_per_user, 1)} sessions per user, clicks of a user that correlate by "
            f"{params.click_correlation:g}, and {reduction}."
        )
    says = "it is assumed" if grounds.reduction_is_assumed else "they also say"
    measured = f"CTR and its variance are those of {count(grounds.pilot_users)} users in {grounds.pilot}"
    return f"{measured}; {says} {reduction}."


def _designed(design: Design, grounds: Grounds) -> str:
    share, alpha = percent(design.allocation, 0), f"alpha {design.alpha:g} (two-sided)"
    pace = f", as in the {_days(grounds.pilot_days)} of the pilot" if grounds.pilot_days else ""
    comes = f"{count(round(grounds.users_per_day))} new users come a day{pace}"
    if design.n_treatments == 1:
        return f"The treatment gets {share} of users; {alpha}; {comes}."
    return f"{count(design.n_treatments)} treatments divide {share} of users and {alpha} equally; {comes}."


def _days(n: float) -> str:
    return f"{count(n)} {'day' if n == 1 else 'days'}"
