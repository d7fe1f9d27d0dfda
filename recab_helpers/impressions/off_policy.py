"""What a log of one policy holds of another: clicks weighed by the chance that the item was shown where it was.

A log with `propensity`, the chance that its policy showed this item at this position, tells of a target's slates where
that chance is above zero. Everything later follows from a user's sums of the columns here, each over the user's slates.
"""

from collections.abc import Sequence

import narwhals as nw
import numpy as np

from recab_helpers.errors import DataError
from recab_helpers.impressions.both_slates import AFTER, after_top
from recab_helpers.impressions.kept import here, keep
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.references import CONTROL, POSITION_IN

SLATES, OWN, DIRECT = "slates", "own clicks", "direct"
PRIOR_LOOKS = 5.0  # of the mean item, added to the looks at each in the direct method
WHOLE = 0.95  # of the longest slate, that slates hold on average
KINDS = ("looked at", "clicked", "weight", "doubly robust")


def of_position(kind: str, position: int) -> str:
    """The column of one of KINDS and a position.

    >>> of_position("weight", 3)
    'weight at 3'
    """
    return f"{kind} at {position}"


def off_policy(log: nw.LazyFrame, target: nw.LazyFrame, size: int) -> SufficientStatistics:
    """Sums of every user of a log that was read for it; `target` has user_id, position, item_id of slates of `size`.

    SLATES; OWN, clicks on items that stood where control has them, each over its propensity, or all clicks where
    `position_in_control` is not logged; DIRECT, expected clicks of
    the target's slates by appeals of items that the other half of the users tells; AFTER, as `both_slates` has it; and
    by position: clicks at it over
    propensity ("looked at"), and by the position that the shown item has in the target's slate, clicks and 1 over
    propensity ("clicked", "weight"), and the appeal with what clicks are above it ("doubly robust").

    Raises:
        DataError: a user has no slate of the target, it shows no item of the log, or the log leaves out what its
            slates showed.
    """
    names = log.collect_schema().names()
    p = nw.col("propensity").cast(nw.Float64)
    wanted = here(target).select(
        nw.col("user_id").cast(nw.String), nw.col("item_id").cast(nw.String), j=nw.col("position").cast(nw.Int64)
    )
    wanted = keep(wanted.filter(nw.col("j") <= size))
    own = f"{POSITION_IN}{CONTROL}"
    at_home = nw.col(own).cast(nw.Int64) == nw.col("position").cast(nw.Int64) if own in names else nw.lit(True)
    rows = log.select(
        "slate_id",
        user_id=nw.col("user_id").cast(nw.String),
        item_id=nw.col("item_id").cast(nw.String),
        k=nw.col("position").cast(nw.Int64),
        click=nw.col("clicked").cast(nw.Float64),
        p=p,
        home=at_home.cast(nw.Float64),
    )
    _refuse_parts(rows, size)
    _refuse_foreign(rows, wanted)
    met = keep(here(rows).join(wanted, on=["user_id", "item_id"], how="left"))
    halves = met.select("user_id").unique().with_row_index("half", order_by="user_id")
    halves = keep(halves.select("user_id", half=nw.col("half").cast(nw.Int64) % 2))
    theta = _looks(met, size)
    looked = keep(met.join(halves, on="user_id", how="inner").with_columns(theta=_by_position("k", theta)))
    appeal, mean = _appeals(looked)
    rows = looked.join(appeal, on=["item_id", "half"], how="left").with_columns(q=nw.col("q").fill_null(mean))
    over, whole = 1.0 / nw.col("p"), float(theta.sum())
    gained = (nw.col("click") - nw.col("theta") * nw.col("q")) / nw.col("p")
    cells = {SLATES: nw.col("slate_id").n_unique().cast(nw.Float64)}
    cells[OWN] = (nw.col("home") * nw.col("click") * (over if own in names else 1.0)).sum()
    for at in range(1, size + 1):
        here_, there = nw.col("k") == at, nw.col("j") == at
        values = ((here_, nw.col("click") * over), (there, nw.col("click") * over), (there, over), (there, gained))
        for kind, (where, value) in zip(KINDS, values, strict=True):
            cells[of_position(kind, at)] = nw.when(where).then(value).otherwise(0.0).sum()
    sums = keep(rows.group_by("user_id").agg(*(e.alias(n) for n, e in cells.items())))
    after = after_top(met.select("user_id", "slate_id", "item_id", position="k", clicked="click"), ["user_id"])
    sums = sums.join(keep(after), on="user_id", how="left").with_columns(**{AFTER: nw.col("after").fill_null(0.0)})
    told = wanted.join(halves, on="user_id", how="inner").join(appeal, on=["item_id", "half"], how="left")
    told = told.with_columns(q=nw.col("q").fill_null(mean))
    places = {f"q{at}": nw.when(nw.col("j") == at).then(nw.col("q")).otherwise(0.0).sum() for at in range(1, size + 1)}
    told = keep(told.group_by("user_id").agg(*(e.alias(n) for n, e in places.items())))
    if n := int(sums.join(told, on="user_id", how="anti").select(n=nw.len()).collect("pyarrow")["n"][0]):
        raise DataError(f"The target has no slates for {n:,} users of the log. Ask it for all, or leave them out.")
    users = sums.join(told, on="user_id", how="inner")
    robust = {
        of_position(KINDS[3], at): nw.col(of_position(KINDS[3], at)) + whole * nw.col(SLATES) * nw.col(f"q{at}")
        for at in range(1, size + 1)
    }
    direct = sum((float(theta[at - 1]) * nw.col(f"q{at}") for at in range(2, size + 1)), float(theta[0]) * nw.col("q1"))
    users = keep(users.with_columns(**robust, **{DIRECT: nw.col(SLATES) * direct}).select(*cells, DIRECT, AFTER))
    return _statistics(users, [*cells, DIRECT, AFTER])


def _refuse_foreign(rows: nw.LazyFrame, wanted: nw.LazyFrame) -> None:
    """Refuse a target of another catalog, which would look like one that the log's policy never explored."""
    items = keep(here(rows.select("item_id").unique()))
    if not wanted.join(items, on="item_id", how="semi").select(n=nw.len()).collect("pyarrow")["n"][0]:
        one, other = (x.select(nw.col("item_id").min()).collect("pyarrow")["item_id"][0] for x in (wanted, items))
        raise DataError(
            f"The target shows no item of the log: it has items such as {one}, the log such as {other}. Name a target "
            "of the same catalog, or the column with its ids: columns={item_id: COLUMN}."
        )


def _refuse_parts(rows: nw.LazyFrame, size: int) -> None:
    """Refuse slates of which parts are logged only: what is left out would count as never shown."""
    slates = rows.group_by("user_id", "slate_id").agg(n=nw.len())
    mean = float(slates.select(nw.col("n").mean()).collect("pyarrow")["n"][0])
    if mean < WHOLE * size:
        raise DataError(
            f"A slate of the log has {mean:.1f} items on average, but positions go up to {size}, and what is not "
            "logged counts as not shown. Log whole slates, or number the positions of what is logged from 1."
        )


def _looks(rows: nw.LazyFrame, size: int) -> np.ndarray:
    """How likely each position is looked at, against the first: what is shown there is drawn alike, so clicks tell."""
    found = rows.with_columns(a=nw.col("click") / nw.col("p")).group_by("k").agg(nw.col("a").sum())
    clicks = np.zeros(size)
    for row in found.collect("pyarrow").rows(named=True):
        if row["k"] <= size:
            clicks[row["k"] - 1] = row["a"]
    return clicks / clicks[0] if clicks[0] > 0 else np.ones(size)


def _appeals(rows: nw.LazyFrame) -> tuple[nw.LazyFrame, float]:
    """Clicks per look of every item, by the half of users that it serves, told by the other half; and of all items."""
    sums = rows.group_by("item_id", "half").agg(nw.col("click").sum(), nw.col("theta").sum())
    sums = keep(sums)
    whole = sums.select(nw.col("click").sum(), nw.col("theta").sum()).collect("pyarrow").rows(named=True)[0]
    mean = whole["click"] / whole["theta"] if whole["theta"] else 0.0
    q = (nw.col("click") + PRIOR_LOOKS * mean) / (nw.col("theta") + PRIOR_LOOKS)
    return keep(sums.select("item_id", half=1 - nw.col("half"), q=q)), mean


def _by_position(column: str, values: Sequence[float] | np.ndarray) -> nw.Expr:
    found = nw.lit(0.0)
    for at, value in enumerate(values, 1):
        found = nw.when(nw.col(column) == at).then(nw.lit(float(value))).otherwise(found)
    return found


def _statistics(users: nw.LazyFrame, columns: Sequence[str]) -> SufficientStatistics:
    values = users.select(*columns).collect("pyarrow")
    table = np.column_stack([values[c].to_numpy() for c in columns]).astype(float)
    return SufficientStatistics.of(table, tuple(columns))
