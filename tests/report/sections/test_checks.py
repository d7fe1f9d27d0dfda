"""What could not be tested is neither passed nor failed."""

import re
from dataclasses import replace

from recab_helpers.analysis import Check
from recab_helpers.report import Background
from recab_helpers.report.sections.checks import checks

MADE = [
    Check(name="Days", state="passed", detail="14 days"),
    Check(name="A/A", state="not tested", detail="nothing is known from before"),
    Check(name="Size", state="failed", detail="9 users", gate=False),
    Check(name="SRM", state="failed", detail="70%"),
]


def test_every_check_has_its_state_and_those_that_did_not_pass_come_first(found):
    page = checks(replace(found, checks=MADE), Background()).data
    rows = re.findall(r"<tr><th[^>]*>([^<]+)</th><td[^>]*>([^<]+)</td>", page)
    assert rows == [("SRM", "failed"), ("Size", "warning"), ("A/A", "not tested"), ("Days", "passed")]
    assert "nothing is known from before" in page


def test_the_checks_say_their_levels(found, known):
    assert "0.0005 for a split of users, 0.001 for other gates and 0.01 for warnings" in checks(found, known).data
