"""The models behind the variants."""

import re

from recab_helpers.references import ModelAddress
from recab_helpers.report import Background
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
