"""Small analyses of drawn users, for tests of the report that need no pipeline."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from recab_helpers.analysis import METRICS, Analysis, MetricSpec, analyze
from recab_helpers.analysis.slates import Slates, shown_table
from recab_helpers.impressions import Aggregates, Example, Running, SufficientStatistics, Users
from recab_helpers.impressions.both_slates import AFTER, CONTROL_ONLY, DIFFERING, TREATMENT_ONLY, moved
from recab_helpers.impressions.statistics import ByVariant
from recab_helpers.parameters import AnalyzeParams
from recab_helpers.references import CONTROL, ModelAddress
from recab_helpers.report import Background, lineage

CELL = ("clicks_clicks", "clicks_impressions", "impressions_impressions")


def a_test(
    lifts: Mapping[str, float], *, n: int = 1200, n_days: int = 5, n_positions: int = 3, seed: int = 1
) -> Aggregates:
    """`n` users shared equally by control and the treatments, whose true lifts of clicks `lifts` holds."""
    rng = np.random.default_rng(seed)
    names = [CONTROL, *lifts]
    code = np.arange(n) % len(names)
    taste = rng.beta(2, 8, n)
    chance = taste * (1 + np.array([0.0, *lifts.values()])[code])
    visits = rng.poisson(rng.gamma(0.7, 1.5, n)[:, None], (n, n_days))
    visits[np.arange(n), rng.integers(n_days, size=n)] += 1
    shown = np.repeat(visits[:, :, None], n_positions, axis=2)
    clicks = rng.binomial(shown, np.clip(chance[:, None, None] / np.arange(1, n_positions + 1), 0, 1))
    hides = rng.poisson(0.5 * visits)
    by_user = {"impressions": shown.sum((1, 2)), "clicks": clicks.sum((1, 2)), "sessions": visits.sum(1)}
    before = rng.poisson(5 * taste)
    columns = by_user | {
        "clicked_any": by_user["clicks"] > 0,
        "weighted_clicks": (clicks / np.log2(np.arange(2, n_positions + 2))).sum((1, 2)),
        "novelty_bits": by_user["impressions"] * rng.normal(8, 1, n),
        "hides": hides.sum(1),
        "pre_clicks": before,
        "pre_impressions": 20 + before,
    }
    users = Users.of(
        np.array(names)[code],
        columns,
        segments={"activity": np.where(before > 0, "often", "seldom")},
        histograms=[("clicks", "impressions")],
    )
    daily = np.stack([clicks.sum(2), shown.sum(2), visits, hides], axis=-1)
    return Aggregates(
        users=users,
        running=Running.of(code, daily, ("clicks", "impressions", "sessions", "hides"), names, seen="impressions"),
        by_day=_cells(names, code, clicks.sum(2), shown.sum(2), "day", 0),
        by_position=_cells(names, code, clicks.sum(1), shown.sum(1), "position", 1),
        items=pd.DataFrame(
            {v: [9 + i, 5, 3] for i, v in enumerate(names)}, index=pd.Index(list("xyz"), name="item_id")
        ),
        n_impressions=int(shown.sum()),
        both_slates={t: _both_slates(names, code, clicks.sum(1), columns, t) for t in lifts},
    )


def _both_slates(names, code, clicks, columns, treatment) -> ByVariant:
    """As if the treatment changed the places of the first two items, and showed others from the third on."""
    places = {CONTROL: [moved(1, 2), moved(2, 1), CONTROL_ONLY], treatment: [moved(2, 1), moved(1, 2), TREATMENT_ONLY]}
    of = {c: columns[c] for c in ("impressions", "clicks", "pre_impressions", "pre_clicks")}
    of |= {DIFFERING: columns["clicks"], AFTER: columns["pre_clicks"] - np.mean(columns["pre_clicks"])}
    made = {}
    for variant, own in places.items():
        values = dict.fromkeys((CONTROL_ONLY, TREATMENT_ONLY, moved(1, 2), moved(2, 1)), np.zeros(len(code)))
        for i, place in enumerate(own):
            values[place] = clicks[:, i:].sum(1) if i == len(own) - 1 else clicks[:, i]
        rows = np.column_stack([*of.values(), *values.values()])[code == names.index(variant)]
        made[variant] = SufficientStatistics.of(rows, (*of, *values))
    return made


def an_analysis(
    lifts: Mapping[str, float] | None = None,
    *,
    metrics: tuple[MetricSpec, ...] = METRICS,
    planned: Mapping[str, float] | None = None,
    **drawn,
) -> Analysis:
    """The whole analysis of a drawn test, of one treatment with a true lift of .5 unless told otherwise."""
    test = a_test(lifts or {"treatment": 0.5}, **drawn)
    shares = planned or dict.fromkeys(test.users.variants, 1 / len(test.users.variants))
    return analyze(test, planned=shares, metrics=metrics)


def a_background(found: Analysis, **changes) -> Background:
    """Everything that can be known of a drawn test, as of a simulated one."""
    variants = found.test.users.variants
    models = {v: ModelAddress(name=f"model-{i}", version="3") for i, v in enumerate(variants)}
    slate = pd.DataFrame({"position": [1], "title": ["<b>x</b>"], "common": [False], "shown": [2], "clicked": [1]})
    history = pd.DataFrame({"title": ["y"], "rating": [4.0]})
    example = Example(
        user_id="u1", variant=CONTROL, sessions=1, clicks=1, history=history, n_history=1, slates={CONTROL: slate}
    )
    overlap = {"slate_size": 10, "in_common": 1.5, "none_in_common": 0.2, "all_in_common": 0.0}
    known = {
        "models": models,
        "offline": {v: a.name for v, a in models.items()},
        "quality": pd.DataFrame(
            {
                c: np.linspace(0.1, 0.3, len(variants))
                for c in ("ndcg_at_10", "recall_at_10", "precision_at_10", "fit_s")
            },
            index=pd.Index([a.name for a in models.values()], name="model"),
        ),
        "truth": pd.DataFrame(
            [
                (t, v, models[v].name, 0.1, 0.5 * i, t == "world")
                for t in ("other", "world")
                for i, v in enumerate(variants)
            ],
            columns=["truth", "variant", "model", "true_ctr", "true_lift", "drawn"],
        ),
        "yardsticks": {"random": 0.01, "oracle": 0.3},
        "slates": Slates(
            shown=shown_table(found.test.items),
            overlap=pd.DataFrame([{"variant": v, "against": CONTROL} | overlap for v in variants[1:]]),
            examples=[example],
        ),
        "grading": pd.DataFrame(
            {"kind": ["rejects"], "method": ["CTR"], "rate": [0.05], "error": [0.02], "tests": [400]}
        ),
        "data": {"data hash": "abc"},
        "lineage": lineage(
            run_ids={"train": "r1"},
            git_commit="c0ffee",
            data_hash="abc",
            parameters={"analyze": AnalyzeParams().as_dict()},
        ),
    }
    return Background(**known | changes)


def _cells(
    names: list[str], code: np.ndarray, clicks: np.ndarray, shown: np.ndarray, by: str, first: int
) -> pd.DataFrame:
    """Sums over the users of every variant and level, of counts of shape (n_users, n_levels)."""
    rows = {}
    for i, name in enumerate(names):
        for level in range(clicks.shape[1]):
            c, n = clicks[code == i, level].astype(float), shown[code == i, level].astype(float)
            sums = (n.sum(), c.sum(), (n > 0).sum(), c @ c, c @ n, n @ n)
            rows[name, level + first] = dict(zip(("impressions", "clicks", "users", *CELL), sums, strict=True))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["variant", by])
