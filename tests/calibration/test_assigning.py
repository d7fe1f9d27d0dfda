"""An assignment of prepared users adds up to what the arrays themselves do."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis.metrics import CTR, mean_of
from recab_helpers.calibration.assigning import VARIANTS, Assigner, assigned
from recab_helpers.impressions.aggregates import Running, Sample, Users
from recab_helpers.impressions.statistics import KNOWN
from recab_helpers.impressions.weights import users_before
from tests.made import distinct


def people(rng: np.random.Generator, *, heavy: float) -> Sample:
    shown = rng.poisson(2.0, (200, 6)) * 10
    shown[0] = shown[0] * heavy + 1
    clicks = rng.binomial(shown, 0.1)
    before = {
        "pre_clicks": rng.poisson(3.0, 200),
        "pre_impressions": rng.poisson(30.0, 200),
        KNOWN: rng.random(200) < 0.5,
    }
    before["pre_age"] = rng.normal(40, 9, 200)
    return Sample(
        columns={
            "clicks": clicks.sum(axis=1),
            "impressions": shown.sum(axis=1),
            "big": 1e5 + rng.random(200),
            **before,
        },
        segments={"platform": rng.choice(["app", "web", "tv"], 200, p=[0.6, 0.38, 0.02])},
        daily=np.stack([clicks, shown], axis=-1),
        daily_columns=("clicks", "impressions"),
    )


@pytest.mark.parametrize("heavy", [1, 4000], ids=["alike", "one outweighs the rest"])
@pytest.mark.parametrize("share", [0.5, 0.05, 0.95])
def test_an_assignment_adds_up_to_what_the_arrays_do(rng, heavy, share):
    of = people(rng, heavy=heavy)
    users = Assigner(of, replace(CTR, further=("pre_age",)))
    for _ in range(3):
        code = (rng.random(200) < share).astype(int)
        code[:2] = 0, 1
        test = users.test(code)
        plain = Users.of(np.array(VARIANTS)[code], of.columns, segments=of.segments, histograms=[CTR.columns])
        assert test.users.caps == plain.caps
        assert bool(plain.caps) == (heavy > 1 and share < 0.9)  # of a handful, nobody outweighs the rest
        same(test.users.statistics, plain.statistics)
        same(test.users.capped, plain.capped)
        for level, group in plain.segments["platform"].items():
            same(test.users.segments["platform"][level], group)
        for name, histogram in plain.histograms.items():
            assert distinct(test.users.histograms[name]).tolist() == distinct(histogram).tolist()
        known = {
            c: users_before(of.columns, c, plain.caps) for c in ("pre_impressions", "pre_clicks", "pre_age", KNOWN)
        }
        counts = of.daily[:, :, ::-1]
        running = Running.of(
            code, counts, ("impressions", "clicks"), VARIANTS, seen="impressions", caps=plain.caps, known=known
        )
        assert test.running.columns == running.columns
        for v in VARIANTS:
            assert test.running.n[v].tolist() == running.n[v].tolist()
            assert test.running.sums[v] == pytest.approx(running.sums[v], rel=1e-9, abs=1e-6)
            assert test.running.products[v] == pytest.approx(running.products[v], rel=1e-9, abs=1e-3)


def same(found, expected):
    assert list(found) == list(expected)
    for v, s in expected.items():
        assert found[v].n == s.n
        assert found[v].mean == pytest.approx(s.mean, rel=1e-9, nan_ok=True)
        scale = np.sqrt(np.outer(np.diag(s.cov), np.diag(s.cov))) + 1e-12
        assert found[v].cov / scale == pytest.approx(s.cov / scale, abs=1e-8, nan_ok=True)


def test_days_are_counted_by_variant(rng):
    of, code = people(rng, heavy=1), np.arange(200) % 2
    test = assigned(of, code, CTR)
    rows = pd.DataFrame({"user": np.repeat(np.arange(200), 6), "day": np.tile(np.arange(6), 200)})
    rows["clicks"], rows["shown"] = of.daily[:, :, 0].ravel(), of.daily[:, :, 1].ravel()
    rows["variant"] = np.array(VARIANTS)[code[rows["user"]]]
    seen = rows[rows["shown"] > 0]
    of_cell = seen.assign(cc=seen["clicks"] * seen["shown"]).groupby(["variant", "day"])
    assert test.by_day["users"].tolist() == of_cell.size().tolist()
    assert test.by_day["clicks_impressions"].tolist() == of_cell["cc"].sum().tolist()
    first = seen.groupby("user").agg(variant=("variant", "first"), day=("day", "min"))
    assert test.users.first_seen["treatment"].sum() == (first["variant"] == "treatment").sum()
    assert test.n_impressions == rows["shown"].sum()


def test_users_without_days_have_none_and_a_variant_without_users_is_refused(rng):
    of = Sample(columns={"spend": rng.gamma(1.0, 2.0, 20)})
    test = assigned(of, np.arange(20) % 2, mean_of("spend", role="goal"))
    assert test.running is test.by_day is None
    with pytest.raises(ValueError, match="0 of 20 users are in treatment"):
        assigned(of, np.zeros(20, dtype=int), mean_of("spend", role="goal"))
