"""Serve slates to assigned users and emit the impression log, chunk by chunk."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm.auto import tqdm

from recab_helpers.data.world import START
from recab_helpers.randomness import id_keys, uniform
from recab_helpers.references import CONTROL, POSITION_IN, ModelAddress
from recab_helpers.simulation.clicks import ClickModel
from recab_helpers.simulation.interleaving import team_draft
from recab_helpers.simulation.traffic import Traffic, draw_session_counts

CHUNK_IMPRESSIONS = 500_000


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One arm of the test: the slate that each user would get and how likely each item is clicked."""

    name: str
    model: ModelAddress
    items: np.ndarray  # (n_users, slate_size) item codes
    p_click: np.ndarray  # (n_users, slate_size) P(click | examined)
    popular_instead: Mapping[str, int] = field(default_factory=dict)  # users without a list of the model, by cause
    mean_score: np.ndarray | None = None  # (n_users,) mean of what the model scored the items of the slate


@dataclass(frozen=True, kw_only=True)
class Before:
    """What users were in the period before the test."""

    p_click: np.ndarray  # (n_users, slate_size) P(click | examined) of control's slate
    session_rate: np.ndarray  # (n_users,)


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """A share of sessions whose slate is drawn at random, all orders alike, among a user's candidates."""

    share: float
    items: np.ndarray  # (n_users, m) item codes, -1 where a user has fewer
    p_click: np.ndarray  # (n_users, m) P(click | examined)


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
    clicks: ClickModel
    effect_dial: float  # chance that a treatment session is served the treatment's slate
    planned: Mapping[str, float]  # share of users per variant
    before: Before
    seed: int | str
    design: str = "users"  # or sessions, whose variant is drawn anew each; or interleaved, where both share a slate
    exploration: Exploration | None = None  # where all users have control
    start: np.datetime64 = START

    @property
    def slate_size(self) -> int:
        """Items shown per session."""
        return self.variants[0].items.shape[1]

    def true_ctr(self) -> dict[str, float]:
        """Exact CTR of each variant, as if all users had it; the dial mixes control into the treatments."""
        ctr = [self.clicks.true_ctr(v.p_click, self.traffic) for v in self.variants]
        served = [ctr[0]] + [ctr[0] + self.effect_dial * (c - ctr[0]) for c in ctr[1:]]
        return {v.name: c for v, c in zip(self.variants, served, strict=True)}

    def true_lift(self) -> dict[str, float]:
        """Exact lift of each variant, a fraction of control's CTR; 0 for control."""
        ctr = self.true_ctr()
        return {name: c / ctr[CONTROL] - 1 for name, c in ctr.items()}

    def impressions(self) -> Iterator[pa.Table]:
        """The impression log, users in order and sessions in time, in tables of about CHUNK_IMPRESSIONS rows."""
        sessions = draw_session_counts(self.user_ids, self.traffic.session_rate, seed=self.seed)
        first_slate = np.concatenate([[0], np.cumsum(sessions)])
        chunk = first_slate[1:] * self.slate_size // CHUNK_IMPRESSIONS
        bounds = np.concatenate([[0], np.flatnonzero(np.diff(chunk)) + 1, [len(sessions)]])
        with tqdm(total=int(first_slate[-1]), desc="sessions", unit_scale=True) as bar:
            for start, stop in pairwise(bounds):
                if n := int(first_slate[stop] - first_slate[start]):
                    yield self._chunk(np.arange(start, stop), sessions[start:stop], int(first_slate[start]))
                    bar.update(n)

    def recommendations(self) -> Iterator[pa.Table]:
        """The slate of every variant for every user, in tables of about CHUNK_IMPRESSIONS rows."""
        k = self.slate_size
        block = max(1, CHUNK_IMPRESSIONS // k)
        for code, variant in enumerate(self.variants):
            for start in range(0, len(self.user_ids), block):
                items = variant.items[start : start + block]
                users = np.repeat(np.arange(start, start + len(items)), k)
                yield pa.table(
                    {
                        "user_id": self._named(users),
                        "variant": _coded(np.full(len(users), code), [v.name for v in self.variants]),
                        "position": np.tile(np.arange(1, k + 1, dtype=np.int16), len(items)),
                        "item_id": _coded(items.ravel(), self.item_ids),
                    }
                )

    def _chunk(self, users: np.ndarray, sessions: np.ndarray, first_slate: int) -> pa.Table:
        ids = self.user_ids[users]
        time, dial = (id_keys(ids, f"{self.seed} {purpose}") for purpose in ("time", "dial"))
        row = np.repeat(np.arange(len(users)), sessions)  # one element per session from here on
        number = np.arange(len(row)) - np.repeat(np.cumsum(sessions) - sessions, sessions)
        seconds = np.floor(uniform(time[row], number) * self.traffic.horizon_days * 86_400)
        seconds = seconds[np.lexsort((seconds, row))]
        dialed = uniform(dial[row], number) < self.effect_dial
        if self.design == "interleaved":
            variant, items, p_click, there = self._drafted(users, row, number, dialed)
        else:
            variant = self._variants(users, row, number)
            served = np.where((variant > 0) & dialed, variant, 0)
            items, p_click = self._slates(users[row], served)
            there = self._where(users, row, served, dialed)
        chances = {}
        if self.exploration:
            self._explore(users, row, number, items, p_click)
            there = {v.name: _stands(items, v.items[users[row]]) for v in self.variants}
            chances["propensity"] = self._propensity(self.exploration, users[row], there[CONTROL])
        clicked = self.clicks.draw(p_click, ids, row, number, seed=self.seed)
        return self._table(users[row], first_slate, variant, seconds, items, clicked, there, chances)

    def _explore(self, users, row, number, items, p_click) -> None:
        """Put random slates into the sessions that a coin says, in place."""
        e = self.exploration
        assert e is not None
        coin, order = (id_keys(self.user_ids[users], f"{self.seed} {purpose}") for purpose in ("explore", "explored"))
        explored = uniform(coin[row], number) < e.share
        who = users[row][explored]
        draw = uniform(order[row][explored][:, None], number[explored][:, None], np.arange(e.items.shape[1]))
        pick = np.argsort(np.where(e.items[who] < 0, 2.0, draw), axis=1)[:, : self.slate_size]
        items[explored] = np.take_along_axis(e.items[who], pick, axis=1)
        p_click[explored] = np.take_along_axis(e.p_click[who], pick, axis=1)

    def _propensity(self, e: Exploration, who: np.ndarray, home: np.ndarray) -> np.ndarray:
        """The chance that the item was shown at its position: at random, or where control has it."""
        at_random = e.share / (e.items[who] >= 0).sum(axis=1)[:, None]
        return at_random + (1 - e.share) * (home == np.arange(1, self.slate_size + 1))

    def _variants(self, users: np.ndarray, row: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Variant code of every session: the user's, or one drawn for it, (n_sessions,)."""
        if self.design == "users":
            return self.assignment[users][row]
        draw = uniform(id_keys(self.user_ids[users], f"{self.seed} variant of session")[row], number)
        return np.searchsorted(np.cumsum(list(self.planned.values()))[:-1], draw, side="right")

    def _drafted(
        self, users: np.ndarray, row: np.ndarray, number: np.ndarray, dialed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Slates of both variants by team draft: the code of the variant that picked the item, the item, its chance of
        a click, and where it stands in the slate of each variant; (n_sessions, slate_size) each."""
        k, control, treatment = self.slate_size, *self.variants
        coin = id_keys(self.user_ids[users], f"{self.seed} team")[row]
        heads = uniform(coin[:, None], number[:, None], np.arange(k)) < 0.5
        own = [(v.items[users[row]], v.p_click[users[row]]) for v in (control, treatment)]
        own[1] = tuple(np.where(dialed[:, None], t, c) for c, t in zip(*own, strict=True))
        team, place = team_draft(own[0][0], own[1][0], heads)
        items, p_click = (
            np.where(team == 1, *(np.take_along_axis(of[i], place, axis=1) for of in reversed(own))) for i in (0, 1)
        )
        there = {v.name: _stands(items, slate) for v, (slate, _) in zip(self.variants, own, strict=True)}
        return team, items.astype(np.int32), p_click, there

    def _where(
        self, users: np.ndarray, row: np.ndarray, served: np.ndarray, dialed: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Where each shown item stands in the slate that every variant would have shown in this session, from 1.

        Arrays of shape (n_sessions, slate_size) by variant; 0 is not in it.
        """
        slates, there = [v.items[users] for v in self.variants], {}
        for code, variant in enumerate(self.variants):
            would = np.where(dialed, code, 0)  # a treatment whose effect is dialed down shows control's slate
            found = np.empty((len(row), self.slate_size), dtype=np.int16)
            for a in np.unique(served):
                for b in np.unique(would):
                    same = slates[a][:, :, None] == slates[b][:, None, :]
                    position = np.where(same.any(axis=2), same.argmax(axis=2) + 1, 0)
                    at = (served == a) & (would == b)
                    found[at] = position[row[at]]
            there[variant.name] = found
        return there

    def _slates(self, users: np.ndarray, variant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        items = np.empty((len(users), self.slate_size), dtype=np.int32)
        p_click = np.empty(items.shape)
        for code, served in enumerate(self.variants):
            rows = variant == code
            items[rows], p_click[rows] = served.items[users[rows]], served.p_click[users[rows]]
        return items, p_click

    def _named(self, users: np.ndarray) -> pa.DictionaryArray:
        """The ids of these user codes, which ascend; only theirs, or the cost of a chunk would grow with all users."""
        first, last = int(users[0]), int(users[-1])
        return _coded(users - first, self.user_ids[first : last + 1])

    def _table(self, users, first_slate, variant, seconds, items, clicked, there, chances) -> pa.Table:
        k = self.slate_size
        each = np.repeat(np.arange(len(users), dtype=np.int32), k)
        models, model = np.unique([str(v.model) for v in self.variants], return_inverse=True)
        names = [v.name for v in self.variants]
        by_item = variant.ndim == 2  # the variant is that of every item's team
        code = variant.ravel() if by_item else variant[each]
        of = {"variant": _coded(code, names)}
        if by_item:
            of = {"variant": _coded(np.zeros(len(each)), [self.design]), "team": _coded(code, names)}
        return pa.table(
            {
                "user_id": self._named(users[each]),
                "slate_id": first_slate + each.astype(np.int64),
                "position": np.tile(np.arange(1, k + 1, dtype=np.int16), len(users)),
                "experiment": _coded(np.zeros(len(each)), [self.experiment]),
                **of,
                "timestamp": (self.start + seconds.astype("timedelta64[s]"))[each],
                "item_id": _coded(items.ravel(), self.item_ids),
                "clicked": clicked.ravel().astype(np.int8),
                "model_version": _coded(model[code], models),
                **{f"{POSITION_IN}{name}": positions.ravel() for name, positions in there.items()},
                **{name: values.ravel() for name, values in chances.items()},
            }
        )


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
            by_team = "team" in table.column_names
            variant = table["team" if by_team else "variant"].combine_chunks().indices.to_numpy()
            day = (table["timestamp"].to_numpy() - start).astype("timedelta64[D]").astype(np.int64)
            cell = variant * self._counts.shape[1] + day
            for column, weights in enumerate((None, table["clicked"].to_numpy())):
                counts = np.bincount(cell, weights=weights, minlength=self._counts[..., 0].size)
                self._counts[..., column] += counts.reshape(self._counts.shape[:2]).astype(np.int64)
            user = table["user_id"].combine_chunks().indices.to_numpy()
            n = len(self._users)
            self._users += np.bincount(np.unique(user.astype(np.int64) * n + variant) % n, minlength=n)
            yield table

    def summary(self) -> pd.DataFrame:
        """Users, impressions, clicks and CTR per variant, and how many of all users have no list of a served model.

        Of interleaved slates, what each variant picked.
        """
        counts = self._counts.sum(axis=1)
        table = pd.DataFrame(counts, [v.name for v in self._test.variants], ["impressions", "clicks"])
        table.insert(0, "users", self._users)
        instead = [sum(v.popular_instead.values()) for v in self._test.variants]
        more = {"popular_instead": instead} if any(instead) else {}
        return table.assign(ctr=table["clicks"] / table["impressions"], **more)

    def all_days(self) -> pd.DataFrame:
        """Impressions, clicks and CTR per variant and day from 0, indexed by both."""
        names = [v.name for v in self._test.variants]
        index = pd.MultiIndex.from_product([names, range(self._counts.shape[1])], names=["variant", "day"])
        table = pd.DataFrame(self._counts.reshape(-1, 2), index, ["impressions", "clicks"])
        return table.assign(ctr=table["clicks"] / table["impressions"])

    def daily(self, variant: str) -> pd.DataFrame:
        """Daily impressions, clicks and CTR of one variant, indexed by day from 0."""
        days = self.all_days()
        return days[days.index.get_level_values("variant") == variant].droplevel("variant").add_prefix("daily_")


def _stands(items: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """Where each of the items stands in a slate of the same row, from 1; 0 is not in it."""
    same = items[:, :, None] == slate[:, None, :]
    return np.where(same.any(axis=2), same.argmax(axis=2) + 1, 0).astype(np.int16)


def _coded(codes: np.ndarray, values) -> pa.DictionaryArray:
    names = pa.array(np.asarray(values, dtype=object), pa.string())
    return pa.DictionaryArray.from_arrays(np.asarray(codes, dtype=np.int32), names)
