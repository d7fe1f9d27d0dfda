"""What the calibration draws its tests from, and what it leaves in MLflow."""

import math
from dataclasses import replace

import pandas as pd

from recab_helpers import analysis, calibration, tracking
from recab_helpers.analysis.checks import SRM_ALPHA
from recab_helpers.assumptions import PRIOR_SD
from recab_helpers.calibration.grading import GUARDRAIL
from recab_helpers.formats import count, percent
from recab_helpers.parameters import CalibrateParams

NULL, LIFT = "no effect (A/A)", "a true lift"
RARE, FEW = "a true lift at 0.3% CTR", "a true lift, a quarter of the users"
MARGIN, PRIOR = "a loss at the guardrail's margin", "lifts drawn from the prior"
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
        MARGIN: replace(base, lift=-GUARDRAIL.margin),
        PRIOR: replace(base, lift_sd=PRIOR_SD),
    }


def grade_populations(params: CalibrateParams) -> pd.DataFrame:
    """The grades of every population's tests, one row each; the column `population` says whose."""
    parts = [
        calibration.grade(population, params.n_tests, seed=params.seed).assign(population=question)
        for question, population in populations(params).items()
    ]
    return pd.concat(parts, ignore_index=True)


def rates_of(graded: pd.DataFrame, population: str, *kinds: str) -> pd.DataFrame:
    """The rates of one population's tests, of these kinds only where any are given."""
    rates = calibration.rates(graded[graded["population"] == population])
    return rates[rates["kind"].isin(kinds or rates["kind"])].reset_index(drop=True)


def conclusion(graded: pd.DataFrame) -> str:
    """Whether the analysis does what it claims, within three Monte Carlo errors; what does not is named.

    A test without an effect may be stopped more rarely than alpha says: a band for any look is wide on purpose.
    """
    claims = [(NULL, "rejects", ALPHA), (NULL, "stops", ALPHA), (MARGIN, "passes", ALPHA)]
    claims += [(population, "covers", 1 - ALPHA) for population in (LIFT, RARE, FEW)]
    graded_, outside, usual = 0, [], []
    for population, kind, claimed in claims:
        for row in rates_of(graded, population, kind).itertuples():
            if row.method.startswith(USUAL):
                usual.append(row.rate)
                continue
            claim = SRM_ALPHA if row.method == "SRM" else claimed
            error = 3 * math.sqrt(claim * (1 - claim) / row.tests)
            graded_ += 1
            if row.rate > claim + error or (row.rate < claim - error and kind != "stops"):
                outside.append(
                    f"{row.method} {kind} {percent(row.rate, 1)} ({population}, {percent(claim, 2)} claimed)"
                )
    held = f"Of {count(graded_)} rates of the analysis, {count(graded_ - len(outside))} are what it claims"
    said = f"{held}, within three Monte Carlo errors{': not ' if outside else ''}{'; not '.join(outside)}."
    if not usual:
        return said
    often = f"{percent(min(usual), 0)} to {percent(max(usual), 0)}"
    return f"{said} The usual ways raise an alarm in {often} of tests without an effect, for {percent(ALPHA, 0)} meant."


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
