"""Tests in which every user meets every variant: sessions with a variant of their own, and interleaved slates.

Users are summed up once, with a column for each variant: `at("clicks", "control")`. What a user does in both variants
is one row, so that the statistics know how alike the two are.
"""

from collections.abc import Sequence

import narwhals as nw
import numpy as np

from recab_helpers.impressions.aggregates import Within
from recab_helpers.impressions.counting import UNIT
from recab_helpers.impressions.kept import keep
from recab_helpers.impressions.statistics import SufficientStatistics

AFTER_SAME, AFTER_OTHER = "after the same", "after the other"  # variant in the session before
WON, PREFERS = "slates won", "prefers"  # more clicks of this team than of the other, in a slate and over all of a user
TIED = "slates tied"  # with clicks, as many of each team


def at(column: str, variant: str) -> str:
    """The column of what a user did in this variant.

    >>> at("clicks", "treatment")
    'clicks in treatment'
    """
    return f"{column} in {variant}"


def within(
    log: nw.LazyFrame, users: nw.LazyFrame, variants: Sequence[str], columns: Sequence[str], *, design: str
) -> Within:
    """The users of a log of this design, each once; `users` has a row per user and variant with these columns.

    Of sessions that are in order (`timestamp`), there are also clicks and impressions by the variant of the user's
    session before, AFTER_SAME and AFTER_OTHER. Of interleaved slates, whose variants are teams, slates WON and TIED,
    and which team a user PREFERS.
    """
    wide = _wide(users.select(*UNIT, *columns), variants, columns)
    names = log.collect_schema().names()
    mixed, more = None, []
    if "slate_id" in names and design == "sessions":
        ends = log.group_by("user_id", "slate_id").agg(a=nw.col("variant").min(), b=nw.col("variant").max())
        mixed = int(ends.filter(nw.col("a") != nw.col("b")).select(n=nw.len()).collect("pyarrow")["n"][0])
        if "timestamp" in names and not mixed:
            after = _after(log)
            more = [f"{c} {a}" for c in ("clicks", "impressions") for a in (AFTER_SAME, AFTER_OTHER)]
            wide = _joined(wide, _wide(after, variants, more))
    if design == "interleaved":
        wide = _joined(wide, _wins(log, variants))
    cells = [c for c in wide.collect_schema().names() if c != "user_id"]
    return Within(design=design, statistics=_statistics(wide, cells), mixed=mixed)


def _wide(rows: nw.LazyFrame, variants: Sequence[str], columns: Sequence[str]) -> nw.LazyFrame:
    """One row per user, with every column of every variant; 0 where a user did not meet it."""
    value = {
        at(c, v): nw.when(nw.col("variant").cast(nw.String) == v).then(nw.col(c).cast(nw.Float64)).otherwise(0.0)
        for v in variants
        for c in columns
    }
    return keep(rows.group_by("user_id").agg(*(e.sum().alias(n) for n, e in value.items())))


def _joined(users: nw.LazyFrame, more: nw.LazyFrame) -> nw.LazyFrame:
    names = [n for n in more.collect_schema().names() if n != "user_id"]
    return keep(users.join(more, on="user_id", how="left").with_columns(*(nw.col(n).fill_null(0.0) for n in names)))


def _after(log: nw.LazyFrame) -> nw.LazyFrame:
    """Clicks and impressions of a user's sessions by variant and whether the session before had the same."""
    slates = log.group_by("user_id", "slate_id", "variant").agg(
        nw.col("timestamp").min(),
        nw.len().cast(nw.Float64).alias("impressions"),
        nw.col("clicked").sum().alias("clicks"),
    )
    slates = slates.with_columns(variant=nw.col("variant").cast(nw.String))
    before = nw.col("variant").shift(1).over("user_id", order_by=("timestamp", "slate_id"))
    told = slates.with_columns(before=before).filter(~nw.col("before").is_null())
    same = nw.col("before") == nw.col("variant")
    return told.select(
        *UNIT,
        *(
            nw.when(same if a == AFTER_SAME else ~same)
            .then(nw.col(c).cast(nw.Float64))
            .otherwise(0.0)
            .alias(f"{c} {a}")
            for c in ("clicks", "impressions")
            for a in (AFTER_SAME, AFTER_OTHER)
        ),
    )


def _wins(log: nw.LazyFrame, teams: Sequence[str]) -> nw.LazyFrame:
    """By user, slates won by each team and tied, and 1 for the team with more of the user's clicks."""
    clicked = nw.col("clicked").cast(nw.Float64)
    of = {
        f"t{i}": nw.when(nw.col("variant").cast(nw.String) == t).then(clicked).otherwise(0.0)
        for i, t in enumerate(teams)
    }
    slates = log.group_by("user_id", "slate_id").agg(*(e.sum().alias(n) for n, e in of.items()))
    a, b = nw.col("t0"), nw.col("t1")
    won = {at(WON, teams[0]): a > b, at(WON, teams[1]): b > a, TIED: (a == b) & (a > 0)}
    users = slates.with_columns(**{n: e.cast(nw.Float64) for n, e in won.items()})
    users = users.group_by("user_id").agg(nw.col("t0", "t1", *won).sum())
    prefers = {at(PREFERS, teams[0]): a > b, at(PREFERS, teams[1]): b > a}
    return users.with_columns(**{n: e.cast(nw.Float64) for n, e in prefers.items()}).drop("t0", "t1")


def _statistics(users: nw.LazyFrame, columns: Sequence[str]) -> SufficientStatistics:
    k = len(columns)
    products = {f"p{i}_{j}": nw.col(columns[i]) * nw.col(columns[j]) for i in range(k) for j in range(i, k)}
    sums = [nw.col(c).sum().alias(f"s{i}") for i, c in enumerate(columns)]
    row = users.with_columns(**products).select(nw.len().alias("n"), *sums, *(nw.col(p).sum() for p in products))
    found = row.collect("pyarrow").rows(named=True)[0]
    cross = np.empty((k, k))
    for i in range(k):
        for j in range(i, k):
            cross[i, j] = cross[j, i] = found[f"p{i}_{j}"]
    values = np.array([found[f"s{i}"] for i in range(k)])
    return SufficientStatistics.from_sums(int(found["n"]), values, cross, columns, shift=np.zeros(k))
