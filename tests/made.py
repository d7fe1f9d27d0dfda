"""Logs, users and effects that tests are made of, and the short way from a log to what an analysis reads."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recab_helpers.analysis.analysis import Analysis, analyze
from recab_helpers.analysis.checks import Check
from recab_helpers.analysis.effect import Effect
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CLICKS_PER_USER, CTR, METRICS, MetricSpec, columns_of, goals_of
from recab_helpers.errors import DataError
from recab_helpers.impressions.aggregates import Aggregates, Users
from recab_helpers.impressions.histograms import Histogram
from recab_helpers.impressions.log import open_log, read_log
from recab_helpers.impressions.reading import Read, Reading
from recab_helpers.impressions.reduce import reduce
from recab_helpers.impressions.sources import Table
from recab_helpers.impressions.user_rows import UserRows, user_rows
from recab_helpers.impressions.users import open_users
from recab_helpers.references import CONTROL, Comparison

HALVES = {CONTROL: 0.5, "treatment": 0.5}
LOG = pd.DataFrame(
    {
        "user_id": ["a", "a", "a", "b", "b", "c"],
        "slate_id": [1, 1, 2, 3, 3, 4],
        "position": [1, 2, 1, 1, 2, 1],
        "variant": ["control"] * 3 + ["treatment"] * 3,
        "item_id": ["x", "y", "x", "x", "y", "x"],
        "clicked": [1, 0, 1, 0, 0, 1],
        "day": [0, 0, 3, 1, 1, 2],
    }
)
COUNTS_OF_LOG = {"control": (1, 2, 3, 2), "treatment": (2, 2, 3, 1)}  # as `counts_of` has them
DATES = ["2026-05-01", "2026-05-01", "2026-05-04", "2026-05-02", "2026-05-02", "2026-05-13"]
MOMENTS = [datetime.fromisoformat(d).replace(hour=10, minute=30, tzinfo=UTC) for d in DATES]
TIMED = LOG.drop(columns="day").assign(timestamp=[m.replace(tzinfo=None) for m in MOMENTS])
GOAL = Effect(
    metric=CTR,
    comparison=Comparison("treatment"),
    method="delta method",
    alpha=0.05,
    n_control=100,
    n_treatment=100,
    control=0.1,
    treatment=0.11,
    difference=0.01,
    lift=0.1,
    lift_ci=(0.02, 0.18),
    se=0.004,
)
BOTH = (CTR, CLICKS_PER_USER)
PASSED = Check(name="Users split as planned (SRM)", state="passed", detail="")


def log_like(rng: np.random.Generator, n_users: int = 600, n_days: int = 6, lift: float = 0.0) -> pd.DataFrame:
    """A log of heavy-tailed users, one position a slate."""
    sessions = 1 + rng.poisson(rng.gamma(0.7, 8, n_users))
    user = np.repeat(np.arange(n_users), sessions)
    treated = np.arange(n_users) % 2 == 1
    rate = rng.beta(1, 9, n_users) * (1 + lift * treated)
    return pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "slate_id": np.arange(len(user)),
            "position": 1,
            "variant": np.where(treated[user], "treatment", "control"),
            "item_id": rng.choice(list("abcdef"), len(user)),
            "clicked": (rng.random(len(user)) < rate[user]).astype(int),
            "day": rng.integers(0, n_days, len(user)),
        }
    )


def even_log(rng, n_users: int, variants=("control", "treatment"), sessions: int = 3, ctr: float = 0.2) -> pd.DataFrame:
    """A log whose users have `sessions` slates of one item each, clicked with the same chance."""
    user = np.repeat(np.arange(n_users), sessions)
    return pd.DataFrame(
        {
            "user_id": user,
            "slate_id": np.arange(len(user)),
            "position": rng.integers(1, 4, len(user)),
            "variant": np.array(variants)[user % len(variants)],
            "item_id": "x",
            "clicked": rng.binomial(1, ctr, len(user)),
            "day": rng.integers(0, 5, len(user)),
        }
    )


def rows_of(log: Table, known: Table | None = None, numbers: Sequence[str] = ()) -> UserRows:
    """One row per user of a log."""
    return user_rows(
        open_log(log, numbers=numbers), None if known is None else open_users(known), numbers=tuple(numbers)
    )


def counts_of(read: Read) -> dict[str, tuple[int, ...]]:
    """Users, slates, impressions and clicks of every variant of a log, counted by pandas."""
    rows = read.rows.collect("pandas").to_native()
    return {
        v: (g["user_id"].nunique(), g.groupby("user_id")["slate_id"].nunique().sum(), len(g), int(g["clicked"].sum()))
        for v, g in rows.groupby("variant")
    }


def refusal(table: Table, **how) -> str:
    """What is said of a log that cannot be read as this says."""
    with pytest.raises(DataError) as caught:
        read_log(table, how=Reading(**how))
    return str(caught.value)


def reduced(
    log: Table,
    known: Table | None = None,
    *,
    metrics: tuple[MetricSpec, ...] = METRICS,
    numbers: Sequence[str] = (),
) -> Aggregates:
    """The aggregates of a log for these metrics."""
    rows = rows_of(log, known, numbers)
    return reduce(rows, columns_of(metrics, rows.numeric), goals=[m.columns for m in goals_of(metrics)])


def analyzed(log: Table, known: Table | None = None, *, planned=HALVES, metrics=METRICS, numbers=(), **how) -> Analysis:
    """The whole analysis of a log."""
    return analyze(reduced(log, known, metrics=metrics, numbers=numbers), planned=planned, metrics=metrics, **how)


def distinct(histogram: Histogram) -> np.ndarray:
    """The distinct combinations of values that a histogram counts."""
    return histogram.values  # noqa: PD011, which takes it for a table of pandas


def users_like(rng: np.random.Generator, n: int, lift: float = 0.0) -> pd.DataFrame:
    """Heavy-tailed users, one row each: gamma sessions, ten impressions each, clicks of a user-specific rate."""
    treated = rng.random(n) < 0.5
    sessions = 1 + rng.poisson(rng.gamma(0.7, 8, n))
    rate = np.clip(rng.beta(1, 20, n) * (1 + lift * treated), 0, 1)
    clicks = rng.binomial(10 * sessions, rate)
    variant = np.where(treated, "treatment", "control")
    columns = {"impressions": 10 * sessions, "clicks": clicks, "sessions": sessions, "clicked_any": clicks > 0}
    return pd.DataFrame({"variant": variant, **columns})


def users_of(table: pd.DataFrame, segments: Sequence[str] = (), histograms: Sequence[tuple[str, ...]] = ()) -> Users:
    """Users from one row each: a variant, numbers, and columns that are segments."""
    numbers = {c: table[c].to_numpy() for c in table.select_dtypes(["number", "bool"])}
    levels = {s: table[s].to_numpy() for s in segments}
    return Users.of(table["variant"], numbers, segments=levels, histograms=histograms)


def assert_same(found: Any, expected: Any, where: str = "") -> int:
    """Number for number within 1e-9; how many numbers were compared."""
    if dataclasses.is_dataclass(expected):
        names = [f.name for f in dataclasses.fields(expected)]
        return sum(assert_same(getattr(found, n), getattr(expected, n), f"{where}.{n}") for n in names)
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        return sum(assert_same(found[k], v, f"{where}[{k}]") for k, v in expected.items())
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        return sum(assert_same(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(found, expected, strict=True)))
    if isinstance(expected, (pd.DataFrame, pd.Series)):
        kind = "frame" if isinstance(expected, pd.DataFrame) else "series"
        compare = getattr(pd.testing, f"assert_{kind}_equal")
        compare(found, expected, check_dtype=False, check_index_type=False, rtol=1e-9, atol=1e-9, obj=where)
        return expected.size
    if isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=where)
        return expected.size
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, err_msg=where)
        return expected.size
    near = pytest.approx(expected, rel=1e-9, abs=1e-9) if isinstance(expected, float) else expected
    assert found == near, f"{where}: {found!r} is not {expected!r}"
    return 1


def effects_of(table: pd.DataFrame, metrics=BOTH, **how):
    return estimate_effects(users_of(table), metrics, **how)


def ctr_of(table: pd.DataFrame, **how):
    [effect] = effects_of(table, (CTR,), **how)
    return effect
