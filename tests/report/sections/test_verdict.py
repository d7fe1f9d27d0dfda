"""The verdict box."""

import re
from dataclasses import replace

from recab_helpers.analysis import Check
from recab_helpers.references import ModelAddress
from recab_helpers.report import Background
from recab_helpers.report.sections.verdict import verdict


def test_what_could_not_be_tested_says_so_and_bears_no_tick(found):
    untested = Check(name="A/A", state="not tested", detail="nothing is known from before")
    page = verdict(replace(found, checks=[*found.checks, untested]), Background()).data
    assert '<li class="not-tested">A/A: not tested</li>' in page
    assert "A/A: passed" not in page


def test_it_names_the_call_the_variants_their_models_and_the_days(found, known):
    page = verdict(found, known).data
    assert '<p class="call">ship</p>' in page
    assert "control is model-0:3 (450 users); treatment is model-1:3 (450 users); 5 days<" in page
    assert "control (450 users); treatment (450 users); 5 days<" in verdict(found, Background()).data


def test_the_same_model_twice_is_called_an_a_a_test(found):
    same = dict.fromkeys(found.test.users.variants, ModelAddress(name="m", version="3"))
    assert "A/A test" in verdict(found, Background(models=same)).data
    assert "A/A test" not in re.sub('<ul class="checks.*?</ul>', "", verdict(found, Background()).data)
