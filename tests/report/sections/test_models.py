"""The models behind the variants."""

import re

from recab_helpers.references import ModelAddress
from recab_helpers.report import Background, Served
from recab_helpers.report.sections.models import models


def test_a_model_is_named_with_its_version_and_the_address_that_loads_it(found):
    addresses = ("models:/a-b/3", "models:/a-b@champion", "runs:/12ab/m")
    named = {v: ModelAddress.parse(a) for v, a in zip(("control", "t1", "t2"), addresses, strict=True)}
    rows = re.findall(
        r"<tr><th[^>]*>(\w+)</th>" + 3 * r"<td>([^<]+)</td>", models(found, Background(models=named)).data
    )
    assert rows == [
        ("control", "a-b", "3", "models:/a-b/3"),
        ("t1", "a-b", "champion", "models:/a-b@champion"),
        ("t2", "m", "12ab", "runs:/12ab/m"),
    ]


def test_a_served_model_shows_how_it_answered(found):
    address = ModelAddress.parse("http://127.0.0.1:5001")
    served = Served(users=60, popular_instead={"answered 500": 7}, timed_requests=9, median_ms=1.5, p95_ms=float("nan"))
    page = models(found, Background(models={"control": address}, served={"control": served})).data
    (row,) = re.findall(
        r"<tr><th[^>]*>control</th>" + 4 * r"<td[^>]*>([^<]+)</td>" + "</tr></tbody></table></div>$", page
    )
    assert row[:2] == ("9", "1.500")
    assert row[3] == "7 of 60 users (answered 500: 7)"
    assert "<td>127.0.0.1:5001</td><td>not known: it is served</td><td>http://127.0.0.1:5001</td>" in page
