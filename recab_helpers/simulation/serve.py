"""Serve slates to assigned users, draw examination and clicks, and emit the impression log in chunks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm.auto import tqdm

from recab_helpers.data.synthetic import START
from recab_helpers.randomness import id_keys, uniform
from recab_helpers.simulation.traffic import Traffic, draw_session_counts
from recab_helpers.simulation.truth import Truth

CHUNK_IMPRESSIONS = 500_000
BLOCK_CELLS = 4_000_000  # users x items held at once


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One arm of the test: the slate that each user would get and how likely each item is clicked."""

    name: str
    model: str
    version: str
    items: np.ndarray  # (n_users, slate_size) item codes
    p_click: np.ndarray  # (n_users, slate_size) P(click | examined)


@dataclass(frozen=True, kw_only=True)
class Test:
    """Everything that a simulated test draws from; variants[0] is control."""

    __test__ = False  # not a test case, whatever pytest thinks of its name

    experiment: str
    user_ids: np.ndarray  # (n_users,)
    item_ids: np.ndarray  # (n_items,)
    variants: list[Variant]
    assignment: np.ndarray  # (n_users,) variant code
    traffic: Traffic
    effect_dial: float  # chance that a treatment session is served the treatment's slate
    planned: dict[str, float]  # share of users per variant
    seed: int | str
    start: np.datetime64 = START

    def true_ctr(self) -> dict[str, float]:
        """Exact CTR of each variant, as if all users had it; the dial mixes control into the treatments."""
        ctr = [self.traffic.true_ctr(v.p_click) for v in self.variants]
        served = [ctr[0]] + [ctr[0] + self.effect_dial * (c - ctr[0]) for c in ctr[1:]]
        return {v.name: c for v, c in zip(self.variants, served, strict=True)}

    def impressions(self) -> Iterator[pa.Table]:
        """The impression log, users in order and sessions in time, in tables of about CHUNK_IMPRESSIONS rows."""
        sessions = draw_session_counts(self.user_ids, self.traffic.session_rate, seed=self.seed)
        first_slate = np.concatenate([[0], np.cumsum(sessions)])
        chunk = first_slate[1:] * self.traffic.slate_size // CHUNK_IMPRESSIONS
        bounds = np.concatenate([[0], np.flatnonzero(np.diff(chunk)) + 1, [len(sessions)]])
        with tqdm(total=int(first_slate[-1]), desc="sessions", unit_scale=True) as bar:
            for start, stop in pairwise(bounds):
                if n := int(first_slate[stop] - first_slate[start]):
                    yield self._chunk(np.arange(start, stop), sessions[start:stop], int(first_slate[start]))
                    bar.update(n)

    def recommendations(self) -> Iterator[pa.Table]:
        """The slate of every variant for every user, in tables of about CHUNK_IMPRESSIONS rows."""
        k = self.traffic.slate_size
        block = max(1, CHUNK_IMPRESSIONS // k)
        for code, variant in enumerate(self.variants):
            for start in range(0, len(self.user_ids), block):
                items = variant.items[start : start + block]
                users = np.repeat(np.arange(start, start + len(items)), k)
                yield pa.table(
                    {
                        "user_id": _coded(users, self.user_ids),
                        "variant": _coded(np.full(len(users), code), [v.name for v in self.variants]),
                        "position": np.tile(np.arange(1, k + 1, dtype=np.int16), len(items)),
                        "item_id": _coded(items.ravel(), self.item_ids),
                    }
                )

    def _chunk(self, users: np.ndarray, sessions: np.ndarray, first_slate: int) -> pa.Table:
        keys = {p: id_keys(self.user_ids[users], f"{self.seed} {p}") for p in ("time", "dial", "examine", "click")}
        row = np.repeat(np.arange(len(users)), sessions)  # one element per session from here on
        number = np.arange(len(row)) - np.repeat(np.cumsum(sessions) - sessions, sessions)
        seconds = np.floor(uniform(keys["time"][row], number) * self.traffic.horizon_days * 86_400)
        seconds = seconds[np.lexsort((seconds, row))]
        variant = self.assignment[users][row]
        treated = (variant > 0) & (uniform(keys["dial"][row], number) < self.effect_dial)
        items, p_click = self._slates(users[row], np.where(treated, variant, 0))
        position = np.arange(1, self.traffic.slate_size + 1)
        at = number[:, None], position
        examined = uniform(keys["examine"][row][:, None], *at) < self.traffic.p_examine
        liked = uniform(keys["click"][row][:, None], *at) < p_click * self.traffic.fatigue ** number[:, None]
        return self._table(users[row], first_slate, variant, seconds, items, examined & liked)

    def _slates(self, users: np.ndarray, variant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        items = np.empty((len(users), self.traffic.slate_size), dtype=np.int32)
        p_click = np.empty(items.shape)
        for code, served in enumerate(self.variants):
            rows = variant == code
            items[rows], p_click[rows] = served.items[users[rows]], served.p_click[users[rows]]
        return items, p_click

    def _table(self, users, first_slate, variant, seconds, items, clicked) -> pa.Table:
        k = self.traffic.slate_size
        each = np.repeat(np.arange(len(users), dtype=np.int32), k)
        versions, version = np.unique([f"{v.model}:{v.version}" for v in self.variants], return_inverse=True)
        return pa.table(
            {
                "user_id": _coded(users[each], self.user_ids),
                "slate_id": first_slate + each.astype(np.int64),
                "position": np.tile(np.arange(1, k + 1, dtype=np.int16), len(users)),
                "experiment": _coded(np.zeros(len(each)), [self.experiment]),
                "variant": _coded(variant[each], [v.name for v in self.variants]),
                "timestamp": (self.start + seconds.astype("timedelta64[s]"))[each],
                "item_id": _coded(items.ravel(), self.item_ids),
                "clicked": clicked.ravel().astype(np.int8),
                "model_version": _coded(version[variant[each]], versions),
            }
        )


def served_slates(recommendations: pd.DataFrame, user_ids, item_ids, slate_size: int) -> np.ndarray:
    """Item codes (n_users, slate_size) from a recommendations table in the order of `user_ids`."""
    codes = np.searchsorted(item_ids, recommendations["item_id"].to_numpy(dtype=item_ids.dtype))
    return codes.reshape(len(user_ids), slate_size).astype(np.int32)


def p_click_of(truth: Truth, slates: list[np.ndarray], n_items: int) -> list[np.ndarray]:
    """P(click | examined) of each slate's items, shapes (n_users, slate_size), a block of users at a time."""
    out = [np.empty(s.shape) for s in slates]
    for users in _blocks(len(slates[0]), n_items):
        p_click = truth.p_click(users)
        for slate, values in zip(slates, out, strict=True):
            values[users] = np.take_along_axis(p_click, slate[users], axis=1)
    return out


def yardsticks(truth: Truth, traffic: Traffic, seen, popularity: np.ndarray) -> dict[str, float]:
    """True CTR of three policies over unseen items: uniformly random, most popular, and the oracle.

    `seen` is a sparse (n_users, n_items) matrix. Random is the expectation over all unseen items.
    """
    n_users, n_items = seen.shape
    k = traffic.slate_size
    values = {name: np.empty((n_users, k)) for name in ("random", "popularity", "oracle")}
    by_popularity = np.argsort(-popularity, kind="stable")
    for users in _blocks(n_users, n_items):
        p_click, met = truth.p_click(users), seen[users].toarray().astype(bool)
        p_click[met] = 0
        values["random"][users] = (p_click.sum(1) / np.maximum((~met).sum(1), 1))[:, None]
        values["oracle"][users] = -np.sort(np.partition(-p_click, k - 1, axis=1)[:, :k], axis=1)
        first = np.argsort(met[:, by_popularity], axis=1, kind="stable")[:, :k]
        values["popularity"][users] = np.take_along_axis(p_click, by_popularity[first], axis=1)
    return {name: traffic.true_ctr(p) for name, p in values.items()}


def _blocks(n_users: int, n_items: int) -> Iterator[np.ndarray]:
    size = max(1, BLOCK_CELLS // n_items)
    blocks = range(0, n_users, size)
    for start in tqdm(blocks, desc="truth", leave=False, disable=len(blocks) < 20):
        yield np.arange(start, min(start + size, n_users))


def _coded(codes: np.ndarray, values) -> pa.DictionaryArray:
    names = pa.array(np.asarray(values, dtype=object), pa.string())
    return pa.DictionaryArray.from_arrays(np.asarray(codes, dtype=np.int32), names)
