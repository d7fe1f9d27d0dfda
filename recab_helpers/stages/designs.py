"""How to test two models: every design graded on thousands of drawn tests whose truth is exact, and a written rule."""

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from scipy import stats
from scipy.optimize import brentq
from tqdm.auto import tqdm

from recab_helpers import report, simulation, tracking
from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.calibration import designs as drawn
from recab_helpers.calibration.grading import end_with_parent
from recab_helpers.data import TrainedOn
from recab_helpers.formats import count, lift, percent, points
from recab_helpers.parameters import DesignsParams, SimulateParams
from recab_helpers.recommenders.protocol import Served
from recab_helpers.report.kit.html import Number
from recab_helpers.simulation import Pair
from recab_helpers.simulation.clicks import CascadeModel, PositionModel
from recab_helpers.stages.simulate import load_variants

COVERS = 0.9  # share of intervals that hold the truth, below which a design of 95% is not to be relied on
BATCH = 25  # drawn tests a job
WORKERS, FEW_JOBS = 2, 4  # processes, and how many jobs are not worth starting them
CLICKS: dict[str, PositionModel | CascadeModel] = {"position": PositionModel(), "cascade": CascadeModel()}
HARDLY = 1e-4  # a lift so small counts as none: no number of users is given
RULE = (
    "Take the design that tells a lift with the fewest users, among those whose 95% intervals held the truth in at "
    "least 90% of the drawn tests under both click models. If it takes more than the longest bearable test, interleave "
    "as long as that is short enough: it tells which model is better, not by how much. If not even that, do not test: "
    "choose by cost."
)


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to test two models and to read the test."""

    name: str
    label: str
    tells: str
    log: str
    lift: bool = True
    trusting: bool = False  # whether it may be read only where its own gate holds


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
        label="Two groups, both slates",
        tells="lift of CTR, if clicks follow the position model",
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
    ),
    Way(
        name="interleaved",
        label="Interleaved (team draft)",
        tells="which model is better, not by how much",
        log="the slate as it was served, and the team of every item",
        lift=False,
    ),
)
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
    "users": "mean number of users in a drawn test",
    "users_needed": "users that find the truth with the wanted power",
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
        **shared, truth=params.truth, user_change=params.user_change, train_run_id=params.train_run_id
    )


def grade_designs(pair: Pair, params: DesignsParams) -> pd.DataFrame:
    """COLUMNS of every way under both click models; the one of the parameters comes first."""
    order = [params.click_model, other_model(params)]
    pairs = {model: pair.with_clicks(CLICKS[model]) for model in order}
    starts = range(0, params.n_tests, BATCH)
    jobs = [(model, range(s, min(s + BATCH, params.n_tests))) for model in order for s in starts]
    run, bar = partial(_tests, pairs, params), partial(tqdm, total=len(jobs), desc="drawn tests", unit="batch")
    if len(jobs) <= FEW_JOBS:
        parts = list(bar(map(run, jobs)))
    else:  # spawn: a kernel has threads, and forking a process with threads can hang
        with ProcessPoolExecutor(WORKERS, get_context("spawn"), initializer=end_with_parent) as pool:
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
        found.append(test)
    return found


def _row(way: Way, model: str, truth: float, tests: list[Reading], params: DesignsParams) -> dict[str, Any]:
    """How one way did in its drawn tests."""
    reads, users = [read for read, _ in tests], float(np.mean([n for _, n in tests]))
    value, low, high = (np.array([getattr(r, n) for r in reads]) for n in ("value", "low", "high"))
    told = np.isfinite(value) & np.isfinite(low)
    n, sd = int(told.sum()), float(np.std(value[told], ddof=1)) if told.sum() > 1 else math.nan
    z = stats.norm.isf(params.alpha / 2) + stats.norm.isf(1 - params.power)
    return {
        "way": way.name,
        "design": way.label,
        "model": model,
        "truth": truth,
        "value": float(value[told].mean()) if n else math.nan,
        "bias_error": 2 * sd / math.sqrt(n) if n else math.nan,
        "sd": sd,
        "coverage": float(((low <= truth) & (truth <= high))[told].mean()) if n else math.nan,
        "gate": float(np.mean([not r.trusted for r in reads])) if way.name in ("both", "gated") else math.nan,
        "users": users,
        "users_needed": users * (z * sd / truth) ** 2 if abs(truth) > HARDLY else math.nan,
        "tests": n,
    }


def made_up_pair(better: float, *, seed: int, n_users: int = 2000, k: int = 6) -> Pair:
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
    p_click = np.stack([np.repeat(appeal, k, axis=1), appeal * liked[order]])
    rate = rng.gamma(ACTIVITY_SHAPE, MEAN_SESSIONS / ACTIVITY_SHAPE, n_users)
    return Pair(
        items=np.stack([items[:, :k], np.take_along_axis(other, order, axis=1)]),
        p_click=p_click,
        rate=rate,
        p_before=p_click[0],
        rate_before=rate,
        clicks=PositionModel(),
    )


def grade_readings(seed: int, *, n_tests: int = 200, n_users: int = 400, better: float = 0.4) -> pd.DataFrame:
    """How often each way rejects where nothing is to be found, holds a true lift, and finds it; with two errors."""
    params = DesignsParams(seed=seed, n_users=n_users)
    rows: dict[str, dict[str, Any]] = {way.name: {"reading": way.label} for way in WAYS}
    for more in (0.0, better):
        pair = made_up_pair(more, seed=seed)
        truth = _truth(pair)
        tests = _tests({"position": pair}, params, ("position", range(n_tests)))
        for way, row in rows.items():
            low, high = (np.array([getattr(test[way][0], end) for test in tests]) for end in ("low", "high"))
            rejects = _rate((low > 0) | (high < 0))
            held = {"holds the lift": _rate((low <= truth[way]) & (truth[way] <= high)), "finds it": rejects}
            row |= held if more else {"rejects without a lift": rejects}
    return pd.DataFrame(rows.values()).assign(tests=n_tests).set_index("reading")


def _truth(pair: Pair) -> dict[str, float]:
    """What each way estimates, exactly: log(1 + lift), or the share of clicks less one half."""
    control, treatment = pair.ctr()
    truth = dict.fromkeys((way.name for way in WAYS), math.log(treatment / control))
    return truth | {"interleaved": pair.drafted()[0] - 0.5}


def _rate(hits: np.ndarray) -> Number:
    """A share of tests with two Monte Carlo errors."""
    p = float(hits.mean())
    return Number(p, f"{percent(p, 1)} \N{PLUS-MINUS SIGN} {percent(2 * math.sqrt(p * (1 - p) / len(hits)), 1)}")


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What RULE says of a pair: the way, or none where the pair is better not tested; and why, in a sentence."""

    way: Way | None
    why: str


def advise(graded: pd.DataFrame, params: DesignsParams) -> Advice:
    """RULE, applied to the grades."""
    own = graded[graded["model"] == params.click_model].set_index("way")
    worst = graded.groupby("way")["coverage"].min()
    most = params.longest_days * params.users_per_day
    days = f"{count(params.longest_days)} days of {count(params.users_per_day)} users"
    lifts = [
        w
        for w in WAYS
        if w.lift and not w.trusting and worst[w.name] >= COVERS and math.isfinite(own.loc[w.name, "users_needed"])
    ]
    if lifts:
        best = min(lifts, key=lambda w: own.loc[w.name, "users_needed"])
        needed = own.loc[best.name, "users_needed"]
        if needed <= most:
            why = f"{best.label} tells the lift with {count(needed)} users, fewest of those whose intervals hold"
            return Advice(way=best, why=f"{why} under either click model.")
        true = lift(math.expm1(own.loc[best.name, "truth"]))
        why = f"A lift of {true} takes at least {count(needed)} users, more than {days}"
    else:
        why = (
            "No way tells a lift whose intervals hold under either click model"
            if abs(own["truth"]).max() > HARDLY
            else ("Both models have the same CTR")
        )
    needed, way = own.loc["interleaved", "users_needed"], next(w for w in WAYS if not w.lift)
    if needed <= most and worst["interleaved"] >= COVERS:
        right = own.loc["interleaved", "truth"] * own.loc["counted", "truth"] > 0
        aside = "" if right else ", though here users prefer the model with the lower CTR"
        return Advice(way=way, why=f"{why}. Interleaving says which is better with {count(needed)} users{aside}.")
    return Advice(way=None, why=f"{why}, and interleaving takes {count(needed)}. Choose by cost.")


def answer(graded: pd.DataFrame, params: DesignsParams) -> str:
    """The recommendation in two sentences."""
    advice = advise(graded, params)
    head = f"Recommended: {advice.way.label}." if advice.way else "Recommended: do not test."
    return f"{head} {advice.why}"


def overlap_facts(pair: Pair, models: list[Served]) -> dict[str, str]:
    """How alike the two slates are, and what is true of them."""
    shared, k, ctr = pair.overlap(), pair.k, pair.ctr()
    places = pair.places()[0]
    same = (places[:, :, 0] == places[:, :, 1]).mean()
    return {
        "control": f"{models[0].address}, true CTR {percent(ctr[0])}",
        "treatment": f"{models[1].address}, true CTR {percent(ctr[1])}",
        "true lift": lift(ctr[1] / ctr[0] - 1, 2),
        "items that both slates show": f"{shared.mean():.1f} of {k} on average; none for "
        f"{percent((shared == 0).mean(), 0)} of users, all for {percent((shared == k).mean(), 0)}",
        "items at the same place in both": percent(float(same), 0),
    }


def users_table(graded: pd.DataFrame, params: DesignsParams) -> pd.DataFrame:
    """For each way: what it tells, users and days for the wanted power, what the log must hold."""
    needed = graded[graded["model"] == params.click_model].set_index("way")["users_needed"]
    rows = [
        {
            "design": way.label,
            "tells": way.tells,
            "users": Number(needed[way.name], count(needed[way.name])),
            "days": Number(days := np.ceil(needed[way.name] / params.users_per_day), count(days)),
            "the log must hold": way.log,
        }
        for way in WAYS
    ]
    return pd.DataFrame(rows).set_index("design")


def grades_table(graded: pd.DataFrame, model: str) -> pd.DataFrame:
    """Truth, mean estimate and coverage of each way in tests drawn from this click model."""
    rows = []
    for row in graded[graded["model"] == model].itertuples():
        is_lift = next(way.lift for way in WAYS if way.name == row.way)
        truth, value = ((math.expm1(x) if is_lift else x + 0.5) for x in (row.truth, row.value))
        said = lift if is_lift else percent
        rows.append(
            {
                "design": row.design,
                "tells": "lift" if is_lift else "share of clicks",
                "truth": Number(truth, said(truth)),
                "mean estimate": Number(value, said(value)),
                "off by": Number(value - truth, points(value - truth, 1)),
                "error of the mean": Number(row.bias_error, points(row.bias_error, 1).lstrip("+")),
                "coverage": Number(row.coverage, percent(row.coverage, 1)),
                "its gate says no": Number(row.gate, "no gate" if math.isnan(row.gate) else percent(row.gate, 1)),
                "tests": row.tests,
            }
        )
    return pd.DataFrame(rows).set_index("design")


def coverage_figure(graded: pd.DataFrame, model: str, params: DesignsParams) -> HTML:
    """How often the intervals of each way held the truth in tests drawn from this click model."""
    of = graded[graded["model"] == model]
    error = 2 * np.sqrt(params.alpha * (1 - params.alpha) / of["tests"].clip(lower=1))
    rates = pd.DataFrame({"method": of["design"], "rate": of["coverage"], "error": error})
    return report.rates_figure(rates, target=1 - params.alpha, title=holds_title(graded, model))


def costs_table(pair: Pair) -> pd.DataFrame:
    """What users get while the test runs: CTR of each design against showing control to all, exactly."""
    control, treatment = pair.ctr()
    half = (control + treatment) / 2
    rows = {"Two groups, and sessions, half in each": half, "Interleaved (team draft)": pair.drafted()[1]}
    rows |= {"Control for all": control, "Treatment for all": treatment}
    table = pd.DataFrame({"ctr": rows.values()}, index=pd.Index(rows, name="during the test"))
    return table.assign(lift=table["ctr"] / control - 1)


def log_designs(run: tracking.Run, graded: pd.DataFrame, params: DesignsParams) -> None:
    """The grades as a table, and the recommendation where a reader of MLflow looks for it."""
    run.log_table("designs", graded)
    advice = advise(graded, params)
    run.tag(recommended=advice.way.label if advice.way else "do not test")
    run.name(f"Designs: {' against '.join(reversed(params.variants))}", answer(graded, params))


def other_model(params: DesignsParams) -> str:
    """The click model that is graded beside that of the parameters."""
    return "cascade" if params.click_model == "position" else "position"


def holds_title(graded: pd.DataFrame, model: str) -> str:
    """Which ways hold the truth too seldom in tests of this click model, for the title of a figure."""
    of = graded[graded["model"] == model]
    seldom = [r.design for r in of.itertuples() if r.coverage < COVERS]
    if not seldom:
        return f"Under the {model} model every way holds the truth as often as it says"
    return f"Under the {model} model, not to be relied on: {'; '.join(seldom)}"


def users_figure(graded: pd.DataFrame, params: DesignsParams) -> HTML:
    """Users that each way needs, on one axis of factors."""
    own = graded[graded["model"] == params.click_model]
    needed = dict(zip(own["design"], own["users_needed"], strict=True))
    told = {k: v for k, v in needed.items() if math.isfinite(v)}
    most = params.longest_days * params.users_per_day
    if not told:
        return report.note("Both models have the same CTR: no number of users tells them apart.")
    least = min(told, key=lambda k: told[k])
    title = f"{least} takes {count(told[least])} users, two groups {count(needed[WAYS[0].label])}"
    return report.counts_figure(
        told, title=title, axis="users, on a scale of factors", line=(most, f"{params.longest_days} days")
    )
