"""A log read off-policy: a number with its support, or none with the reason."""

from dataclasses import replace

import numpy as np
import pandas as pd

from recab_helpers.analysis import CTR, decide, read_further, run_checks
from recab_helpers.analysis.checks import EVERY_DESIGN
from recab_helpers.analysis.off_policy import Estimate, OffPolicy
from recab_helpers.impressions import Aggregates, Users
from recab_helpers.references import Comparison, ModelAddress
from recab_helpers.report import report_json, sections, sentence
from recab_helpers.report.instead import reasons
from recab_helpers.report.verdict import headline, next_step, title
from tests.report.drawn import a_background, an_analysis
from tests.report.test_sections import text_of

TOLD = OffPolicy(
    comparison=Comparison("treatment"),
    alpha=0.05,
    n_users=900,
    own_ctr=0.1,
    support=0.99,
    support_ci=(0.95, 1.03),
    effective=400.0,
    gate_p=0.4,
    estimates=(Estimate(method="doubly robust", ctr=0.12, lift=0.2, ci=(0.1, 0.3), log_se=0.04, p_value=0.001),),
)


def read(told: OffPolicy):
    """The analysis of a log of control alone, and what is known beside it."""
    n = 900
    columns = {"impressions": np.full(n, 20), "clicks": np.arange(n) % 4, "sessions": np.full(n, 2)}
    test = Aggregates(
        users=Users.of(["control"] * n, columns),
        items=pd.DataFrame({"control": [9, 5]}, index=pd.Index(["x", "y"], name="item_id")),
    )
    found = read_further(test, (CTR,), run_checks(test, {"control": 1.0}, EVERY_DESIGN), [], decide([], []))
    known = a_background(an_analysis(), models={v: ModelAddress(name=v, version="1") for v in ("control", "treatment")})
    return replace(found, off_policy={"treatment": told}), replace(known, offline={}, quality=None)


def test_a_number_is_said_with_its_interval_and_that_nobody_saw_the_model():
    found, known = read(TOLD)
    assert found.verdict.call == "no lift"
    assert headline(found, known) == "Not tested: by the log, treatment:1 is better."
    assert "Nobody was shown" in sentence(found, known)
    assert "+20.0% (95% interval +10.0% to +30.0%)" in sentence(found, known)
    assert "worth a test" in next_step(found, known)
    assert title(found, known).endswith("treatment:1 judged from the log of control:1")
    page = text_of(sections.off_policy(found, known).data)
    assert "99%" in page
    assert "Effective sample size" in page
    assert report_json(found, known)["off_policy"][0]["estimates"][0]["lift"] == 0.2
    for name in sections.__all__:
        assert "nan" not in text_of(getattr(sections, name)(found, known).data).split()


def test_users_whom_the_target_does_not_know_and_the_gate_are_said():
    found, known = read(replace(TOLD, unknown=90))
    page = text_of(sections.off_policy(found, known).data)
    assert "treatment:1 does not know 90 of the users (10%)" in page
    assert "clicks below are not fewer, beyond chance, than after none on the same item (p 0.400)" in page
    assert any("does not know 90 of them" in r for r in reasons(found, known))
    assert report_json(found, known)["off_policy"][0]["unknown"] == 90
    found, known = read(replace(TOLD, gate_p=np.nan))
    assert "Gate: not asked" in text_of(sections.off_policy(found, known).data)
    assert not any("does not know" in r for r in reasons(found, known))
    assert report_json(found, known)["off_policy"][0]["gate_p"] is None
    found, known = read(replace(TOLD, gate_p=0.001, estimates=(), refused="users click less below"))
    assert "clicks below are fewer than after none on the same item (p 0.001)" in text_of(
        sections.off_policy(found, known).data
    )
    assert next_step(found, known) == "Test the two models with users."


def test_without_support_the_page_has_no_number_and_says_why():
    found, known = read(replace(TOLD, support=0.3, estimates=(), refused="its policy could have shown too little"))
    assert headline(found, known) == "No number: the log does not tell."
    page = text_of(sections.off_policy(found, known).data) + sentence(found, known)
    assert "could have shown too little" in page
    assert "+20.0%" not in page
    assert report_json(found, known)["off_policy"][0]["estimates"] == []
