"""Clicks by where the item stands in both slates, for logs that say what each variant would have shown.

A column `position_in_<variant>` holds the position of the shown item in that variant's slate of this request, 0 where
it is not in it. Of control and one treatment, a user's clicks are counted apart: on items that only one of them shows,
and by both positions on items that moved; the rest are clicks on items at the same place in both.
"""

from collections.abc import Sequence

import narwhals as nw
import numpy as np

from recab_helpers.impressions.kept import here, keep
from recab_helpers.impressions.statistics import ByVariant, SufficientStatistics
from recab_helpers.references import CONTROL, POSITION_IN

CONTROL_ONLY, TREATMENT_ONLY, DIFFERING = "control only", "treatment only", "at or below the first difference"
AFTER = "below a click at the top"
UNIT = ["user_id", "variant"]


def moved(i: int, j: int) -> str:
    """The column of clicks on items at position i of control's slate and j of the treatment's.

    >>> moved(2, 5)
    '2 to 5'
    """
    return f"{i} to {j}"


def places(column: str) -> tuple[int, int] | None:
    """Both positions that such a column is of; None of another column."""
    parts = column.split(" to ")
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(p.isdigit() for p in parts) else None


def both_slates(log: nw.LazyFrame, users: nw.LazyFrame, known: Sequence[str]) -> dict[str, ByVariant]:
    """Statistics by variant (control, treatment) of a user's clicks by both positions, for each treatment.

    `users` has one row per user and variant with the columns `known`: impressions, clicks and counts from before. To
    these come CONTROL_ONLY, TREATMENT_ONLY, the clicks on items that moved (`moved`), and DIFFERING: clicks at or below
    the first position where both slates differ; AFTER: over a user's requests with the same item at the top, the sum of
    products of the deviations of its clicks and of the clicks below it, whose mean is zero where neither depends on the
    other. A log without the columns gives none.
    """
    names = log.collect_schema().names()
    treatments = [n.removeprefix(POSITION_IN) for n in names if n.startswith(POSITION_IN)]
    if CONTROL not in treatments or not {"slate_id", "position"} <= set(names):
        return {}
    there = {str(v) for v in users.select("variant").unique().collect("pyarrow")["variant"].to_list()}
    return {t: _of(log, users, tuple(known), t) for t in treatments if t != CONTROL and t in there}


def _of(log: nw.LazyFrame, users: nw.LazyFrame, known: tuple[str, ...], treatment: str) -> ByVariant:
    pair = nw.col("variant").cast(nw.String).is_in([CONTROL, treatment])
    i, j = (nw.col(f"{POSITION_IN}{v}").cast(nw.Int64) for v in (CONTROL, treatment))
    rows = log.filter(pair).select(*UNIT, "slate_id", "position", "clicked", "item_id", i=i, j=j)
    differ = (
        rows.filter(nw.col("i") != nw.col("j")).group_by(*UNIT, "slate_id").agg(nw.col("position").min().alias("f"))
    )
    clicks = rows.filter(nw.col("clicked") > 0).join(differ, on=[*UNIT, "slate_id"], how="left")
    cells = clicks.group_by(*UNIT, "i", "j").agg(
        nw.len().cast(nw.Float64).alias("n"),
        (nw.col("position") >= nw.col("f")).cast(nw.Float64).sum().alias("differing"),
    )
    cells = keep(here(cells))
    one = {"control_only": nw.col("j") == 0, "treatment_only": nw.col("i") == 0}
    sums = cells.group_by(*UNIT).agg(
        nw.col("differing").sum(),
        *(nw.when(where).then(nw.col("n")).otherwise(0.0).sum().alias(name) for name, where in one.items()),
    )
    more = {"control_only": CONTROL_ONLY, "treatment_only": TREATMENT_ONLY, "differing": DIFFERING, "after": AFTER}
    wide = users.filter(pair).select(*UNIT, *known).join(sums, on=UNIT, how="left")
    wide = wide.join(here(after_top(rows, UNIT)), on=UNIT, how="left")
    fixed = wide.select(*UNIT, *(nw.col(c).cast(nw.Float64) for c in known), *(nw.col(c).fill_null(0.0) for c in more))
    fixed = keep(fixed)
    long = cells.filter((nw.col("i") > 0) & (nw.col("j") > 0) & (nw.col("i") != nw.col("j")))
    long = long.select(*UNIT, "n", "i", "j").join(fixed.select(*UNIT), on=UNIT, how="semi")
    return _statistics(fixed, (*known, *more), long, [*known, *more.values()], (CONTROL, treatment))


def after_top(rows: nw.LazyFrame, unit: Sequence[str]) -> nw.LazyFrame:
    """By user, the sum of products of deviations of clicks at the top and below, among requests with the same top.

    The column is `after`; `rows` has the columns of the `unit`, slate_id, position, item_id and clicked.
    """
    slate = [*unit, "slate_id"]
    below = rows.filter(nw.col("clicked") > 0, nw.col("position") > 1)
    below = below.group_by(*slate).agg(nw.len().cast(nw.Float64).alias("below"))
    top = rows.filter(nw.col("position") == 1).select(*slate, "item_id", top=nw.col("clicked").cast(nw.Float64))
    each = top.join(below, on=slate, how="left").with_columns(below=nw.col("below").fill_null(0.0))
    groups = each.with_columns(product=nw.col("top") * nw.col("below")).group_by(*unit, "item_id")
    sums = groups.agg(nw.len().cast(nw.Float64).alias("n"), *(nw.col(c).sum() for c in ("top", "below", "product")))
    together = sums.with_columns(after=nw.col("product") - nw.col("top") * nw.col("below") / nw.col("n"))
    return together.group_by(*unit).agg(nw.col("after").sum())


def _statistics(
    fixed: nw.LazyFrame, columns: Sequence[str], long: nw.LazyFrame, called: list[str], variants: tuple[str, str]
) -> ByVariant:
    """From one row per user and one per user and moved place, by sums and sums of products in the engine."""
    k = len(columns)
    pairs = [(a, b) for a in range(k) for b in range(a, k)]
    products = {f"p{a}_{b}": nw.col(columns[a]) * nw.col(columns[b]) for a, b in pairs}
    of_users = fixed.with_columns(**products).group_by("variant")
    rows = of_users.agg(nw.len().alias("users"), *(nw.col(c).sum() for c in (*columns, *products)))
    by_user = {str(r["variant"]): r for r in rows.collect("pyarrow").rows(named=True)}
    with_users = long.join(fixed, on=UNIT, how="inner").with_columns(
        **{f"x{a}": nw.col(c) * nw.col("n") for a, c in enumerate(columns)}
    )
    crossed = with_users.group_by("variant", "i", "j").agg(
        nw.col("n").sum(), *(nw.col(f"x{a}").sum() for a in range(k))
    )
    by_place = crossed.sort("i", "j").collect("pyarrow").rows(named=True)
    other = long.select(*UNIT, m=nw.col("n"), i2=nw.col("i"), j2=nw.col("j"))
    twice = long.join(other, on=UNIT, how="inner").with_columns(nm=nw.col("n") * nw.col("m"))
    both = twice.group_by("variant", "i", "j", "i2", "j2").agg(nw.col("nm").sum()).collect("pyarrow").rows(named=True)
    at = {place: k + p for p, place in enumerate(dict.fromkeys((r["i"], r["j"]) for r in by_place))}
    names, made = (*called, *(moved(*place) for place in at)), {}
    for v in variants:
        sums, cross = np.zeros(len(names)), np.zeros((len(names), len(names)))
        sums[:k] = [by_user[v][c] for c in columns]
        for a, b in pairs:
            cross[a, b] = cross[b, a] = by_user[v][f"p{a}_{b}"]
        for r in (r for r in by_place if r["variant"] == v):
            p = at[r["i"], r["j"]]
            sums[p] = r["n"]
            cross[p, :k] = cross[:k, p] = [r[f"x{a}"] for a in range(k)]
        for r in (r for r in both if r["variant"] == v):
            cross[at[r["i"], r["j"]], at[r["i2"], r["j2"]]] = r["nm"]
        made[v] = SufficientStatistics.from_sums(
            int(by_user[v]["users"]), sums, cross, names, shift=np.zeros(len(names))
        )
    return made
