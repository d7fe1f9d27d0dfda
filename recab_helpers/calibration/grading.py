"""Grade the analysis on thousands of simulated tests whose truth is known.

Users are drawn from a population: gamma session rates (a few come very often), beta click rates, both shared with
a period before the test. No slates are drawn: a test is made of per-user counts by day, so thousands take seconds.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import numpy as np
import pandas as pd
from scipy import stats
from tqdm.auto import tqdm

from recab_helpers.analysis import (
    CLICKS_PER_USER,
    CTR,
    compare,
    mann_whitney,
    posterior_of,
    sensitivity,
    srm_p_value,
    sufficient_statistics,
)
from recab_helpers.analysis.checks import SRM_ALPHA
from recab_helpers.analysis.looks import information_fraction
from recab_helpers.analysis.sequential import adjusted_intervals, confidence_sequence
from recab_helpers.simulation.traffic import ACTIVITY_SHAPE

BATCH = 50  # tests drawn at once
MOST_USERS = 2000  # of the tests that grade a report
SENSITIVITY_EVERY = 4  # what costs most (the bootstrap, looks at tests with an effect) is graded on every fourth test


@dataclass(frozen=True, kw_only=True)
class Population:
    """Users of simulated tests; `ctr` is control's, `click_cv` the relative spread of users' click rates."""

    n_users: int = 2000
    ctr: float = 0.06
    lift: float = 0.0
    lift_sd: float = 0.0  # spread of log(1 + lift) from test to test
    mean_sessions: float = 6.0
    slate_size: int = 10
    n_days: int = 14
    click_cv: float = 0.5
    retained: float = 0.7  # chance that a user's click rate was the same before the test
    allocation: float = 0.5


def draw_tests(population: Population, n: int, seed: int) -> Iterator[tuple[float, pd.DataFrame, np.ndarray]]:
    """True lift, users table and clicks and impressions by day, shape (n_users, n_days, 2), of `n` tests."""
    p = population
    rng = np.random.default_rng(seed)
    for start in range(0, n, BATCH):
        size = (min(BATCH, n - start), p.n_users)
        rate = rng.gamma(ACTIVITY_SHAPE, p.mean_sessions / ACTIVITY_SHAPE, size)
        concentration = max((1 - p.ctr) / p.ctr / p.click_cv**2 - 1, 0.1)
        shape = concentration * p.ctr, concentration * (1 - p.ctr)
        before, fresh = rng.beta(*shape, size), rng.beta(*shape, size)
        taste = np.where(rng.random(size) < p.retained, before, fresh)
        lift = p.lift + np.expm1(p.lift_sd * rng.standard_normal(size[0]))
        treated = rng.random(size) < p.allocation
        chance = np.clip(taste * (1 + lift[:, None] * treated), 0, 1)
        sessions = rng.poisson(rate[:, :, None] / p.n_days, (*size, p.n_days))
        clicks = rng.binomial(p.slate_size * sessions, chance[:, :, None])
        pre_sessions = rng.poisson(rate)
        pre_clicks = rng.binomial(p.slate_size * pre_sessions, before)
        for i in range(size[0]):
            exposed = sessions[i].sum(1) > 0
            total = clicks[i].sum(1)[exposed]
            users = pd.DataFrame(
                {
                    "variant": pd.Categorical.from_codes(treated[i][exposed].astype(np.int8), ["control", "treatment"]),
                    "impressions": p.slate_size * sessions[i].sum(1)[exposed],
                    "clicks": total,
                    "sessions": sessions[i].sum(1)[exposed],
                    "clicked_any": total > 0,
                    "pre_clicks": pre_clicks[i][exposed],
                    "pre_impressions": p.slate_size * pre_sessions[i][exposed],
                    "activity": np.where(pre_sessions[i][exposed] > 4, "often", "seldom"),
                }
            )
            yield lift[i], users, np.stack([clicks[i], p.slate_size * sessions[i]], axis=-1)[exposed]


GUARDRAIL = replace(CTR, name="guardrail", role="guardrail", margin=0.05)
METRICS = (CTR, CLICKS_PER_USER, GUARDRAIL)


def grade_one(
    true_lift: float, users: pd.DataFrame, *, planned: list[float], alpha: float, boot: bool
) -> dict[str, float]:
    """Every p-value and coverage of one test, ours and the usual ways, by name."""
    treated = (users["variant"].cat.codes == 1).to_numpy()
    statistics = sufficient_statistics(users, ["clicks", "impressions", "pre_clicks", "pre_impressions"])
    ctr, per_user, guard = compare(statistics, METRICS, alpha=alpha)
    plain, welch, _ = compare(statistics, METRICS, alpha=alpha, cuped=False)
    out = {
        "p: CTR, CUPED": ctr.p_value,
        "p: CTR": plain.p_value,
        "p: clicks per user, CUPED": per_user.p_value,
        "p: clicks per user, Welch": welch.p_value,
        "p: clicks, Mann-Whitney": mann_whitney(users, "clicks", "")[0].p_value,
        "p: usual way, total clicks": _total_clicks_p(users, treated),
        "p: usual way, impressions z": _impressions_p(users, treated),
        "p: SRM": srm_p_value([int((~treated).sum()), int(treated.sum())], planned),
        "covers: CTR, CUPED": _covers(ctr.lift_ci, true_lift),
        "covers: CTR": _covers(plain.lift_ci, true_lift),
        "p: guardrail, non-inferiority": guard.noninferiority_p,
        "true lift": true_lift,
    }
    if boot:
        for effect in sensitivity(users, CTR, alpha=alpha, strata="activity"):
            if effect.metric == "ctr" and "delta" not in effect.method:
                out[f"p: CTR, {effect.method.split(' of ')[0]}"] = effect.p_value
                out[f"covers: CTR, {effect.method.split(' of ')[0]}"] = _covers(effect.lift_ci, true_lift)
    found = posterior_of(ctr)
    out["chance to be better"] = found.chance_to_be_better if found else np.nan
    return out


def grade(
    population: Population, n_tests: int, *, seed: int = 1, alpha: float = 0.05, boot: bool = True, workers: int = 2
) -> pd.DataFrame:
    """One row per simulated test; the result does not depend on the number of processes."""
    jobs = [(population, min(BATCH, n_tests - start), (seed * 1_000_003) + start) for start in range(0, n_tests, BATCH)]
    run: Callable = partial(_grade_batch, alpha=alpha, boot=boot)
    progress = partial(tqdm, total=len(jobs), desc="simulated tests", unit="batch")
    if workers == 1:
        parts = list(progress(map(run, jobs)))
    else:  # spawn: a kernel has threads, and forking a process with threads can hang
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            parts = list(progress(pool.map(run, jobs)))
    return pd.DataFrame([row for part in parts for row in part])


def like(users: pd.DataFrame, daily: pd.DataFrame, planned: dict[str, float]) -> Population:
    """The population of A/A tests of the size and click rates of this one, at most MOST_USERS users."""
    control = users[users["variant"] == "control"]
    ctr = control["clicks"].sum() / control["impressions"].sum()
    return Population(
        n_users=min(len(users), MOST_USERS),
        ctr=float(np.clip(ctr, 1e-4, 0.5)),
        mean_sessions=float(users["sessions"].mean()),
        slate_size=max(1, round(users["impressions"].sum() / users["sessions"].sum())),
        n_days=int(daily.index.get_level_values("day").max()) + 1,
        allocation=1 - planned["control"],
    )


def rates(graded: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """Share of tests in which each method rejected, covered or stopped, with its Monte Carlo error.

    The error is two standard errors of the share. Index: method; columns: rate, error, tests.
    """
    columns = {}
    for name in graded:
        kind, _, method = name.partition(": ")
        values = graded[name].dropna()
        if kind == "p":
            columns[f"rejects: {method}"] = values < (SRM_ALPHA if method == "SRM" else alpha)
        elif kind in ("covers", "stops"):
            columns[name] = values.astype(bool)
    rows = {
        m: (v.mean(), 2 * np.sqrt(max(v.mean() * (1 - v.mean()), 0) / max(len(v), 1)), len(v))
        for m, v in columns.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["rate", "error", "tests"]).rename_axis("method")


def chance_calibration(graded: pd.DataFrame, bins: int = 5) -> pd.DataFrame:
    """Stated chance to be better against how often the treatment truly was, in equal bins of the chance."""
    chance, truth = graded["chance to be better"], graded["true lift"] > 0
    part = pd.cut(chance, np.linspace(0, 1, bins + 1), include_lowest=True)
    by = pd.DataFrame({"stated": chance, "true": truth}).groupby(part, observed=True)
    table = by.mean().assign(tests=by.size())
    table["error"] = 2 * np.sqrt(table["true"] * (1 - table["true"]) / table["tests"])
    return table.rename_axis("chance to be better")


def _grade_batch(job: tuple[Population, int, int], *, alpha: float, boot: bool) -> list[dict[str, float]]:
    population, n, seed = job
    tests = draw_tests(population, n, seed)
    planned = [1 - population.allocation, population.allocation]
    null = population.lift == population.lift_sd == 0
    rows = []
    for i, (lift, users, days) in enumerate(tests):
        often = i % SENSITIVITY_EVERY == 0
        row = grade_one(lift, users, planned=planned, alpha=alpha, boot=boot and often)
        rows.append(row | (grade_looks(users, days, alpha=alpha) if null or often else {}))
    return rows


def _covers(ci: tuple[float, float], truth: float) -> float:
    return float(ci[0] <= truth <= ci[1]) if np.isfinite(ci[0]) else np.nan


def _total_clicks_p(users: pd.DataFrame, treated: np.ndarray) -> float:
    """Total clicks as if each were a coin between the variants: what people do with two totals."""
    clicks = users["clicks"].to_numpy()
    a, b = clicks[~treated].sum(), clicks[treated].sum()
    return float(stats.chisquare([a, b]).pvalue) if a + b else np.nan


def _impressions_p(users: pd.DataFrame, treated: np.ndarray) -> float:
    """Two-proportion z on impressions, as if impressions of a user were strangers."""
    clicks, shown = users["clicks"].to_numpy(), users["impressions"].to_numpy()
    x = np.array([clicks[~treated].sum(), clicks[treated].sum()])
    n = np.array([shown[~treated].sum(), shown[treated].sum()])
    pooled = x.sum() / n.sum()
    se = np.sqrt(pooled * (1 - pooled) * (1 / n).sum())
    return float(2 * stats.norm.sf(abs(x[1] / n[1] - x[0] / n[0]) / se)) if se > 0 else np.nan


def grade_looks(users: pd.DataFrame, days: np.ndarray, *, alpha: float) -> dict[str, float]:
    """Did daily looks ever exclude zero: with planned spending, at any look, and unadjusted?"""
    treated = (users["variant"].cat.codes == 1).to_numpy()
    running = np.cumsum(days, axis=1, dtype=np.float64)
    log_ratio, variance = np.zeros(days.shape[1]), np.zeros(days.shape[1])
    fraction = information_fraction((running[:, :, 1] > 0).sum(0), running[:, :, 1].sum(0))
    for rows, sign in ((~treated, -1), (treated, 1)):
        clicks, shown = running[rows, :, 0], running[rows, :, 1]
        n = (shown > 0).sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = clicks.sum(0) / shown.sum(0)
            residual = clicks - ratio * shown
            variance += (residual**2).sum(0) * n / (n - 1) / clicks.sum(0) ** 2
            log_ratio += sign * np.log(ratio)
    se = np.sqrt(variance)
    kept = np.isfinite(log_ratio) & (se > 0) & (np.diff(fraction, prepend=0) > 0)
    if not kept.any():
        return {}
    estimate, se, fraction = log_ratio[kept], se[kept], fraction[kept]
    z = stats.norm.isf(alpha / 2) * se
    bands = {
        "planned looks (O'Brien-Fleming)": partial(adjusted_intervals, fraction=fraction),
        "planned looks (Pocock)": partial(adjusted_intervals, fraction=fraction, shape="pocock"),
        "any look (confidence sequence)": confidence_sequence,
    }
    naive = float((np.abs(estimate) > z).any())
    stops = {"stops: usual way, unadjusted daily looks": naive}
    for name, band in bands.items():  # no band is narrower than the unadjusted interval
        low, high = band(estimate, se, alpha=alpha) if naive else (estimate - z, estimate + z)
        stops[f"stops: {name}"] = float(((low > 0) | (high < 0)).any())
    return stops
