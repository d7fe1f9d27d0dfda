"""Set up a simulated test from registered models and the data they were trained on."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from recab_helpers.data import Interactions, World, encode
from recab_helpers.data.synthetic import MEAN_SESSIONS
from recab_helpers.parameters import SimulateParams
from recab_helpers.simulation.assignment import assign, shares, variant_names
from recab_helpers.simulation.serve import Test, Variant, p_click_of, served_slates, yardsticks
from recab_helpers.simulation.traffic import Traffic, draw_session_counts, draw_session_rates
from recab_helpers.simulation.truth import CompletedTruth, HeldOutTruth, Truth, WorldTruth

BASE_CLICK = 0.02  # P(click | examined) of an unrated item in recorded data
EXAMINATION_DECAY = 1.0  # P(examined) at position k is k^-1


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """The data of a train run: what the models saw, what was held out, and the world if there is one."""

    train: pd.DataFrame
    held_out: pd.DataFrame
    catalog: pd.DataFrame
    world: World | dict[str, np.ndarray] | None = None
    user_ids: np.ndarray = field(init=False)
    item_ids: np.ndarray = field(init=False)

    def __post_init__(self):
        if isinstance(self.world, dict):
            object.__setattr__(self, "world", World(**self.world))
        both = pd.concat([self.train["user_id"], self.held_out["user_id"]])
        users = np.unique(both.to_numpy(dtype=str)) if self.world is None else self.world.user_ids
        object.__setattr__(self, "user_ids", users)
        object.__setattr__(self, "item_ids", self.catalog["item_id"].to_numpy(dtype=str))

    def coded(self, table: pd.DataFrame) -> Interactions:
        """The table as integer codes of these users and items."""
        return encode(table, user_ids=self.user_ids, item_ids=self.item_ids)


def truths_of(data: TrainedOn, params: SimulateParams) -> dict[str, Truth]:
    """The definitions of truth that these data offer, by name; the first is the one that clicks are drawn from."""
    if data.world is not None:
        return {"synthetic world": WorldTruth(data.world)}
    whole = data.coded(pd.concat([data.train, data.held_out]))
    scale = {"base": BASE_CLICK, "max_rating": float(whole.rating.max())}
    truths = {
        "held_out": HeldOutTruth.of(data.coded(data.held_out), **scale),
        "completed": CompletedTruth.of(whole, data.catalog, seed=params.seed, **scale),
    }
    return {params.truth: truths.pop(params.truth), **truths}


def plan_tests(data: TrainedOn, models: list[Any], params: SimulateParams) -> dict[str, Test]:
    """One test per definition of truth, ready to draw from; the first is the one to run.

    `models` are loaded recommenders with `name`, `version` and `recommend(user_ids, k)`; the first is control.

    Raises:
        ValueError: the slate is larger than the catalog.
    """
    if params.slate_size > len(data.item_ids):
        raise ValueError(
            f"slate_size is {params.slate_size}, but the catalog has {len(data.item_ids):,} items. Lower it."
        )
    k = params.slate_size
    slates = [served_slates(m.recommend(data.user_ids, k), data.user_ids, data.item_ids, k) for m in models]
    names = variant_names(len(models))
    if data.world is None:
        rate = draw_session_rates(data.user_ids, mean=MEAN_SESSIONS, seed=params.seed)
    else:
        rate = data.world.session_rate
    planned = shares(params.allocation, len(models))
    shared = {
        "experiment": params.experiment,
        "user_ids": data.user_ids,
        "item_ids": data.item_ids,
        "assignment": assign(data.user_ids, salt=f"{params.experiment} {params.seed}", planned=planned),
        "traffic": Traffic(
            session_rate=rate,
            horizon_days=params.horizon_days,
            slate_size=k,
            examination_decay=EXAMINATION_DECAY,
            fatigue=params.fatigue,
        ),
        "planned": dict(zip(names, planned.tolist(), strict=True)),
        "effect_dial": params.effect_dial,
        "seed": params.seed,
    }
    tests = {}
    for truth_name, truth in truths_of(data, params).items():
        p_click = p_click_of(truth, slates, len(data.item_ids))
        variants = [
            Variant(name=n, model=m.name, version=m.version, items=s, p_click=p)
            for n, m, s, p in zip(names, models, slates, p_click, strict=True)
        ]
        tests[truth_name] = Test(variants=variants, **shared)
    return tests


def true_lifts(tests: dict[str, Test]) -> pd.DataFrame:
    """Exact CTR and lift per definition of truth and variant; lift is a fraction of control's CTR."""
    rows = [
        {"truth": truth, "variant": v.name, "model": v.model, "true_ctr": ctr, "true_lift": ctr / control - 1}
        for truth, test in tests.items()
        for (control, ctr, v) in ((test.true_ctr()["control"], test.true_ctr()[v.name], v) for v in test.variants)
    ]
    return pd.DataFrame(rows)


def yardstick_ctrs(data: TrainedOn, test: Test, params: SimulateParams) -> dict[str, float]:
    """True CTR of random, popularity and oracle slates under the test's own truth."""
    train = data.coded(data.train)
    shape = (train.n_users, train.n_items)
    seen = sparse.csr_array((np.ones(len(train.user), dtype=bool), (train.user, train.item)), shape=shape)
    truth = next(iter(truths_of(data, params).values()))
    return yardsticks(truth, test.traffic, seen, np.bincount(train.item, minlength=train.n_items))


def known_users(data: TrainedOn, test: Test) -> pd.DataFrame:
    """What is known of every user before the test: counts of a period as long, served by control, and segments.

    Columns: user_id, pre_impressions, pre_clicks, pre_sessions, history (training interactions), activity.
    """
    before = replace(test, assignment=np.zeros_like(test.assignment), seed=f"{test.seed} before")
    n = len(data.user_ids)
    sessions = draw_session_counts(data.user_ids, test.traffic.session_rate, seed=before.seed)
    clicks = np.zeros(n)
    for table in before.impressions():
        user = table["user_id"].combine_chunks().indices.to_numpy()
        clicks += np.bincount(user, weights=table["clicked"].to_numpy(), minlength=n)
    history = np.bincount(data.coded(data.train).user, minlength=n)
    return pd.DataFrame(
        {
            "user_id": data.user_ids,
            "pre_impressions": sessions * test.traffic.slate_size,
            "pre_clicks": clicks.astype(np.int64),
            "pre_sessions": sessions,
            "history": _binned(
                history, {"none (cold)": 0, "1 to 9": 1, "10 to 29": 10, "30 to 99": 30, "100 or more": 100}
            ),
            "activity": _binned(sessions, {"new": 0, "1 to 4 sessions": 1, "5 or more": 5}),
        }
    )


def _binned(counts: np.ndarray, starts: dict[str, int]) -> np.ndarray:
    """The name of the bin that each count falls in; `starts` gives the least count of each."""
    return np.array(list(starts))[np.searchsorted(list(starts.values()), counts, side="right") - 1]


class Tally:
    """Counts impressions and clicks per variant and day, and users per variant, as the log streams past."""

    def __init__(self, test: Test):
        self._test = test
        self._counts = np.zeros((len(test.variants), test.traffic.horizon_days, 2), dtype=np.int64)
        self._users = np.zeros(len(test.variants), dtype=np.int64)

    def watch(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Pass the tables through, counting; each user's rows are in one table."""
        start = self._test.start
        for table in tables:
            variant = table["variant"].combine_chunks().indices.to_numpy()
            day = (table["timestamp"].to_numpy() - start).astype("timedelta64[D]").astype(np.int64)
            cell = variant * self._counts.shape[1] + day
            for column, weights in enumerate((None, table["clicked"].to_numpy())):
                counts = np.bincount(cell, weights=weights, minlength=self._counts[..., 0].size)
                self._counts[..., column] += counts.reshape(self._counts.shape[:2]).astype(np.int64)
            user = table["user_id"].combine_chunks().indices.to_numpy()
            self._users += np.bincount(self._test.assignment[np.unique(user)], minlength=len(self._users))
            yield table

    def summary(self) -> pd.DataFrame:
        """Users, impressions, clicks and CTR per variant."""
        counts = self._counts.sum(axis=1)
        table = pd.DataFrame(counts, [v.name for v in self._test.variants], ["impressions", "clicks"])
        table.insert(0, "users", self._users)
        return table.assign(ctr=table["clicks"] / table["impressions"])

    def all_days(self) -> pd.DataFrame:
        """Impressions, clicks and CTR per variant and day, as `experiment.ctr_by` gives them without intervals."""
        names = [v.name for v in self._test.variants]
        index = pd.MultiIndex.from_product([names, range(self._counts.shape[1])], names=["variant", "day"])
        table = pd.DataFrame(self._counts.reshape(-1, 2), index, ["impressions", "clicks"])
        return table.assign(ctr=table["clicks"] / table["impressions"])

    def daily(self, variant: str) -> pd.DataFrame:
        """Daily impressions, clicks and CTR of one variant, indexed by day from 0."""
        return self.all_days().loc[variant].add_prefix("daily_")
