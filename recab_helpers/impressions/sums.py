"""A test of which only the sums are known: users, mean and variance of every metric, by variant and look."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import nan
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from recab_helpers.engine import name
from recab_helpers.errors import DataError
from recab_helpers.impressions import values
from recab_helpers.impressions.aggregates import Aggregates, Running, Users
from recab_helpers.impressions.contract import IMPRESSIONS, Column
from recab_helpers.impressions.faults import check_cells
from recab_helpers.impressions.kept import here
from recab_helpers.impressions.reader import Cell, Reader
from recab_helpers.impressions.reading import AS_IS, Reading
from recab_helpers.impressions.sources import Table, column_names, opened
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.impressions.times import read_time
from recab_helpers.impressions.variants import read_variants
from recab_helpers.impressions.words import SYNONYMS, propose
from recab_helpers.references import CONTROL, in_order
from recab_helpers.tables import reading

SUMS = (
    Column(name="variant", kind="id", meaning=f"one of them is named {CONTROL}"),
    Column(name="n", kind="count", meaning="users of the variant"),
    Column(name="mean", kind="number", meaning="of the metric over these users"),
    Column(
        name="variance",
        kind="count",
        meaning="of the metric between users; empty where nobody can tell",
        required=False,
    ),
    Column(
        name="successes",
        kind="count",
        meaning="instead of mean and variance: users who did what the metric asks",
        required=False,
    ),
    Column(
        name="metric",
        kind="id",
        meaning="the name of the metric; without it there is one",
        required=False,
    ),
    Column(
        name="look",
        kind="time",
        meaning="when the sums to date were taken: a date, or days since the start",
        required=False,
    ),
    Column(name="experiment", kind="id", meaning="the test, of a table of several", required=False),
)
VALUE, RATE = "value", "success_rate"  # the metric of a table that names none
WIDE = {"n": ("n", "count", "users"), "mean": ("mean",), "variance": ("variance", "var")}  # with an ending for each arm
ENDINGS = (("c", "t"), ("control", "treatment"))
CALLED: dict[str, tuple[str, ...]] = {  # by other systems, to propose them
    "variant": (*SYNONYMS["variant"], "variant_id"),
    "n": ("count", "users", "n_users", "visitors", "sample_size"),
    "mean": ("avg", "average"),
    "variance": ("var",),
    "successes": ("conversions", "converted"),
    "metric": ("metric_id", "metric_name"),
    "look": ("time_since_start", "day", "date", "timestamp"),
    "experiment": ("experiment_id", "test_id", "test"),
}
MOST_ROWS = 1_000_000
LATEST_DAY = 100_000  # of a look that counts days
MANY_FALLS = 0.25  # of the looks: users who are counted to date hardly grow fewer
TOTALS = ("total", "totals", "all", "overall", "sum", "grand total")
A_ROOT = re.compile(r"(?i)(std|sd|stdev|std_?dev|stddev|standard_?dev(iation)?|se|sem|std_?err(or)?)(_.*)?")


@dataclass(frozen=True, kw_only=True)
class Sums:
    """The sums of a test by look, the last one first in meaning: what a reduced log is, as far as they carry.

    `looks` has variant, day (from 0), n, and mean and variance of every metric by its name.
    """

    looks: pd.DataFrame
    numeric: tuple[str, ...]  # the metrics
    shares: tuple[str, ...]  # of them, those that lie between 0 and 1 since they count successes
    day_labels: list[Any]
    notes: tuple[str, ...]
    by_impression: bool = False
    log: None = None

    def head(self) -> pd.DataFrame:
        """The last sums of every variant, to look at."""
        return self.looks.groupby("variant", sort=False).tail(1).reset_index(drop=True)

    def reduce(self) -> Aggregates:
        """The aggregates of the test; what needs users or impressions is None."""
        variants = in_order(self.looks["variant"].unique())
        by = {v: self.looks[self.looks["variant"] == v] for v in variants}
        last = {v: _statistics(t.iloc[-1], self.numeric) for v, t in by.items()}
        users = Users(statistics=last)
        if self.looks["day"].isna().any() or not self.day_labels:
            return Aggregates(users=users, by_impression=self.by_impression)
        days = range(int(self.looks["day"].max()) + 1)
        n, sums, products = {}, {}, {}
        for v, t in by.items():
            to_date = t.set_index("day").reindex(days).ffill()
            n[v] = to_date["n"].fillna(0).to_numpy(dtype=np.int64)
            mean, var = (
                to_date[[f"{of} {m}" for m in self.numeric]].fillna(0).to_numpy() for of in ("mean", "variance")
            )
            sums[v] = n[v][:, None] * mean
            products[v] = np.zeros((len(days), len(self.numeric), len(self.numeric)))  # of two metrics they are unknown
            at = np.arange(len(self.numeric))
            products[v][:, at, at] = np.maximum(n[v] - 1, 0)[:, None] * var + n[v][:, None] * mean**2
        new = pd.DataFrame({v: np.diff(of, prepend=0) for v, of in n.items()})
        first = self.day_labels[0]
        return Aggregates(
            users=replace(users, first_seen=None if (new < 0).any(axis=None) else new),
            running=Running(columns=self.numeric, n=n, sums=sums, products=products),
            first_day=None if isinstance(first, (int, float)) else pd.Timestamp(first),
            by_impression=self.by_impression,
        )


def _statistics(row: pd.Series, metrics: Sequence[str]) -> SufficientStatistics:
    """Statistics of one look; what two metrics share is unknown, and nothing reads it."""
    mean = row[[f"mean {m}" for m in metrics]].to_numpy(dtype=np.float64)
    variance = row[[f"variance {m}" for m in metrics]].to_numpy(dtype=np.float64)
    return SufficientStatistics(n=int(row["n"]), columns=tuple(metrics), mean=mean, cov=np.diag(variance))


def holds_sums(table: Table, how: Reading = AS_IS) -> bool:
    """Whether the rows of a table are sums of users: it has their number and their mean or successes, and no items.

    Raises:
        DataError: the file cannot be read.
    """
    return _are_sums(set(column_names(table, how)))


def proposed_sums(names: Sequence[str]) -> dict[str, str]:
    """Which of these columns may be which of SUMS, by their names; nothing where they are no sums."""
    found = propose(names, [c.name for c in SUMS], CALLED)
    return found if _are_sums({*names, *found}) else {}


def _are_sums(names: set[str]) -> bool:
    if {"user_id", "item_id", "clicked"} & names:
        return False
    long = {"variant", "n"} <= names and bool({"mean", "successes"} & names)
    return long or _wide(names) is not None


def read_sums(table: Table, how: Reading = AS_IS) -> Sums:
    """Sums of users, one row per variant, metric and look of one experiment, as SUMS says.

    A row may also hold both arms, with names such as count_c, mean_c, variance_c and count_t, mean_t, variance_t; its
    variant is then that of the treatment.

    Raises:
        DataError: the file cannot be read, or breaks its contract; everything that is wrong is said at once.
    """
    frame, source = opened(table, how.table)
    sums = Reader(here(frame).to_native(), source, how)
    with reading(source):
        sums.keep_only()
        sums.refuse()
        _make_long(sums)
        has_successes = sums.has("successes")
        sums.require(["variant", "n", *([] if has_successes else ["mean", "variance"])])
        if sums.has("variance") and A_ROOT.fullmatch(root := sums.written("variance")):
            sums.faults.append(
                f"columns says that variance is {root}, which is by its name a standard deviation or error. Give its "
                "square, of an error times n."
            )
        if has_successes and (unread := [sums.written(c) for c in ("mean", "variance") if sums.has(c)]):
            sums.notes.append(f"{source}: not read, since successes are: {', '.join(unread)}")
        for column in SUMS[1:]:
            if sums.has(column.name) and column.name not in ("look", "experiment"):
                sums.read_kind(column)
        if sums.has("look"):
            _read_look(sums)
        if sums.has("variant"):
            read_variants(sums, IMPRESSIONS[3])
        check_cells(sums)
        if sums.n > MOST_ROWS:
            sums.faults.append(
                f"{source} has {sums.n:,} rows, more than the {MOST_ROWS:,} of a table of sums. Name what is read: "
                "only={experiment: NAME}."
            )
        sums.refuse()
        rows = sums.frame().df()
        return _of_rows(rows, sums, share=has_successes)


def _wide(names: set[str]) -> dict[str, tuple[str, str]] | None:
    """Of a table whose rows hold both arms: the columns of control and treatment by what they are."""
    for endings in ENDINGS:
        found = {
            ours: tuple(f"{guess}_{end}" for end in endings)
            for ours, guesses in WIDE.items()
            for guess in guesses
            if {f"{guess}_{end}" for end in endings} <= names
        }
        if len(found) == len(WIDE):
            return found  # type: ignore[return-value]  # two endings
    return None


def _make_long(sums: Reader) -> None:
    """A row for each arm, of a table whose rows hold both."""
    found = None if sums.has("mean") else _wide(set(sums.cells))
    if not found:
        return
    treatment = values.identity(sums.cells["variant"].sql, sums.cells["variant"].kind) if sums.has("variant") else ""
    arms = []
    for i, variant in enumerate((f"'{CONTROL}'", treatment or "'treatment'")):
        cells = ", ".join(f"{name(pair[i])} as recab_{ours}" for ours, pair in found.items())
        arms.append(f"*, {variant} as recab_variant, {cells}")
    lies = sums.relation

    def unfold(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        return rows.project(arms[0]).union(rows.project(arms[1]))

    sums.change(unfold)
    kinds = dict(zip(lies.columns, map(str, lies.types), strict=True))
    for ours, pair in found.items():
        sums.cells[ours] = Cell(f"recab_{ours}", kinds[pair[0]])
        for column in pair:
            sums.cells.pop(column)
    sums.cells["variant"] = Cell("recab_variant", "VARCHAR")
    sums.notes.append(f"every row of {sums.source} holds both arms")


def _read_look(sums: Reader) -> None:
    """The looks as days since the start, where they are small numbers, else as moments."""
    cell = sums.cells["look"]
    v = values.number(cell.sql, cell.kind)
    small = f"coalesce({v} between 0 and {LATEST_DAY}, false)"
    dated = cell.kind.startswith("TIMESTAMP") or cell.kind == "DATE"
    if not dated and sums.relation.aggregate(f"bool_and({small})").fetchall()[0][0]:
        sums.read(Column(name="look", kind="number", meaning=SUMS[6].meaning), v)
    else:
        read_time(sums, Column(name="look", kind="time", meaning=SUMS[6].meaning))


def _of_rows(rows: pd.DataFrame, sums: Reader, *, share: bool) -> Sums:
    """The sums of checked rows.

    Raises:
        DataError: two rows of one variant, metric and look, numbers of users that differ between metrics, or a last
            look that lacks what an analysis needs.
    """
    source, notes = sums.source, list(sums.notes)
    if "metric" not in rows:
        rows = rows.assign(metric=RATE if share else VALUE)
    look = "timestamp" if "timestamp" in rows else "look" if "look" in rows else None
    rows = rows.assign(look=rows[look] if look else 0)
    if (total := [v for v in rows["variant"].unique() if v.casefold() in TOTALS]) and rows["variant"].nunique() > 2:
        raise DataError(
            f"{source}: variant holds {total[0]!r}, which is by its name the sum of the others. Leave its rows out, or "
            "call it otherwise."
        )
    if share:
        if (parts := rows["successes"] % 1 > 0).any():
            raise DataError(
                f"{source}: column {sums.written('successes')} holds {rows['successes'][parts].iloc[0]:g}; it must be "
                "a number of users. Multiply a rate by n."
            )
        if (rows["successes"] > rows["n"]).any():
            row = rows[rows["successes"] > rows["n"]].iloc[0]
            raise DataError(
                f"{source}: {row['variant']} has {row['successes']:,.0f} successes of {row['n']:,.0f} users, more than "
                "there are. Give n and successes of the same users."
            )
        p = rows["successes"] / rows["n"].where(rows["n"] > 0)
        rows = rows.assign(mean=p, variance=p * (1 - p) * rows["n"] / (rows["n"] - 1).where(rows["n"] > 1))
    rows = rows[["variant", "metric", "look", "n", "mean", "variance"]].drop_duplicates()
    key = ["variant", "metric", "look"]
    if (twice := rows.duplicated(key)).any():
        row = rows[twice].iloc[0]
        when = f" at the look {row['look']}" if look else ""
        raise DataError(
            f"{source}: the metric {row['metric']} of {row['variant']} has two sums{when}. Keep one, or name "
            "what is read: only={COLUMN: VALUE}."
        )
    wide = rows.pivot(index=["variant", "look"], columns="metric", values=["n", "mean", "variance"])
    metrics = tuple(sorted(rows["metric"].unique()))
    n = wide["n"]
    if (apart := (n.min(axis=1) < n.max(axis=1))).any():
        variant, at = apart[apart].index[0]
        first, second, *_ = n.loc[(variant, at)].drop_duplicates().items()
        raise DataError(
            f"{source}: in {variant}, the metric {first[0]} counts {first[1]:,.0f} users and {second[0]} "
            f"{second[1]:,.0f}. Name one metric: only={{metric: {first[0]}}}."
        )
    table = pd.concat(
        {"n": n.max(axis=1)} | {f"{of} {m}": wide[of][m] for m in metrics for of in ("mean", "variance")}, axis=1
    ).reset_index()
    table["look"] = pd.to_datetime(table["look"]) if look == "timestamp" else table["look"].astype(float)
    last = table["look"].max()
    whole = table.notna().all(axis=1) & (table["n"] >= 2)
    for variant in in_order(table["variant"].unique()):
        of = table[(table["variant"] == variant) & (table["look"] == last)]
        if of.empty or not whole[of.index[0]]:
            raise DataError(
                f"{source}: {variant} lacks n of at least 2, mean or variance of a metric"
                f"{f' at the last look, {last}' if look else ''}. Add it, or leave the metric out: "
                "only={metric: NAME}."
            )
    if left_out := int((~whole).sum()):
        notes.append(f"{left_out:,} looks without a variance are left out")
    table = table[whole].sort_values(["variant", "look"], kind="stable")
    falls = table.groupby("variant")["n"].diff() < 0
    if falls.any():
        row = table[falls].iloc[0]
        if (steps := len(table) - table["variant"].nunique()) >= 4 and falls.sum() >= MANY_FALLS * steps:
            raise DataError(
                f"{source}: users grow fewer at {falls.sum():,} of {steps:,} looks, first those of {row['variant']} at "
                f"{row['look']}: these are sums of each look alone. Give sums to date, from the start to each look."
            )
        notes.append(f"users of {row['variant']} grow fewer at the look {row['look']}, though sums are to date")
    labels, table["day"] = _days(table["look"], look)
    table = table.groupby(["variant", "day"], sort=False, dropna=False).tail(1)
    order = {v: i for i, v in enumerate(in_order(table["variant"].unique()))}
    table = table.sort_values(
        ["variant", "day"], key=lambda s: s.map(order) if s.name == "variant" else s, kind="stable"
    )
    kept = ["variant", "day", "n", *(f"{of} {m}" for m in metrics for of in ("mean", "variance"))]
    return Sums(
        looks=table[kept].reset_index(drop=True),
        numeric=metrics,
        shares=metrics if share else (),
        day_labels=labels,
        notes=tuple(notes),
        by_impression=sums.reading.by_impression,
    )


def _days(looks: pd.Series, kind: str | None) -> tuple[list[Any], pd.Series]:
    """The labels of the days from the first to the last look, and the day of every look, from 0.

    A look at 1.5 days is of the second day; looks that count days from 0 are of the days that they name.
    """
    if kind is None:
        return [], pd.Series(nan, index=looks.index)
    if kind == "timestamp":
        dates = looks.dt.normalize()
        first = dates.min()
        day = (dates - first).dt.days
        return [(first + timedelta(days=i)).date() for i in range(int(day.max()) + 1)], day
    day = np.ceil(looks).astype(int)
    first = min(1, int(day.min()))
    return [float(i) for i in range(first, int(day.max()) + 1)], day - first
