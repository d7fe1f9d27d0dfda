"""Two registered models and a pilot: slates and traffic are theirs, the lift is the one to find, the rest refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recab_helpers import tracking
from recab_helpers.analysis.planning import plan_table
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.impressions.look import check_early
from recab_helpers.parameters import DesignsParams
from recab_helpers.references import ModelAddress
from recab_helpers.stages import advice, plan, tested
from recab_helpers.stages.designs import grade_designs

K, N, SESSIONS = 4, 200, 5
VARIANTS = ["models:/old/1", "models:/new/2"]


def slates(users, k: int, *, other: bool) -> pd.DataFrame:
    """Of 60 items the same k for everyone, but that the other model has one more at the second place of odd users."""
    items = np.tile(np.arange(k), (len(users), 1))
    odd = np.array([int(u[1:]) % 2 == 1 for u in users])
    if other:
        items[odd, 1:] = np.hstack([np.full((odd.sum(), 1), 59), items[odd, 1:-1]])
    return pd.DataFrame(
        {
            "user_id": np.repeat(users, k),
            "position": np.tile(np.arange(1, k + 1), len(users)),
            "item_id": items.ravel().astype(str),
            "cold": np.repeat(~odd, k),
        }
    )


@pytest.fixture
def pilot(tmp_path, rng, monkeypatch):
    """A log that pandas wrote, under a name of its own for users, and the two models that the registry would load."""
    user = np.repeat(np.arange(N), SESSIONS)
    liked = rng.beta(1, 4, N)[user, None] * np.arange(1, K + 1) ** -0.5
    log = pd.DataFrame(
        {
            "visitor": np.repeat([f"u{u}" for u in user], K),
            "slate_id": np.repeat(np.arange(len(user)), K),
            "position": np.tile(np.arange(1, K + 1), len(user)),
            "variant": "today",
            "item_id": np.tile([f"i{k}" for k in range(K)], len(user)),
            "clicked": (rng.random(liked.shape) < liked).ravel().astype(int),
            "timestamp": np.repeat(pd.Timestamp("2026-03-02") + pd.to_timedelta(user % 4, unit="D"), K),
        }
    )

    def model(address: str):
        return SimpleNamespace(
            address=ModelAddress.parse(address), recommend=lambda users, k: slates(users, k, other="new" in address)
        )

    monkeypatch.setattr(tracking, "load_model", model)
    file = tmp_path / "pilot.parquet"

    def params(table: pd.DataFrame = log, **more) -> DesignsParams:
        table.to_parquet(file)
        given = {"log_file": str(file), "columns": {"user_id": "visitor"}, "variants": VARIANTS, "n_tests": 20}
        return DesignsParams(**given | {"n_users": 300, "lift": 0.1} | more)

    return SimpleNamespace(log=log, params=params)


def test_slates_and_traffic_are_the_pilots_and_the_lift_is_the_one_to_find(pilot):
    found = tested.tested_of(pilot.params())
    pair, ctr = found.pair, pilot.log["clicked"].mean()
    assert sorted(set(pair.overlap())) == [K - 1, K]
    assert (pair.overlap() == K - 1).sum() == N / 2
    assert pair.k == found.params.slate_size == K
    assert pair.ctr()[1] / pair.ctr()[0] - 1 == pytest.approx(0.1, abs=1e-6)
    assert pair.ctr()[0] == pytest.approx(ctr, rel=0.25)
    by_place = pilot.log.groupby("position")["clicked"].mean()
    assert pair.clicks.p_examine(K).mean() == pytest.approx(ctr / by_place[1])
    assert found.params.users_per_day == N / 4
    said = found.notes["users whom a model does not know, and shows the same"]
    assert said == "50% by control, 50% by the treatment"


def test_two_groups_take_what_the_plan_says_and_nothing_is_graded(pilot):
    found = tested.tested_of(pilot.params())
    graded = tested.grade(found)
    row = plan_table(found.grounds.baseline, [0.1], plan.Design(), users_per_day=1).iloc[0]
    needed = graded.set_index("way")["users_needed"]
    assert needed["counted"] == pytest.approx(row["users"])
    assert needed["cuped"] == pytest.approx(row["users_with_cuped"])
    assert needed["both"] < needed["cuped"]
    drawn = grade_designs(found.pair, found.params, models=["position"]).set_index("way")["users_needed"]
    reduced = needed / drawn / (needed["cuped"] / drawn["cuped"])  # what is adjusted by the period before, is as CUPED
    assert reduced[["triggered", "both", "gated"]].to_numpy() == pytest.approx(1)
    assert set(graded["model"]) == {"position"}
    assert "No design is recommended" in advice.answer(graded, found)
    assert not advice.grades(graded, "position", found).data
    assert not advice.costs(found).data
    assert not any("true" in name for name in advice.overlap_facts(found))
    assert "clicks lost" not in advice.off_policy_facts(graded, found)


def test_a_pilot_that_cannot_be_compared_is_refused(pilot, monkeypatch):
    for read in (check_early, tested.tested_of):
        with pytest.raises(DataError, match=r"pilot\.parquet has no column position, which says how many items"):
            read(pilot.params(pilot.log.drop(columns="position")))
    with pytest.raises(DataError, match=r"position 101; designs compare slates of at most 100"):
        tested.tested_of(pilot.params(pilot.log.replace({"position": {K: 101}})))
    with pytest.raises(DataError, match=r"lift is 9, but even if all items .* it would be"):
        tested.tested_of(pilot.params(lift=9.0))
    strangers = pilot.log.assign(visitor=lambda t: t["visitor"].str.replace("u", "u1") + "0")  # even, so not known
    with pytest.raises(DataError, match=r"models:/old/1 knows none of the users of pilot.parquet, such as u1"):
        tested.tested_of(pilot.params(strangers))
    same = SimpleNamespace(address=ModelAddress.parse(VARIANTS[0]), recommend=lambda u, k: slates(u, k, other=False))
    monkeypatch.setattr(tracking, "load_model", lambda _: same)
    with pytest.raises(DataError, match="Both models show the same items to all users"):
        tested.tested_of(pilot.params())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"variants": ["content", VARIANTS[1]]}, r"variants has content, but with a pilot .*models:/NAME/3"),
        ({"variants": ["http://h:1", VARIANTS[1]]}, "variants has http://h:1"),
        ({"unit": "impression"}, "both models are asked for the slates of the pilot's users"),
        ({"log_file": "", "users_file": __file__}, "there is no log_file"),
    ],
)
def test_values_that_no_model_can_be_asked_with_are_refused_at_the_door(values, words):
    with pytest.raises(ParameterError, match=words):
        DesignsParams(**{"log_file": __file__, "variants": VARIANTS} | values)


def test_what_a_pilot_says_or_cannot_tell_is_not_asked_for():
    assert {"slate_size", "truth", "click_model", "train_run_id"} <= DesignsParams(
        log_file=__file__, variants=VARIANTS
    ).unused().keys()
    assert "lift" in DesignsParams().unused()
