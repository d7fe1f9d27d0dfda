"""What the calibration draws its tests from, and what it leaves in MLflow."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from recab_helpers import analysis, calibration, tracking
from recab_helpers.analysis.checks import SRM_ALPHA
from recab_helpers.assumptions import PRIOR_SD
from recab_helpers.calibration.grading import GUARDRAIL_MARGIN, TYPED
from recab_helpers.formats import count, percent
from recab_helpers.parameters import CalibrateParams

NULL, LIFT = "no effect (A/A)", "a true lift"
RARE, FEW = "a true lift at 0.3% CTR", "a true lift, a quarter of the users"
MARGIN, PRIOR = "a loss at the guardrail's margin", "lifts drawn from the prior"
LOSS, BOTS_LIFT = "keen users driven away", "a true lift, with bots"
TRAFFIC: dict[str, dict[str, Any]] = {  # healthy A/A tests of other traffic than ours, by what is unlike
    "Pareto activity": {"activity": "pareto"},
    "shares 90/10": {"allocation": 0.1},
    "shares 99/1": {"allocation": 0.01},
    "150 users": {"n_users": 150},
    "60 users": {"n_users": 60},
    "closed one day a week": {"closed": True},
    "late arrivals": {"late": True},
    "6 bots": {"bots": 6},
    "6 bots, Pareto activity": {"bots": 6, "activity": "pareto"},
}
SHIPPED, VOIDED, LOST, TYPED_STOPS = 0.025, 0.005, 0.02, 0.055  # at most: A/A tests, healthy tests, losses, A/A tests
FOUND = 0.75 / 0.80  # of the power without bots, with six of them
AWAY, AWAY_LIFT = 0.25, 0.085  # sessions that keen users do not come for, and CTR's rise beside that loss
DAY = "CTR of one day"
CLAIM_COLUMNS = {
    "population": "whose tests",
    "kind": "what is counted, as in RATES_COLUMNS",
    "method": "whose doing it is",
    "rate": "share of the tests",
    "claim": "what the analysis promises",
    "error": "three Monte Carlo errors of the claim",
    "at_most": "whether fewer are as good",
    "held": "whether the rate is as claimed",
    "tests": "tests in which it was defined",
}
ALPHA = 0.05  # of every method that is graded, but the sample ratio's
USUAL = "usual way"  # begins the names of what is graded beside ours
PILOTS = 20  # tests without an effect that serve as the pilot of a plan


def populations(params: CalibrateParams) -> dict[str, calibration.Population]:
    """What the tests are drawn from, by the question that each answers."""
    base = calibration.Population(n_users=params.n_users, ctr=params.ctr)
    return {
        NULL: base,
        LIFT: replace(base, lift=params.lift),
        RARE: replace(base, lift=params.lift, ctr=0.003),
        FEW: replace(base, lift=params.lift, n_users=max(10, params.n_users // 4)),
        MARGIN: replace(base, lift=-GUARDRAIL_MARGIN),
        PRIOR: replace(base, lift_sd=PRIOR_SD),
        LOSS: replace(base, lift=AWAY_LIFT, away=AWAY),
        BOTS_LIFT: replace(base, lift=params.lift, bots=6),
        **{name: replace(base, **unlike) for name, unlike in TRAFFIC.items()},
    }


def grade_populations(params: CalibrateParams) -> pd.DataFrame:
    """The grades of every population's tests, one row each; the column `population` says whose."""
    with calibration.grading_pool() as pool:
        parts = [
            calibration.grade(
                population,
                params.n_tests,
                seed=params.seed,
                boot=question not in TRAFFIC,
                whole=question in (NULL, LOSS, *TRAFFIC),
                pool=pool,
            ).assign(population=question)
            for question, population in populations(params).items()
        ]
    return pd.concat(parts, ignore_index=True)


def rates_of(graded: pd.DataFrame, population: str, *kinds: str) -> pd.DataFrame:
    """The rates of one population's tests, of these kinds only where any are given."""
    rates = calibration.rates(graded[graded["population"] == population])
    return rates[rates["kind"].isin(kinds or rates["kind"])].reset_index(drop=True)


def claims_of(graded: pd.DataFrame) -> pd.DataFrame:
    """Every rate that the analysis makes a claim about: CLAIM_COLUMNS, the failed claims first.

    A rate fails where it is more than three Monte Carlo errors from its claim. Many promise only an upper end: a band
    for any look is wide on purpose, a gate corrects for the number of its tests, and counts are never exactly even.
    """
    claims = [(population, "rejects", ALPHA, False) for population in (NULL, *TRAFFIC)]
    claims += [(population, "stops", ALPHA, True) for population in (NULL, *TRAFFIC)]
    claims += [(population, "ships", SHIPPED, True) for population in (NULL, *TRAFFIC)]
    claims += [(population, "voids", VOIDED, True) for population in (NULL, *TRAFFIC)]
    claims += [(population, "covers", 1 - ALPHA, False) for population in (NULL, LIFT, RARE, FEW, *TRAFFIC)]
    claims += [(MARGIN, "passes", ALPHA, False), (LOSS, "ships", LOST, True)]
    rows = []
    for population, kind, claimed, at_most in claims:
        for row in rates_of(graded, population, kind).itertuples():
            if row.method.startswith(USUAL) or (kind == "covers" and row.method == DAY and "bots" in population):
                continue
            claim = SRM_ALPHA if row.method == "SRM" else TYPED_STOPS if row.method == TYPED else claimed
            below = at_most or row.method == "SRM" or row.method.startswith("check, ")
            error = 3 * math.sqrt(claim * (1 - claim) / row.tests)
            held = row.rate <= claim + error and (below or row.rate >= claim - error)
            rows.append((population, kind, row.method, row.rate, claim, error, below, held, row.tests))
    table = pd.DataFrame(rows, columns=list(CLAIM_COLUMNS))
    return table.sort_values("held", kind="stable", ignore_index=True)


def alarms_of(graded: pd.DataFrame) -> pd.DataFrame:
    """False alarms of tests without an effect, with the `claim` of each and whether it `held`.

    The usual ways claim ALPHA, give or take three Monte Carlo errors.
    """
    rates = rates_of(graded, NULL, "rejects", "stops")
    claims = claims_of(graded)
    ours = claims[claims["population"] == NULL].set_index(["kind", "method"])[["claim", "held"]]
    found = rates.join(ours, on=["kind", "method"])
    error = 3 * np.sqrt(ALPHA * (1 - ALPHA) / found["tests"])
    usual = (found["rate"] - ALPHA).abs() <= error
    return found.assign(claim=found["claim"].fillna(ALPHA), held=found["held"].where(found["claim"].notna(), usual))


def bots_cost(graded: pd.DataFrame) -> tuple[float, float, bool]:
    """Power of the default analysis without and with bots, and whether it is as little as FOUND says."""
    clean, bots = (rates_of(graded, p, "rejects").set_index("method").loc["CTR, CUPED"] for p in (LIFT, BOTS_LIFT))
    error = 3 * math.sqrt(max(clean["rate"] * (1 - clean["rate"]), 1e-9) * (1 / clean["tests"] + 1 / bots["tests"]))
    return clean["rate"], bots["rate"], bool(bots["rate"] >= FOUND * clean["rate"] - error)


def conclusion(graded: pd.DataFrame) -> str:
    """Whether the analysis does what it claims, within three Monte Carlo errors; what does not is named."""
    claims = claims_of(graded)
    outside = [
        f"{row.method} {row.kind} {percent(row.rate, 1)} ({row.population}, "
        f"{'at most ' if row.at_most else ''}{percent(row.claim, 2)} claimed)"
        for row in claims[~claims["held"]].itertuples()
    ]
    held = f"Of {count(len(claims))} rates of the analysis, {count(len(claims) - len(outside))} are what it claims"
    said = f"{held}, within three Monte Carlo errors{': not ' if outside else ''}{'; not '.join(outside)}."
    if BOTS_LIFT in set(graded["population"]):
        clean, bots, _ = bots_cost(graded)
        said += (
            f" A true lift is found by {percent(clean, 0)} of tests, and by {percent(bots, 0)} with six bots in them."
        )
    usual = [
        row.rate
        for k in ("rejects", "stops")
        for row in rates_of(graded, NULL, k).itertuples()
        if row.method.startswith(USUAL)
    ]
    if not usual:
        return said
    often = f"{percent(min(usual), 0)} to {percent(max(usual), 0)}"
    return f"{said} The usual ways raise an alarm in {often} of tests without an effect, for {percent(ALPHA, 0)} meant."


def traffic_table(graded: pd.DataFrame) -> pd.DataFrame:
    """Rates by claim (rows) and traffic (columns), as percent; a star marks what is not as claimed."""
    claims = claims_of(graded)
    claims = claims[claims["population"].isin((NULL, *TRAFFIC))]
    star = claims["held"].map({True: "", False: " *"})
    said = claims["rate"].map(lambda r: percent(r, 1)) + star
    claimed = claims["at_most"].map({True: "at most ", False: ""}) + claims["claim"].map(lambda c: percent(c, 2))
    table = claims.assign(said=said, claimed=claimed, what=claims["kind"] + ": " + claims["method"])
    wide = table.pivot(index=["what", "claimed"], columns="population", values="said")
    wide = wide.reindex(columns=[c for c in (NULL, *TRAFFIC) if c in wide], fill_value="").fillna("")
    return wide.reset_index("claimed").rename_axis(columns=None)


def chances_of(graded: pd.DataFrame) -> pd.DataFrame:
    """Stated chance to be better against how often the treatment truly was, where lifts are drawn from the prior."""
    return calibration.chance_calibration(graded[graded["population"] == PRIOR])


def planned_power(params: CalibrateParams) -> float:
    """Power that planning promises for CTR without CUPED, from a pilot without an effect."""
    population = populations(params)[LIFT]
    pilots = [t.users.whole for _, t in calibration.draw_tests(replace(population, lift=0.0), PILOTS, params.seed)]
    pilot = sum(pilots[1:], pilots[0])
    baseline = analysis.Baseline.from_statistics(pilot, analysis.CTR)
    return float(analysis.power_curve(baseline, pilot.n / PILOTS, [params.lift], analysis.Design())["power"].iloc[0])


def log_grading(run: tracking.Run, graded: pd.DataFrame) -> None:
    """Log every rate as a table and the A/A ones as metrics."""
    tables = {question: rates_of(graded, question) for question in graded["population"].unique()}
    run.log_table("rates", pd.concat([t.assign(population=q) for q, t in tables.items()], ignore_index=True))
    forbidden = dict.fromkeys(map(ord, "'(),"))
    named = tables[NULL]["kind"] + " " + tables[NULL]["method"].str.translate(forbidden)
    run.log_metrics(dict(zip(named, tables[NULL]["rate"], strict=True)))
