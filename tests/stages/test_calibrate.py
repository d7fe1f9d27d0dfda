"""What the stage of the calibration draws from, and what it leaves of it."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from recab_helpers import stages
from recab_helpers.analysis import CTR, estimate_effects
from recab_helpers.assumptions import PRIOR_SD
from recab_helpers.calibration import Population, draw_tests
from recab_helpers.calibration.grading import GUARDRAIL_MARGIN, TYPED
from recab_helpers.parameters import CalibrateParams
from recab_helpers.report.kit.figures import rates_figure
from recab_helpers.stages.calibrate import (
    BOTS_LIFT,
    CLAIM_COLUMNS,
    FEW,
    LIFT,
    LOSS,
    MARGIN,
    NULL,
    PRIOR,
    RARE,
    TRAFFIC,
    alarms_of,
    claims_of,
    conclusion,
    populations,
)

PARAMS = CalibrateParams(n_tests=20, n_users=200, ctr=0.1, lift=0.2, seed=3)


@pytest.fixture(scope="module")
def graded() -> pd.DataFrame:
    return stages.grade_populations(PARAMS)


class Run:
    """Keeps what is logged."""

    def __init__(self):
        self.tables, self.metrics = {}, {}

    def log_table(self, name: str, table: pd.DataFrame):
        self.tables[name] = table

    def log_metrics(self, values: dict[str, float]):
        self.metrics |= values


def test_every_question_has_its_population():
    made = populations(PARAMS)
    assert list(made) == [NULL, LIFT, RARE, FEW, MARGIN, PRIOR, LOSS, BOTS_LIFT, *TRAFFIC]
    assert all(made[t].null for t in TRAFFIC)
    assert not made[LOSS].null
    assert made[NULL] == Population(n_users=200, ctr=0.1)
    assert made[NULL].null
    assert (made[LIFT].lift, made[RARE].ctr, made[FEW].n_users) == (0.2, 0.003, 50)
    assert made[MARGIN].lift == -GUARDRAIL_MARGIN
    assert made[PRIOR].lift_sd == PRIOR_SD


def test_every_population_is_graded_as_often_as_asked(graded):
    counts = graded.groupby("population")["test"].nunique().to_dict()
    assert 10 < counts.pop("shares 99/1") <= 20  # two of so few users are expected in treatment, and may be none
    assert counts == dict.fromkeys([p for p in populations(PARAMS) if p != "shares 99/1"], 20)
    rates = stages.rates_of(graded, NULL, "rejects")
    assert set(rates["kind"]) == {"rejects"}
    assert {"stops", "covers"} <= set(stages.rates_of(graded, NULL)["kind"])
    alone = graded[(graded["population"] == LIFT) & (graded["method"] == "CTR, CUPED") & (graded["kind"] == "rejects")]
    found = stages.rates_of(graded, LIFT).set_index(["kind", "method"]).loc[("rejects", "CTR, CUPED"), "rate"]
    assert found == pytest.approx(alone["value"].mean())


def test_chances_are_those_of_lifts_from_the_prior(graded):
    table = stages.chances_of(graded)
    assert table["tests"].sum() == 20
    truth = graded[(graded["population"] == PRIOR) & (graded["kind"] == "truth")]["value"]
    assert (table["true"] * table["tests"]).sum() == pytest.approx((truth > 0).sum())


def test_planned_power_is_what_tests_with_that_lift_have():
    """The promise of a pilot against the mean of what the tests' own errors say."""
    population = Population(n_users=200, ctr=0.1, lift=0.2)
    errors = []
    for _, test in draw_tests(population, 40, 4):
        [effect] = estimate_effects(test.users, (CTR,), cuped=False)
        errors.append(effect.se / effect.control)
    expected = np.mean(norm.sf(norm.isf(0.025) - 0.2 / np.array(errors)))
    assert stages.planned_power(PARAMS) == pytest.approx(expected, abs=0.07)


def test_rates_are_logged_as_a_table_and_those_of_a_a_tests_as_metrics(graded):
    run = Run()
    stages.log_grading(run, graded)
    table = run.tables["rates"]
    assert set(table["population"]) == set(populations(PARAMS))
    null = stages.rates_of(graded, NULL)
    assert list(run.metrics.values()) == null["rate"].tolist()
    assert run.metrics["rejects CTR CUPED"] == null.set_index(["kind", "method"]).loc[("rejects", "CTR, CUPED"), "rate"]
    assert not {c for name in run.metrics for c in name} & set("'(),")  # MLflow refuses them


def grades(n: int, **shares: float) -> list[pd.DataFrame]:
    """`n` tests in which each method, by `population|kind|method`, said yes with this share."""
    return [
        pd.DataFrame({"test": range(n), "value": (np.arange(n) < round(share * n)).astype(float)}).assign(
            **dict(zip(("population", "kind", "method"), name.split("|"), strict=True))
        )
        for name, share in shares.items()
    ]


def test_the_conclusion_names_what_is_not_as_claimed_and_what_the_usual_ways_do():
    fine = {f"{NULL}|rejects|CTR": 0.052, f"{NULL}|rejects|SRM": 0.001, f"{NULL}|stops|any look": 0.0}
    fine |= {f"{LIFT}|covers|CTR": 0.945, f"{MARGIN}|passes|guardrail": 0.048}
    usual = {f"{NULL}|rejects|usual way, total clicks": 0.3, f"{NULL}|stops|usual way, looks": 0.58}
    good = conclusion(pd.concat(grades(2000, **fine, **usual)))
    assert good.startswith("Of 5 rates of the analysis, 5 are what it claims, within three Monte Carlo errors. ")
    assert "raise an alarm in 30% to 58% of tests without an effect" in good
    bad = conclusion(pd.concat(grades(2000, **fine | {f"{LIFT}|covers|CTR": 0.9, f"{NULL}|stops|any look": 0.08})))
    assert "5, 3 are" not in bad
    assert bad.startswith("Of 5 rates of the analysis, 3 are what it claims")
    assert f"not any look stops 8.0% ({NULL}, at most 5.00% claimed); not CTR covers 90.0%" in bad


def test_a_claim_holds_within_three_errors_and_some_have_an_upper_end_only():
    other = "6 bots"
    found = claims_of(
        pd.concat(
            grades(
                1000,
                **{f"{other}|rejects|CTR": 0.02, f"{other}|rejects|check, balance": 0.02, f"{NULL}|ships|verdict": 0.0},
                **{f"{other}|voids|any gate": 0.02, f"{NULL}|stops|{TYPED}": 0.07, f"{NULL}|stops|any look": 0.068},
            )
        )
    )
    assert list(found) == list(CLAIM_COLUMNS)
    held = found.set_index(["population", "method"])["held"].to_dict()
    assert held == {
        (other, "CTR"): False,
        (other, "check, balance"): True,
        (NULL, "verdict"): True,
        (other, "any gate"): False,
        (NULL, TYPED): True,
        (NULL, "any look"): True,
    }
    assert found["held"].is_monotonic_increasing


def test_the_table_of_traffic_stars_what_is_not_as_claimed():
    rates = {f"{NULL}|rejects|CTR": 0.05, "6 bots|rejects|CTR": 0.2, "6 bots|voids|any gate": 0.0}
    table = stages.traffic_table(pd.concat(grades(1000, **rates)))
    assert list(table) == ["claimed", NULL, "6 bots"]
    assert table.loc["rejects: CTR"].tolist() == ["5.00%", "5.0%", "20.0% *"]
    assert table.loc["voids: any gate"].tolist() == ["at most 0.50%", "", "0.0%"]


def test_a_false_alarm_is_judged_by_its_own_claim():
    """A band for any look and the sample ratio err far less often than 5% of tests, as they say."""
    rates = {f"{NULL}|rejects|CTR": 0.05, f"{NULL}|rejects|SRM": 0.001, f"{NULL}|stops|any look": 0.0}
    rates |= {f"{NULL}|rejects|clicks": 0.1, f"{NULL}|rejects|usual way, z": 0.3}
    found = alarms_of(pd.concat(grades(1000, **rates))).set_index("method")
    held = {"CTR": True, "SRM": True, "any look": True, "clicks": False, "usual way, z": False}
    assert found["held"].to_dict() == held
    assert found["claim"].to_dict() == dict.fromkeys(held, 0.05) | {"SRM": 5e-4}
    figure = rates_figure(found.reset_index(), target=0.05, title="t").data
    assert "A short line: a claim of its own." in figure
