"""What the test could find."""

import re
from dataclasses import replace

from recab_helpers.report import Background
from recab_helpers.report.sections.power import power
from recab_helpers.report.sections.verdict import verdict
from tests.report.drawn import a_background, an_analysis


def test_the_smallest_lift_is_one_number_wherever_it_is_given():
    found = an_analysis({"a": 0.5, "b": 0.2})
    known = a_background(found)
    said = re.compile(r"finds a CTR lift of ([\d.]+%)")
    pages = [page(found, known).data for page in (power, verdict)]
    assert len({number for page in pages for number in said.findall(page)}) == 1
    assert all(map(said.search, pages))
    assert f"{found.verdict.mde:.1%}" in said.findall(pages[0])


def test_without_a_lift_nothing_is_promised(found):
    none = replace(found, power=found.power.iloc[:0])
    assert power(none, Background()).data == ""
