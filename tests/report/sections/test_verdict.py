"""The first screen: what it is, the call, its size and its costs."""

import re
from dataclasses import replace

import pytest

from recab_helpers.analysis import Check, per_user
from recab_helpers.references import ModelAddress
from recab_helpers.report import Background, Served
from recab_helpers.report.sections.verdict import verdict
from tests.report.drawn import an_analysis
from tests.report.test_sections import text_of


def test_what_could_not_be_tested_is_named_and_not_counted_as_passed(found):
    untested = Check(name="A/A", state="not tested", detail="nothing is known from before")
    n = len(found.checks)
    text = text_of(verdict(replace(found, checks=[*found.checks, untested]), Background()).data)
    assert f"{sum(c.state == 'passed' for c in found.checks)} of {n + 1} checks passed" in text
    assert "A/A: not tested" in text


def test_it_says_what_it_is_of_the_variants_by_their_models_the_data_and_the_days(found, known):
    page = verdict(found, replace(known, dataset="toys", days=("2026-01-05", "2026-01-09"), hypothesis="<more>")).data
    text = text_of(page)
    assert "Simulated test. No real user saw these slates" in " ".join(text.split())
    assert "simulated test model-1 against model-0 data set toys 2026-01-05 to 2026-01-09, 5 days" in " ".join(
        text.split()
    )
    assert "<h1>Ship model-1.</h1>" in page
    assert "Expected: &lt;more&gt;" in page
    real = text_of(verdict(found, Background()).data)
    assert "Simulated" not in real
    assert "real test treatment against control 5 days 1,200 users, 50% / 50%" in " ".join(real.split())


def test_the_effect_is_given_in_clicks_of_1000_users_and_of_a_real_log_as_a_total(found, known):
    of = per_user(found.verdict.effect, found.effects, found.test.users)
    assert of.metric.numerator == "clicks"
    low, high = of.difference_ci
    real = text_of(verdict(found, Background()).data)
    between, words = f"(+{1000 * low:,.0f} to +{1000 * high:,.0f})", " ".join(real.split())
    assert f"+{1000 * of.difference:,.0f} clicks per 1,000 users in 5 days {between}" in words
    assert f"+{1200 * of.difference:,.0f} clicks in 5 days if all 1,200 users" in words
    assert "if all" not in text_of(verdict(found, known).data)


def test_a_share_counts_users_as_its_label_says(found):
    of = next(e for e in found.effects if e.metric.name == "clicked_any")
    back = replace(of, metric=replace(of.metric, label="Users back within 7 days"))
    text = text_of(
        verdict(replace(found, effects=[back], verdict=replace(found.verdict, effect=back)), Background()).data
    )
    assert "users back within 7 days per 1,000 users" in text


def test_it_names_what_the_effect_is_adjusted_for(found):
    effect = found.verdict.effect
    also = replace(effect, metric=replace(effect.metric, further=("pre_impressions", "pre_clicks")))
    text = text_of(verdict(replace(found, verdict=replace(found.verdict, effect=also)), Background()).data)
    assert "adjusted for clicks and impressions before the test" in text
    assert "adjusted for clicks before the test" in text_of(verdict(found, Background()).data)


def test_the_group_that_loses_most_is_named(found):
    other = found.segments.index[1]
    lost = found.segments.assign(lift=[-0.1, -0.3], low=[-0.2, -0.4], high=[-0.05, -0.1], adjusted_p_value=0.001)
    text = text_of(verdict(replace(found, segments=lost), Background()).data)
    assert f"Users lose with activity {lost.loc[other, 'level']}: \u221230.0%" in text
    even = lost.assign(adjusted_p_value=0.2)
    assert "No group of 2 is shown to lose" in text_of(verdict(replace(found, segments=even), Background()).data)


def test_what_is_shown_is_held_against_control(found, known):
    text = text_of(verdict(found, known).data)
    assert re.search(r"\d+% of the items in the log is ever shown \(control \d+%\)", text)


def test_the_same_model_twice_is_called_an_a_a_test(found):
    same = dict.fromkeys(found.test.users.variants, ModelAddress(name="m", version="3"))
    even = an_analysis({"treatment": 0.0})
    page = verdict(even, Background(models=same)).data
    assert "<h1>A/A: no difference, as it should be.</h1>" in page
    assert not re.search("class=.lift (good|bad)", page)


@pytest.mark.parametrize("dial", [1.0, 0.25])
def test_a_diluted_treatment_is_said_to_be_diluted(found, known, dial):
    assert ("diluted" in text_of(verdict(found, replace(known, dial=dial)).data)) == (dial < 1)


def test_an_invalid_test_shows_no_lift_and_no_cost(found):
    failed = Check(name="SRM", state="failed", detail="70% and 30%")
    bad = replace(
        found, checks=[failed], verdict=replace(found.verdict, call="invalid", winner="", effect=None, failed=(failed,))
    )
    page = verdict(bad, Background()).data
    assert 'class="lift' not in page
    assert "costs" not in page
    assert "SRM: 70% and 30%" in page


def test_popular_items_in_the_place_of_lists_are_told_at_the_top(found, known):
    """A model that did not answer was not compared."""
    whole = Served(users=600, popular_instead={}, timed_requests=9, median_ms=1.0, p95_ms=2.0)
    broken = replace(whole, popular_instead={"answered 500": 40, "did not answer within 1 s": 5})
    text = text_of(verdict(found, replace(known, served={"control": whole, "treatment": broken})).data)
    name = known.called("treatment")
    said = f"of {name} for 45 of 600 users (answered 500: 40, did not answer within 1 s: 5)."
    assert f"Popular items took the place of lists {said}" in text
    assert "Popular items" not in text_of(verdict(found, replace(known, served={"control": whole})).data)
    assert replace(broken, users=45).without().startswith("all 45 users")


def test_units_that_are_impressions_are_not_called_users(found):
    page = replace(found, test=replace(found.test, by_impression=True))
    said = " ".join(text_of(verdict(page, Background()).data).split())
    assert "1,200 impressions as units, 50% / 50%" in said
