"""Grade the analysis on thousands of drawn tests: the functions of a report, on aggregates whose truth is known."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from recab_helpers.analysis import (
    CTR,
    Effect,
    MetricSpec,
    estimate_effects,
    posterior_of,
    sensitivity,
    srm_p_value,
)
from recab_helpers.analysis.checks import SRM_ALPHA, run_checks
from recab_helpers.analysis.decision import decide
from recab_helpers.analysis.estimating import per_user
from recab_helpers.analysis.looks import ToDate, looks_to_date
from recab_helpers.analysis.metrics import METRICS
from recab_helpers.analysis.progress import progress_of
from recab_helpers.analysis.segments import cochran, in_segments
from recab_helpers.analysis.sequential import Shape, confidence_sequence, crosses, first_crossing
from recab_helpers.analysis.statistics import normal_critical
from recab_helpers.analysis.totals import ctr_intervals
from recab_helpers.calibration.populations import BATCH, Tests, draw_tests
from recab_helpers.calibration.usual_ways import impressions_p, total_clicks_p
from recab_helpers.impressions.aggregates import CELL, Aggregates, Running, Users
from recab_helpers.references import CONTROL

LOOKS_EVERY, BOOTSTRAP_EVERY = 4, 16  # looks at tests with an effect and the bootstrap cost most: graded on a part
GUARDRAIL_MARGIN = 0.05
PLANNED: dict[Shape, str] = {
    "obrien_fleming": "planned looks (O'Brien-Fleming)",
    "pocock": "planned looks (Pocock)",
}
ANY_LOOK = "any look (confidence sequence)"
TYPED = "typed every evening"  # a report of a test with a planned end
RATES_COLUMNS = {
    "kind": "what is counted: a p below its level, an interval that holds the truth, a test that a look stops, that "
    "ships, or that a failed gate voids",
    "method": "whose doing it is",
    "rate": "share of the tests",
    "error": "two standard errors of that share",
    "tests": "tests in which it was defined",
}
Kind = Literal["rejects", "covers", "stops", "passes", "ships", "voids", "chance", "truth"]


@dataclass(frozen=True)
class Grade:
    """What one method did in one test: 1 or 0, or the number itself for `chance` and `truth`; nan is undefined."""

    kind: Kind
    method: str
    value: float


def grade_one(
    true_lift: float,
    test: Aggregates,
    *,
    planned: dict[str, float],
    alpha: float,
    boot: bool,
    whole: bool = True,
    goal: MetricSpec = CTR,
    rate: float = math.nan,
) -> list[Grade]:
    """What every method says of one test with two variants, ours and the usual ways; `rate` is control's true CTR.

    The `whole` of it are the checks, the verdict, segments and days too.
    """
    users = test.users
    guard_spec = replace(goal, name="guardrail", role="guardrail", margin=GUARDRAIL_MARGIN)
    beside = _beside(goal, users) if whole else ()
    main, guard, *others = estimate_effects(users, (goal, guard_spec, *beside), alpha=alpha)
    (plain,) = estimate_effects(users, (goal,), alpha=alpha, cuped=False)
    intervals = {f"{goal.label}, CUPED": main, goal.label: plain}
    p_values = {name: effect.p_value for name, effect in intervals.items()}
    if goal.kind == "ratio":
        counted = f"{goal.numerator} per user"
        p_values[f"{counted}, CUPED"] = per_user(main, others, users).p_value
        p_values[f"{counted}, Welch"] = per_user(main, [], users, cuped=False).p_value
    if {"clicks", "impressions"} <= set(users.columns):
        p_values["usual way, total clicks"] = total_clicks_p(users)
        p_values["usual way, impressions z"] = impressions_p(users)
    for effect in sensitivity(users, (goal,), alpha=alpha, boot=boot)[1:]:  # the first is plain
        ranks = effect.method == "Mann-Whitney"
        method = f"{effect.metric.numerator}, Mann-Whitney" if ranks else f"{goal.label}, {effect.method}"
        p_values[method] = effect.p_value
        intervals |= {} if ranks else {method: effect}
    more = _whole(test, [main, *others], planned=planned, alpha=alpha, rate=rate) if whole else []
    chance = posterior_of(main)
    srm = srm_p_value(list(users.counts.values()), list(planned.values())) if len(users.counts) == 2 else math.nan
    return [
        *(Grade("rejects", method, _below(p, alpha)) for method, p in p_values.items()),
        Grade("rejects", "SRM", _below(srm, SRM_ALPHA)),
        Grade("passes", "guardrail, non-inferiority", _below(guard.noninferiority_p, alpha)),
        *(Grade("covers", method, _covers(effect.lift_ci, true_lift)) for method, effect in intervals.items()),
        *more,
        Grade("chance", "to be better", chance.chance_to_be_better if chance else math.nan),
        Grade("truth", "lift", true_lift),
    ]


def _beside(goal: MetricSpec, users: Users) -> tuple[MetricSpec, ...]:
    """The other metrics of METRICS that these users can be read by."""
    return tuple(m for m in METRICS if m.role != "goal" and m != goal and set(m.columns) <= set(users.columns))


def _whole(
    test: Aggregates, effects: list[Effect], *, planned: dict[str, float], alpha: float, rate: float
) -> list[Grade]:
    """What a test is judged by beside its effects: checks, verdict, segments, and the CTR of a day."""
    users, goal, p_values = test.users, effects[0].metric, {}
    levels: dict[str, list[Effect]] = {}
    for part in in_segments(users, goal, alpha=alpha):
        if part.effect is not None and part.effect.log_se > 0:
            levels.setdefault(part.segment, []).append(part.effect)
    for segment, of in levels.items():
        if len(of) > 1:
            ends = np.log1p([e.lift for e in of]), np.array([e.log_se for e in of])
            p_values[f"lifts differ by {segment}"] = cochran(*ends)[1]
    checks = run_checks(test, planned)
    p_values |= {f"check, {c.name}": c.p_value for c in checks if not math.isnan(c.p_value)}
    verdict = decide(effects, checks)
    return [
        *(Grade("rejects", method, _below(p, alpha)) for method, p in p_values.items()),
        Grade("voids", "any gate", float(not verdict.valid)),
        Grade("ships", "verdict", float(verdict.call == "ship")),
        *_days_covered(test, rate, alpha=alpha),
    ]


def _days_covered(test: Aggregates, rate: float, *, alpha: float) -> list[Grade]:
    """Does the interval of control's CTR on the day in the middle hold the true one?"""
    of = test.daily[1].get(CONTROL)
    if of is None or math.isnan(rate):
        return []
    there = np.flatnonzero(of["users"])
    at = there[len(there) // 2]
    _, low, high = ctr_intervals(*(of[c][at] for c in ("impressions", "clicks", *CELL)), alpha=alpha)
    return [Grade("covers", "CTR of one day", _covers((float(low), float(high)), rate))]


def grade_looks(running: Running, *, alpha: float, goal: MetricSpec = CTR) -> list[Grade]:
    """Did daily looks ever exclude zero: with planned spending, at any look, every evening, and unadjusted?"""
    if not (found := looks_to_date(running, goal)):
        return []
    (looks,) = found
    surprise = np.abs(looks.log_ratio) / looks.log_se
    stops = dict.fromkeys((*PLANNED.values(), ANY_LOOK, TYPED), False)
    if surprise.max() > normal_critical(alpha / 2):  # no band is narrower than that of one look, by the normal
        evenings = progress_of(running, planned_days=len(running), shape="obrien_fleming")
        typed = looks.at(np.array(evenings.reached if evenings else ()))
        for shape, method in PLANNED.items():
            stops[method] = _crosses(looks, alpha=alpha, shape=shape)
        stops[TYPED] = _crosses(typed, alpha=alpha, shape="obrien_fleming")
        band = confidence_sequence(looks.log_ratio, looks.log_se, alpha=alpha, freedom=looks.log_freedom)
        stops[ANY_LOOK] = first_crossing(*band) is not None
    stops["usual way, unadjusted daily looks"] = first_crossing(*looks.naive(alpha)) is not None
    return [Grade("stops", method, float(stopped)) for method, stopped in stops.items()]


def _crosses(looks: ToDate, *, alpha: float, shape: Shape) -> bool:
    numbers = looks.log_ratio, looks.log_se, looks.fraction
    return crosses(*numbers, alpha=alpha, shape=shape, freedom=looks.log_freedom)


def grade(
    population: Tests,
    n_tests: int,
    *,
    seed: int = 1,
    alpha: float = 0.05,
    boot: bool = True,
    whole: bool = True,
    workers: int = 2,
    pool: ProcessPoolExecutor | None = None,
) -> pd.DataFrame:
    """Every grade of every test (columns test, kind, method, value); the same for any number of processes.

    A `pool` (`grading_pool`) serves several calls, each of which would start processes of its own.
    """
    starts = range(0, n_tests, BATCH)
    jobs = [(population, min(BATCH, n_tests - start), (seed * 1_000_003) + start, start) for start in starts]
    run: Callable = partial(_grade_batch, alpha=alpha, boot=boot, whole=whole)
    progress = partial(tqdm, total=len(jobs), desc="simulated tests", unit="batch")
    if pool is not None:
        parts = list(progress(pool.map(run, jobs)))
    elif min(workers, len(jobs)) == 1:
        with threadpool_limits(1):
            parts = list(progress(map(run, jobs)))
    else:
        with grading_pool(workers) as own:
            parts = list(progress(own.map(run, jobs)))
    names = ["test", *(f.name for f in fields(Grade))]
    return pd.DataFrame([row for part in parts for row in part], columns=names)


def grading_pool(workers: int = 2) -> ProcessPoolExecutor:
    """Processes for `grade`, which end when the one that started them does; close it by `with`."""
    # spawn: a kernel has threads, and forking a process with threads can hang
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start)


def rates(graded: pd.DataFrame) -> pd.DataFrame:
    """Share of tests in which each method rejected, covered, passed or stopped, as RATES_COLUMNS says.

    >>> graded = pd.DataFrame({"test": [0, 1, 2, 3], "kind": "rejects", "method": "CTR", "value": [0, 1, 0, math.nan]})
    >>> rates(graded).round(2)
          kind method  rate  error  tests
    0  rejects    CTR  0.33   0.54      3
    """
    counted = graded[~graded["kind"].isin(("chance", "truth"))].dropna(subset="value")
    by = counted.groupby(["kind", "method"], sort=False)["value"]
    table = by.agg(rate="mean", tests="size").reset_index()
    table["error"] = 2 * np.sqrt(table["rate"] * (1 - table["rate"]) / table["tests"])
    return table[list(RATES_COLUMNS)]


def chance_calibration(graded: pd.DataFrame, bins: int = 5) -> pd.DataFrame:
    """Stated chance to be better against how often the treatment truly was, in equal bins of the chance."""
    wide = graded[graded["kind"].isin(("chance", "truth"))].pivot_table(index="test", columns="kind", values="value")
    part = pd.cut(wide["chance"], np.linspace(0, 1, bins + 1), include_lowest=True)
    by = pd.DataFrame({"stated": wide["chance"], "true": wide["truth"] > 0}).groupby(part, observed=True)
    table = by.mean().assign(tests=by.size())
    table["error"] = 2 * np.sqrt(table["true"] * (1 - table["true"]) / table["tests"])
    return table.rename_axis("chance to be better")


def _grade_batch(job: tuple[Tests, int, int, int], *, alpha: float, boot: bool, whole: bool) -> list[tuple]:
    population, n, seed, first = job
    rows = []
    for i, (lift, test) in enumerate(draw_tests(population, n, seed)):
        boot_too = boot and i % BOOTSTRAP_EVERY == 0
        of: dict[str, Any] = {"planned": population.planned, "goal": population.goal, "rate": population.rate}
        grades = grade_one(lift, test, alpha=alpha, boot=boot_too, whole=whole, **of)
        if test.running and (population.null or i % LOOKS_EVERY == 0):
            grades += grade_looks(test.running, alpha=alpha, goal=population.goal)
        rows += [(first + i, g.kind, g.method, g.value) for g in grades]
    return rows


def _start() -> None:
    """Of a process of the pool: BLAS has one thread, since its small products would wait for those of the others."""
    threadpool_limits(1)
    end_with_parent()


def end_with_parent() -> None:
    """End this process when the one that started it is gone, killed or not: it would wait for work for ever."""
    parent = parent_process()

    def wait() -> None:
        if parent:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


def _below(p: float, level: float) -> float:
    return math.nan if math.isnan(p) else float(p < level)


def _covers(interval: tuple[float, float], truth: float) -> float:
    low, high = interval
    return float(low <= truth <= high) if math.isfinite(low) else math.nan
