"""How to test two models: every design graded on thousands of drawn tests whose truth is exact, and a written rule."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from recab_helpers import simulation
from recab_helpers.analysis.off_policy import EFFECTIVE
from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.calibration import designs as drawn
from recab_helpers.calibration import grading_pool
from recab_helpers.data import TrainedOn
from recab_helpers.formats import percent
from recab_helpers.parameters import DesignsParams, SimulateParams
from recab_helpers.recommenders.protocol import Served
from recab_helpers.report.kit.html import Number
from recab_helpers.simulation import Exploration, Pair
from recab_helpers.simulation.clicks import CascadeModel, PositionModel
from recab_helpers.stages.simulate import load_variants

BATCH = 25  # drawn tests a job
FEW_JOBS = 4  # not worth starting processes for
MOST_EXPLORED = 20_000  # users of a drawn test that is read off-policy
HARDLY = 1e-4  # a lift so small counts as none: no number of users is given
CLICKS: dict[str, PositionModel | CascadeModel] = {"position": PositionModel(), "cascade": CascadeModel()}


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to test two models and to read the test."""

    name: str
    label: str
    tells: str
    log: str
    lift: bool = True
    trusting: bool = False  # whether it may be read only where its own gate holds
    assumed: str = ""  # what it rests on that is so in every drawn test, and therefore not graded


WAYS = (
    Way(
        name="counted",
        label="Two groups of users",
        tells="lift of CTR, segments, guardrails",
        log="impressions and clicks with the user's variant",
    ),
    Way(
        name="cuped",
        label="Two groups, CUPED",
        tells="lift of CTR, segments, guardrails",
        log="also each user's clicks before the test",
    ),
    Way(
        name="triggered",
        label="Two groups, from the first difference on",
        tells="lift of CTR",
        log="where every shown item stands in each variant's slate (position_in_...)",
    ),
    Way(
        name="both",
        label="Two groups, both slates, its gate not asked",
        tells="lift of CTR, if a place is looked at equally often whatever stands above it",
        log="where every shown item stands in each variant's slate",
        trusting=True,
    ),
    Way(
        name="gated",
        label="Two groups, both slates while the gate holds",
        tells="lift of CTR; where the gate fails, that of CUPED",
        log="where every shown item stands in each variant's slate",
    ),
    Way(
        name="sessions",
        label="Sessions switch",
        tells="lift of CTR, if a session leaves nothing behind for the next",
        log="the variant of every session",
        assumed="what a user saw in one session changes nothing in the next",
    ),
    Way(
        name="interleaved",
        label="Interleaved (team draft)",
        tells="which model is better, not by how much",
        log="the slate as it was served, and the team of every item",
        lift=False,
    ),
    Way(
        name="off_policy",
        label="Off-policy, from control's log with random sessions",
        tells="lift of CTR, if a place is looked at equally often whatever stands above it; shows nobody the treatment",
        log="random slates in a share of sessions, and the chance (propensity) of every shown item",
    ),
)
GATED = ("both", "gated", "off_policy")
Reading = tuple[drawn.Read, int]  # of a drawn test, and its users
COLUMNS = {
    "design": "label of the way",
    "model": "click model that the tests were drawn from",
    "truth": "exact log(1 + lift), or share less one half",
    "value": "mean of what the drawn tests estimate",
    "bias_error": "two Monte Carlo errors of that mean",
    "sd": "standard deviation of the estimates",
    "coverage": "share of intervals that hold the truth",
    "gate": "share of tests in which its own gate does not hold",
    "support": "mean share of the treatment's slates that the log could have shown",
    "effective": "mean number of users that the weights leave",
    "users": "mean number of users in a drawn test",
    "users_needed": "users that find the truth with the wanted power; nan if it gives a number more seldom than that",
    "tests": "drawn tests in which it was defined",
}


def pair_of(params: DesignsParams, trained: TrainedOn, train_run: str) -> tuple[Pair, list[Served], dict[str, str]]:
    """Both models' slates with the exact truth, the models, and what is otherwise than asked for."""
    simulate = simulate_params(params)
    models, notes = load_variants(simulate, trained, train_run)
    plan = simulation.plan_tests(trained, models, simulate)
    return Pair.of(plan.test), list(models), notes


def simulate_params(params: DesignsParams) -> SimulateParams:
    """The simulated test that these designs are ways to run."""
    shared = {n: getattr(params, n) for n in ("experiment", "seed", "variants", "slate_size", "click_model")}
    return SimulateParams(
        **shared,
        truth=params.truth,
        user_change=params.user_change,
        train_run_id=params.train_run_id,
        exploration=params.exploration,
    )


def grade_designs(pair: Pair, params: DesignsParams, *, models: Sequence[str] = ()) -> pd.DataFrame:
    """COLUMNS of every way under these click models, or both; the pair's own, of the parameters, comes first."""
    order = list(models or [params.click_model, other_model(params)])
    pairs = {m: pair if m == params.click_model else pair.with_clicks(CLICKS[m]) for m in order}
    starts = range(0, params.n_tests, BATCH)
    jobs = [(model, range(s, min(s + BATCH, params.n_tests))) for model in order for s in starts]
    run, bar = partial(_tests, pairs, params), partial(tqdm, total=len(jobs), desc="drawn tests", unit="batch")
    if len(jobs) <= FEW_JOBS:
        with threadpool_limits(1):  # products are small here, and threads would wait for one another
            parts = list(bar(map(run, jobs)))
    else:
        with grading_pool() as pool:
            parts = list(bar(pool.map(run, jobs)))
    rows = []
    for model in order:
        truth = _truth(pairs[model])
        tests = [test for (of, _), part in zip(jobs, parts, strict=True) if of == model for test in part]
        rows += [_row(way, model, truth[way.name], [test[way.name] for test in tests], params) for way in WAYS]
        _needed_by_gate({row["way"]: row for row in rows[-len(WAYS) :]}, params)
    return pd.DataFrame(rows)[["way", *COLUMNS]]


def _needed_by_gate(rows: dict[str, dict[str, Any]], params: DesignsParams) -> None:
    """Users of the gated reading: power is that of both slates where the gate holds, and of CUPED elsewhere."""
    gated, both, cuped = (rows[name] for name in ("gated", "both", "cuped"))
    z, share = stats.norm.isf(params.alpha / 2), gated["gate"]

    def power_at(log_users: float) -> float:
        found = [abs(w["truth"]) / w["sd"] * math.sqrt(math.exp(log_users) / w["users"]) for w in (both, cuped)]
        return float((1 - share) * stats.norm.sf(z - found[0]) + share * stats.norm.sf(z - found[1])) - params.power

    ends = [math.log(w["users_needed"]) for w in (both, cuped)]
    if not all(map(math.isfinite, ends)):
        return
    low, high = min(ends) - 1e-9, max(ends) + 1e-9
    gated["users_needed"] = (
        math.exp(brentq(power_at, low, high)) if power_at(low) < 0 < power_at(high) else math.exp(high)
    )


def _tests(pairs: dict[str, Pair], params: DesignsParams, job: tuple[str, range]) -> list[dict[str, Reading]]:
    """What every way says of the tests of these numbers, and its users; a number and the seed decide all its draws."""
    model, numbers = job
    pair, found = pairs[model], []
    n_explored = explored_users(pair, params)
    places = pair.places()
    for number in numbers:
        rng = np.random.default_rng([params.seed, model == "cascade", number])
        s = pair.draw(params.n_users, "users", rng)
        arm = np.zeros(len(s.of), dtype=np.int64)
        arm[s.user] = s.arm
        before = {"pre_clicks": s.pre_clicks, "pre_impressions": s.pre_impressions}
        reads = drawn.read_users(s.user, s.arm, s.clicked, before, places[arm, s.of], alpha=params.alpha)
        test = {name: (read, len(s.of)) for name, read in reads.items()}
        s = pair.draw(params.n_users, "sessions", rng)
        test["sessions"] = drawn.read_sessions(s.user, s.arm, s.clicked, alpha=params.alpha), len(s.of)
        s = pair.draw(params.n_users, "interleaved", rng)
        test["interleaved"] = drawn.read_interleaved(s.user, s.arm, s.clicked, alpha=params.alpha), len(s.of)
        e = pair.explore(n_explored, rng)
        test["off_policy"] = drawn.read_explored(drawn.off_policy_of(**vars(e)), alpha=params.alpha), len(e.target)
        found.append(test)
    return found


def explored_users(pair: Pair, params: DesignsParams) -> int:
    """Users of a test that is read off-policy: as many as the others have, or more where weights leave too few."""
    e = pair.explore(params.n_users, np.random.default_rng(params.seed))
    left = drawn.read_explored(drawn.off_policy_of(**vars(e))).effective
    wanted = params.n_users * 2 * EFFECTIVE / max(left, 1.0)
    return max(params.n_users, min(math.ceil(wanted), MOST_EXPLORED))


def _row(way: Way, model: str, truth: float, tests: list[Reading], params: DesignsParams) -> dict[str, Any]:
    """How one way did in its drawn tests."""
    reads, users = [read for read, _ in tests], float(np.mean([n for _, n in tests]))
    value, low, high = (np.array([getattr(r, n) for r in reads]) for n in ("value", "low", "high"))
    told = np.isfinite(value) & np.isfinite(low)
    n, sd = int(told.sum()), float(np.std(value[told], ddof=1)) if told.sum() > 1 else math.nan
    in_told = params.power * len(reads) / max(n, 1)  # the power it needs where it gives a number at all
    z = stats.norm.isf(params.alpha / 2) + stats.norm.isf(1 - in_told) if in_told < 1 else math.nan
    support, effective = (float(np.mean([getattr(r, name) for r in reads])) for name in ("support", "effective"))
    needed = users * (z * sd / truth) ** 2 if abs(truth) > HARDLY else math.nan
    return {
        "way": way.name,
        "design": way.label,
        "model": model,
        "truth": truth,
        "value": float(value[told].mean()) if n else math.nan,
        "bias_error": 2 * sd / math.sqrt(n) if n else math.nan,
        "sd": sd,
        "coverage": float(((low <= truth) & (truth <= high))[told].mean()) if n else math.nan,
        "gate": float(np.mean([not r.trusted for r in reads])) if way.name in GATED else math.nan,
        "support": support,
        "effective": effective,
        "users": users,
        "users_needed": needed if math.isnan(effective) else max(needed, users * EFFECTIVE / (effective or math.nan)),
        "tests": n,
    }


def made_up_pair(better: float, *, seed: int, n_users: int = 2000, k: int = 6, explored: float = 0.3) -> Pair:
    """Two models of made-up users that share half of their items; those of the treatment alone are liked more.

    A user likes all other items the same, so that for `better` zero both models have the same exact CTR, whatever they
    show and in whatever order.
    """
    rng = np.random.default_rng(seed)
    items = rng.permuted(np.tile(np.arange(2 * k), (n_users, 1)), axis=1)
    other = np.hstack([items[:, : k // 2], items[:, k : k + k - k // 2]])
    liked = np.hstack([np.ones(k // 2), np.full(k - k // 2, 1 + better)])
    order = rng.permuted(np.tile(np.arange(k), (n_users, 1)), axis=1)
    appeal = rng.beta(0.8, 4, n_users)[:, None] / (1 + better)
    both = 2 * k - k // 2
    liked_more = np.where(np.arange(both) < k, 1, 1 + better)
    p_click = np.stack([np.repeat(appeal, k, axis=1), appeal * liked[order]])
    rate = rng.gamma(ACTIVITY_SHAPE, MEAN_SESSIONS / ACTIVITY_SHAPE, n_users)
    return Pair(
        items=np.stack([items[:, :k], np.take_along_axis(other, order, axis=1)]),
        p_click=p_click,
        rate=rate,
        p_before=p_click[0],
        rate_before=rate,
        clicks=PositionModel(),
        exploration=Exploration(share=explored, items=items[:, :both], p_click=appeal * liked_more),
    )


def grade_readings(seed: int, *, n_tests: int = 200, n_users: int = 400, better: float = 0.4) -> pd.DataFrame:
    """How often each way rejects where nothing is to be found, holds a true lift, and finds it; with two errors.

    What it rejects and holds is of the tests in which it gives a number, what it finds of all.
    """
    params = DesignsParams(seed=seed, n_users=n_users)
    rows: dict[str, dict[str, Any]] = {way.name: {"reading": way.label} for way in WAYS}
    for more in (0.0, better):
        pair = made_up_pair(more, seed=seed)
        truth = _truth(pair)
        tests = _tests({"position": pair}, params, ("position", range(n_tests)))
        for way, row in rows.items():
            low, high = (np.array([getattr(test[way][0], end) for test in tests]) for end in ("low", "high"))
            told, rejects = np.isfinite(low), (low > 0) | (high < 0)
            if more:
                held = (low <= truth[way]) & (truth[way] <= high)
                row |= {"holds the lift": _rate(held[told]), "finds it": _rate(rejects)}
            else:
                row |= {"gives no number": _rate(~told), "rejects without a lift": _rate(rejects[told])}
    return pd.DataFrame(rows.values()).assign(tests=n_tests).set_index("reading")


def _truth(pair: Pair) -> dict[str, float]:
    """What each way estimates, exactly: log(1 + lift), or the share of clicks less one half."""
    control, treatment = pair.ctr()
    truth = dict.fromkeys((way.name for way in WAYS), math.log(treatment / control))
    return truth | {"interleaved": pair.drafted()[0] - 0.5}


def _rate(hits: np.ndarray) -> Number:
    """A share of tests with two Monte Carlo errors."""
    if not len(hits):
        return Number(math.nan, "no number")
    p = float(hits.mean())
    return Number(p, f"{percent(p, 1)} \N{PLUS-MINUS SIGN} {percent(2 * math.sqrt(p * (1 - p) / len(hits)), 1)}")


def other_model(params: DesignsParams) -> str:
    """The click model that is graded beside that of the parameters."""
    return "cascade" if params.click_model == "position" else "position"
