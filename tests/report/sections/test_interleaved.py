"""Interleaved slates: a preference, said in plain words, and nowhere a lift."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis import CTR, analyze, read_preference
from recab_helpers.impressions import Aggregates, SufficientStatistics, Users
from recab_helpers.impressions.aggregates import Within
from recab_helpers.impressions.within import PREFERS, TIED, WON, at
from recab_helpers.report import report_json, sections, sentence
from recab_helpers.report.verdict import headline, next_step
from tests.report.drawn import a_background
from tests.report.test_sections import text_of

TEAMS = ("control", "treatment")


def users_of(rng, share: float, n: int = 2000) -> tuple[Within, dict[str, np.ndarray]]:
    """Users with slates of ten items, five of each team, of whose clicks the treatment's picks get this share."""
    slates = 1 + rng.poisson(3, n)
    clicks = rng.poisson(slates * rng.gamma(1, 0.5, n))
    mine = rng.binomial(clicks, share)
    values = {at("clicks", "control"): clicks - mine, at("clicks", "treatment"): mine, TIED: np.zeros(n)}
    for v, more in zip(TEAMS, (clicks - mine > mine, mine > clicks - mine), strict=True):
        values |= {at(PREFERS, v): more, at(WON, v): more, at("impressions", v): 5 * slates}
    s = SufficientStatistics.of(np.column_stack(list(values.values())).astype(float), tuple(values))
    counts = {"slates": slates, "control": clicks - mine, "treatment": mine}
    return Within(design="interleaved", statistics=s), counts


def drafted(rng, share: float, n: int = 2000):
    """The whole analysis of such users."""
    of, counts = users_of(rng, share, n)
    slates = counts["slates"]
    columns = {
        "impressions": np.tile(5 * slates, 2),
        "clicks": np.r_[counts["control"], counts["treatment"]],
        "sessions": np.tile(slates, 2),
    }
    users = Users.of(np.repeat(TEAMS, n), columns)
    first = rng.binomial(slates.sum(), 0.5)
    cells = pd.DataFrame(
        {"impressions": [slates.sum() - first, first], "clicks": 0},
        index=pd.MultiIndex.from_product([TEAMS, [1]], names=["variant", "position"]),
    )
    test = Aggregates(
        users=Users(statistics=users.statistics, within=of),
        by_position=cells,
        items=pd.DataFrame({v: [9, 5] for v in TEAMS}, index=pd.Index(["x", "y"], name="item_id")),
    )
    return analyze(test, planned=dict.fromkeys(TEAMS, 0.5), metrics=(CTR,))


def test_a_preference_is_named_and_is_no_lift(rng):
    found = drafted(rng, 0.56)
    known = a_background(found)
    assert found.verdict.call == "no lift"
    assert not found.effects
    assert headline(found, known) == "Users prefer model-1."
    assert "it is no lift of CTR" in sentence(found, known)
    for name in sections.__all__:
        text = text_of(getattr(sections, name)(found, known).data)
        assert "nan" not in text.split()
        assert "lift of treatment" not in text or name == "offline"
    assert "CTR in the test" not in text_of(sections.offline(found, known).data)
    assert report_json(found, known)["preference"]["preferred"] == "treatment"


def test_the_interval_of_the_share_covers_it_and_no_preference_is_seldom_named(rng):
    shares = [read_preference(users_of(rng, 0.5, 400)[0], TEAMS) for _ in range(300)]
    named = sum(bool(p.preferred) for p in shares)
    assert named == pytest.approx(0.05 * 300, abs=4 * np.sqrt(0.05 * 0.95 * 300))
    assert sum(p.sign_p < 0.05 for p in shares) <= 0.05 * 300 + 4 * np.sqrt(0.05 * 0.95 * 300)


def test_what_is_open_says_how_many_users_would_tell(rng):
    found = drafted(rng, 0.501)
    known = a_background(found)
    assert headline(found, known) == "No preference shown."
    assert "which does not rule out one half" in sentence(found, known)
    assert "users" in next_step(found, known) or "Choose by cost" in next_step(found, known)
    p = found.preference
    n = p.users_for(power=0.8)
    assert abs(p.share - 0.5) / (p.se * np.sqrt(p.n_users / n)) == pytest.approx(1.96 + 0.8416, abs=0.01)
