"""Set up a simulated test from models and the data they were trained on, under every truth that the data offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype, is_integer_dtype
from scipy import sparse

from recab_helpers.blocks import blocks
from recab_helpers.data.contract import as_ids
from recab_helpers.data.split import TrainedOn
from recab_helpers.errors import ParameterError
from recab_helpers.parameters import SimulateParams, TrainParams
from recab_helpers.recommenders.catalog import fit
from recab_helpers.recommenders.checked import checked_slates
from recab_helpers.recommenders.protocol import Served
from recab_helpers.recommenders.remote import RemoteModel
from recab_helpers.simulation.assignment import assign, shares, variant_names
from recab_helpers.simulation.before import rates_before, tastes_before
from recab_helpers.simulation.clicks import click_model
from recab_helpers.simulation.serving import Before, Exploration, Test, Variant
from recab_helpers.simulation.traffic import Traffic, draw_session_rates
from recab_helpers.simulation.truth import Truth, drawn_truth, p_click_of, truths_of

EXPLORED = 50  # best items of every model, among which random slates are drawn


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The same test under each definition of truth; clicks are drawn under one of them."""

    truths: Mapping[str, Truth]
    tests: Mapping[str, Test]  # by name of the truth
    drawn: str  # name of the truth that clicks are drawn from

    @property
    def test(self) -> Test:
        """The test to run."""
        return self.tests[self.drawn]


def plan_tests(data: TrainedOn, models: Sequence[Served], params: SimulateParams) -> Plan:
    """One test per definition of truth, ready to draw from; the first of the models is control.

    Users for whom a served model has no right list are shown what is popular, as a service would do.

    Raises:
        ParameterError: the slate is larger than the catalog.
        DataError: a model that is not served returns something else than k items of the catalog for every user.
    """
    k = params.slate_size
    if k > len(data.item_ids):
        raise ParameterError(f"slate_size is {k}, but the catalog has {len(data.item_ids):,} items. Lower it.")
    longest = min(max(k, EXPLORED), len(data.item_ids)) if params.exploration else k
    served = [_slates(m, data, longest) for m in models]
    candidates = candidates_of([s["items"] for s in served]) if params.exploration else None
    served = [s | {"items": s["items"][:, :k]} for s in served]
    slates = [s["items"] for s in served]
    names = variant_names(len(models))
    rate = draw_session_rates(data.user_ids, seed=params.seed) if data.world is None else data.world.session_rate
    planned = shares(0.0 if params.exploration else params.allocation, len(models))

    others = tastes_before(data.user_ids, seed=params.seed)
    rate_before = rates_before(data.user_ids, rate, change=params.user_change, seed=params.seed)

    def test_under(truth: Truth) -> Test:
        looked_up = slates if candidates is None else [*slates, np.maximum(candidates, 0)]
        p_click = p_click_of(truth, looked_up, len(data.item_ids))
        explored = None
        if candidates is not None:
            explored = Exploration(share=params.exploration, items=candidates, p_click=p_click.pop())
        taste = (1 - params.user_change) * p_click[0] + params.user_change * p_click[0][others]
        return Test(
            experiment=params.experiment,
            user_ids=data.user_ids,
            item_ids=data.item_ids,
            variants=[
                Variant(name=n, model=m.address, p_click=p, **shown)
                for n, m, shown, p in zip(names, models, served, p_click, strict=True)
            ],
            assignment=assign(data.user_ids, salt=f"{params.experiment} {params.seed}", planned=planned),
            traffic=Traffic(session_rate=rate, horizon_days=params.horizon_days),
            clicks=click_model(params.click_model, fatigue=params.fatigue),
            effect_dial=params.effect_dial,
            planned=dict(zip(names, planned.tolist(), strict=True)),
            before=Before(p_click=taste, session_rate=rate_before),
            seed=params.seed,
            design=params.design,
            exploration=explored,
        )

    truths = truths_of(data, seed=params.seed)
    tests = {name: test_under(truth) for name, truth in truths.items()}
    return Plan(truths=truths, tests=tests, drawn=drawn_truth(truths, params.truth))


def candidates_of(lists: Sequence[np.ndarray]) -> np.ndarray:
    """The items of all lists of a user, each once, (n_users, m); -1 fills up where there are fewer."""
    items = np.sort(np.hstack(lists), axis=1)
    items[:, 1:][items[:, 1:] == items[:, :-1]] = -1
    items = -np.sort(-items, axis=1)
    return items[:, : int((items >= 0).sum(axis=1).max())]


def _slates(model: Served, data: TrainedOn, k: int) -> dict[str, Any]:
    """What the model shows to every user, as the fields of a variant."""
    if not isinstance(model, RemoteModel):
        lists = model.recommend(data.user_ids, k)
        items = checked_slates(lists, data.user_ids, data.item_ids, k, source=str(model.address))
        return {"items": items, "mean_score": _mean_scores(lists, data.user_ids)}
    items, causes = model.lists(data.user_ids, data.item_ids, k)
    without = np.flatnonzero(items[:, 0] < 0)
    if len(without):
        popular = fit("popularity", data.coded(data.train), data.catalog, TrainParams())
        items[without] = popular.top_k(without, k)[0]
    return {"items": items, "popular_instead": causes}


def _mean_scores(lists: pd.DataFrame, user_ids: np.ndarray) -> np.ndarray | None:
    """Mean score of every user's list, (n_users,); nothing where the model gives none, or one that is no number."""
    score = lists.get("score")  # a table, where two columns have the name
    if not isinstance(score, pd.Series) or not (is_float_dtype(score) or is_integer_dtype(score)):
        return None
    scores = score.to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(scores).all():
        return None
    user = pd.Index(user_ids).get_indexer(as_ids(lists["user_id"]))
    return np.bincount(user, scores, len(user_ids)) / np.bincount(user, minlength=len(user_ids))


def true_lifts(plan: Plan) -> pd.DataFrame:
    """Exact CTR and lift per definition of truth and variant, and whether clicks are drawn from that truth.

    Columns: truth, variant, model (its address), true_ctr, true_lift (a fraction of control's CTR), drawn.
    """
    rows = []
    for truth, test in plan.tests.items():
        ctr, lift = test.true_ctr(), test.true_lift()
        rows += [
            {
                "truth": truth,
                "variant": v.name,
                "model": str(v.model),
                "true_ctr": ctr[v.name],
                "true_lift": lift[v.name],
                "drawn": truth == plan.drawn,
            }
            for v in test.variants
        ]
    return pd.DataFrame(rows)


def yardstick_ctrs(data: TrainedOn, plan: Plan) -> dict[str, float]:
    """True CTR of three policies over unseen items: uniformly random, most popular, and the oracle.

    Under the truth that clicks are drawn from. Random is the expectation over all unseen items.
    """
    train, test, truth = data.coded(data.train), plan.test, plan.truths[plan.drawn]
    n_users, n_items, k = train.n_users, train.n_items, test.slate_size
    seen = sparse.csr_array((np.ones(len(train.user), dtype=bool), (train.user, train.item)), shape=(n_users, n_items))
    by_popularity = np.argsort(-np.bincount(train.item, minlength=n_items), kind="stable")
    values = {name: np.empty((n_users, k)) for name in ("random", "popularity", "oracle")}
    for users in blocks(n_users, n_items, desc="yardsticks"):
        p_click, met = truth.p_click(users), seen[users].toarray()
        p_click[met] = 0
        values["random"][users] = (p_click.sum(1) / np.maximum((~met).sum(1), 1))[:, None]
        values["oracle"][users] = -np.sort(np.partition(-p_click, k - 1, axis=1)[:, :k], axis=1)
        first = np.argsort(met[:, by_popularity], axis=1, kind="stable")[:, :k]
        values["popularity"][users] = np.take_along_axis(p_click, by_popularity[first], axis=1)
    return {name: test.clicks.true_ctr(p, test.traffic) for name, p in values.items()}
