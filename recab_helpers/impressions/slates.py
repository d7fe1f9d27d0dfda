"""The slates behind a test: how alike those of two variants are, and a few users to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw
import pandas as pd

from recab_helpers.impressions.user_rows import UserRows
from recab_helpers.references import CONTROL, in_order

HISTORY_SHOWN = 8  # past items of an example user, best rated first
OVERLAP_COLUMNS = {
    "variant": "the treatment",
    "against": "what it is held against",
    "slate_size": "items of a slate",
    "in_common": "items that a user's two slates share, mean",
    "none_in_common": "share of users whose slates share none",
    "all_in_common": "share of users whose slates hold the same items",
}


@dataclass(frozen=True, kw_only=True)
class Example:
    """One user to look at: what they met before, the slate of each variant, and what they clicked.

    `history` has title and rating, best first. Each slate has position, title, common (also in another slate) and,
    for the variant that the user was in, shown and clicked (times); other variants' slates were never shown.
    """

    user_id: str
    variant: str
    sessions: int
    clicks: int
    history: pd.DataFrame
    n_history: int
    slates: dict[str, pd.DataFrame]


def overlap(recommendations: nw.LazyFrame) -> pd.DataFrame:
    """How alike the slates of control and of each treatment are, over all users, as OVERLAP_COLUMNS says.

    `recommendations` has user_id, variant, position and item_id, the same users in every variant.
    """
    pairs = recommendations.select("user_id", "variant", "item_id")
    sizes = pairs.group_by("variant").agg(nw.col("user_id").n_unique().alias("users"), nw.len().alias("items"))
    size_of = {row["variant"]: row for row in sizes.collect("pyarrow").iter_rows(named=True)}
    control = pairs.filter(nw.col("variant") == CONTROL).select("user_id", "item_id")
    rows = []
    for name in in_order(size_of)[1:]:
        n_users, n_items = size_of[name]["users"], size_of[name]["items"]
        both = pairs.filter(nw.col("variant") == name).join(control, on=["user_id", "item_id"], how="inner")
        per_user = (
            both.group_by("user_id").agg(nw.len().alias("common")).group_by("common").agg(nw.len().alias("users"))
        )
        counts = per_user.collect("pandas").to_native().set_index("common")["users"]
        size = n_items // n_users
        row = {"variant": name, "against": CONTROL, "slate_size": size}
        row["in_common"] = float((counts.index * counts).sum() / n_users)
        row |= {"none_in_common": 1 - counts.sum() / n_users, "all_in_common": counts.get(size, 0) / n_users}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(OVERLAP_COLUMNS))


def example_users(rows: UserRows, n: int = 2) -> pd.DataFrame:
    """`n` typical users of every variant, those nearest the median clicks of users who clicked: ids and counts."""
    chosen = []
    for name in in_order(rows.users.select("variant").unique().collect("pyarrow")["variant"].to_list()):
        of = rows.users.filter(nw.col("variant") == name)
        clicked = of.filter(nw.col("clicks") > 0)
        of = clicked if clicked.select(nw.len().alias("n")).collect("pyarrow")["n"][0] else of
        median = float(of.select(nw.col("clicks").median()).collect("pyarrow")["clicks"][0])
        near = of.with_columns(distance=(nw.col("clicks") - median).abs()).sort("distance", "user_id").head(n)
        near = near.select(nw.col("user_id").cast(nw.String), "variant", "sessions", "clicks")
        chosen.append(near.collect("pandas").to_native())
    return pd.concat(chosen, ignore_index=True).drop_duplicates("user_id", ignore_index=True)


def examples(
    rows: UserRows,
    *,
    recommendations: nw.LazyFrame | None = None,
    history: nw.LazyFrame | None = None,
    titles: pd.Series | None = None,
) -> list[Example]:
    """A few users with their slates; without `recommendations`, the first slate that each saw.

    `history` has user_id, item_id and rating; `titles` is indexed by item_id, and an item without one shows its id.
    Users are numbered, so that a report passed on names nobody of recorded data.
    """
    users = example_users(rows)
    ids = users["user_id"].to_list()
    seen, slates, met = (_of_users(t, ids) for t in (rows.log, recommendations, history))
    names = pd.Series(dtype=str) if titles is None else titles
    return [
        _example(
            user,
            str(i),
            *(None if t is None else t[t["user_id"] == user.user_id] for t in (seen, slates, met)),
            titles=names,
        )
        for i, user in enumerate(users.itertuples(), 1)
    ]


def _of_users(table: nw.LazyFrame | None, ids: Sequence[str]) -> pd.DataFrame | None:
    if table is None:
        return None
    as_there = [int(i) for i in ids] if table.collect_schema()["user_id"].is_integer() else ids
    found = table.filter(nw.col("user_id").is_in(as_there))
    return found.with_columns(nw.col("user_id", "item_id").cast(nw.String)).collect("pandas").to_native()


def _example(user, shown_as: str, seen: pd.DataFrame, recommended, met, *, titles: pd.Series) -> Example:
    counts = seen.groupby("item_id")["clicked"].agg(shown="size", clicked="sum")
    if recommended is None:
        time = "timestamp" if "timestamp" in seen else "day"
        first = seen.sort_values([time, "slate_id"], kind="stable")["slate_id"].iloc[0]
        slates = {str(user.variant): seen[seen["slate_id"] == first]}
    else:
        slates = {v: recommended[recommended["variant"] == v] for v in in_order(recommended["variant"])}
    sets = {name: set(s["item_id"]) for name, s in slates.items()}
    for name, slate in slates.items():
        ordered = slate.sort_values("position")
        items = ordered["item_id"].astype(str)
        others = set().union(*(s for other, s in sets.items() if other != name))
        table = pd.DataFrame({"position": ordered["position"].to_numpy(), "title": _titled(items, titles)})
        table["common"] = items.isin(others).to_numpy()
        if name == user.variant:
            table[["shown", "clicked"]] = counts.reindex(items, fill_value=0).to_numpy()
        slates[name] = table
    if met is None:
        met = pd.DataFrame({"item_id": [], "rating": []})
    best = met.sort_values(["rating", *met.columns.intersection(["timestamp"])], ascending=False).head(HISTORY_SHOWN)
    return Example(
        user_id=shown_as,
        variant=str(user.variant),
        sessions=int(user.sessions),
        clicks=int(user.clicks),
        history=pd.DataFrame({"title": _titled(best["item_id"], titles), "rating": best["rating"].to_numpy()}),
        n_history=len(met),
        slates=slates,
    )


def _titled(items: pd.Series, titles: pd.Series) -> list[str]:
    return [str(titles.get(item, item)) for item in items.astype(str)]
