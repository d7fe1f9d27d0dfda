"""What the variants show: coverage and popularity of the items, overlap of the slates, and a few users to look at."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recab_helpers.analysis.metrics import CONTROL, variants_of

HEAD = 0.2  # the most popular fifth of the catalog is its head
MOST_SHOWN = 10  # items whose share of all impressions tells how concentrated they are
HISTORY_SHOWN = 8  # past items of an example user, best rated first


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


@dataclass(frozen=True, kw_only=True)
class Slates:
    """What the variants showed, made by `look_at_slates`; `overlap` is None where only one slate a user is known."""

    shown: pd.DataFrame  # shown_table
    overlap: pd.DataFrame | None  # slate_overlap
    examples: list[Example]


def look_at_slates(
    users: pd.DataFrame,
    impressions: pd.DataFrame,
    *,
    recommendations: pd.DataFrame | None = None,
    history: pd.DataFrame | None = None,
    titles: pd.Series | None = None,
    popularity: pd.Series | None = None,
) -> Slates:
    """Coverage, overlap and a few example users of a log; what is not known is left out (see each function)."""
    return Slates(
        shown=shown_table(impressions, popularity),
        overlap=None if recommendations is None else slate_overlap(recommendations),
        examples=examples(users, impressions, recommendations=recommendations, history=history, titles=titles),
    )


def shown_table(impressions: pd.DataFrame, popularity: pd.Series | None = None) -> pd.DataFrame:
    """Items shown per variant and their coverage, concentration and popularity; one number each, without a test.

    Columns: items_shown; coverage, their share of the catalog; most_shown, share of impressions that the ten most
    shown items hold. With `popularity` (interactions by item_id, over the whole catalog) also mean_popularity, of an
    item shown (average recommendation popularity; Abdollahpouri and others 2019), and head, the share of impressions
    of the most popular fifth; a last row gives both for the interactions themselves, which an unbiased recommender
    would match. Without it the catalog is all items of the log.
    """
    items = impressions["item_id"].cat.categories
    known = pd.Series(0.0, items) if popularity is None else popularity
    counts = {
        str(name): shown.value_counts().reindex(known.index.union(items), fill_value=0)
        for name, shown in impressions.groupby("variant", observed=True)["item_id"]
    }
    n_items = impressions["item_id"].nunique() if popularity is None else len(known)
    head = known.nlargest(max(1, round(HEAD * len(known)))).index
    rows = []
    for name in variants_of(impressions):
        shown = counts[name]
        row = {"variant": name, "items_shown": int((shown > 0).sum()), "coverage": (shown > 0).sum() / n_items}
        row["most_shown"] = shown.nlargest(MOST_SHOWN).sum() / shown.sum()
        rows.append(row | _popularity(shown, known, head))
    if popularity is not None and known.sum() > 0:
        met = {"variant": "past interactions", "items_shown": int((known > 0).sum()), "coverage": (known > 0).mean()}
        met["most_shown"] = known.nlargest(MOST_SHOWN).sum() / known.sum()
        rows.append(met | _popularity(known, known, head))
    table = pd.DataFrame(rows).set_index("variant")
    return table if popularity is not None else table.drop(columns=["mean_popularity", "head"])


def _popularity(shown: pd.Series, popularity: pd.Series, head: pd.Index) -> dict[str, float]:
    mean = float(np.average(popularity.reindex(shown.index, fill_value=0), weights=shown))
    return {"mean_popularity": mean, "head": float(shown.reindex(head, fill_value=0).sum() / shown.sum())}


def slate_overlap(recommendations: pd.DataFrame) -> pd.DataFrame:
    """How alike the slates of control and of each treatment are, over all users.

    Columns: slate_size; in_common, mean items that a user's two slates share; none_in_common and all_in_common,
    shares of users. `recommendations` has user_id, variant, position and item_id, the same users in every variant.
    """
    user, item, variant = (recommendations[c].astype("category") for c in ("user_id", "item_id", "variant"))
    n_users, n_items = len(user.cat.categories), len(item.cat.categories)
    pair = user.cat.codes.to_numpy(np.int64) * n_items + item.cat.codes.to_numpy()
    of = {name: pair[(variant == name).to_numpy()] for name in variants_of(recommendations)}
    rows = []
    for name in list(of)[1:]:
        size = len(of[name]) / n_users
        common = np.bincount(of[name][np.isin(of[name], of[CONTROL])] // n_items, minlength=n_users)
        shares = {"none_in_common": (common == 0).mean(), "all_in_common": (common == size).mean()}
        row = {"comparison": f"{name} vs {CONTROL}", "slate_size": int(size), "in_common": common.mean()}
        rows.append(row | shares)
    return pd.DataFrame(rows).set_index("comparison")


def example_users(users: pd.DataFrame, n: int = 2) -> list[str]:
    """Ids of `n` typical users of every variant: those nearest the median clicks of users who clicked."""
    chosen = []
    for name in variants_of(users):
        of = users[users["variant"] == name]
        of = of[of["clicks"] > 0] if (of["clicks"] > 0).any() else of
        distance = (of["clicks"] - of["clicks"].median()).abs().to_numpy()
        chosen += of["user_id"].iloc[np.argsort(distance, kind="stable")[:n]].tolist()
    return list(dict.fromkeys(chosen))


def examples(
    users: pd.DataFrame,
    impressions: pd.DataFrame,
    *,
    recommendations: pd.DataFrame | None = None,
    history: pd.DataFrame | None = None,
    titles: pd.Series | None = None,
) -> list[Example]:
    """The example users of a log with their slates; without `recommendations`, the first slate that each saw.

    `history` has user_id, item_id and rating; `titles` is indexed by item_id, and an item without one shows its id.
    Without `recommendations` the log is a real one: its users are numbered, so that a report passed on names nobody.
    """
    names = pd.Series(dtype=str) if titles is None else titles
    chosen = [
        _example(users, impressions[impressions["user_id"] == user_id], user_id, recommendations, history, names)
        for user_id in example_users(users)
    ]
    return chosen if recommendations is not None else [replace(e, user_id=str(i)) for i, e in enumerate(chosen, 1)]


def _example(users, seen: pd.DataFrame, user_id: str, recommendations, history, titles: pd.Series) -> Example:
    user = users[users["user_id"] == user_id].iloc[0]
    counts = seen.groupby("item_id", observed=True)["clicked"].agg(shown="size", clicked="sum")
    if recommendations is None:
        first = seen[seen["slate_id"] == seen["slate_id"].iloc[0]]
        slates = {str(user["variant"]): first}
    else:
        of = recommendations[recommendations["user_id"] == user_id]
        slates = {name: of[of["variant"] == name] for name in variants_of(of)}
    sets = {name: set(s["item_id"]) for name, s in slates.items()}
    for name, slate in slates.items():
        items = slate.sort_values("position")["item_id"].astype(str)
        others = set().union(*(s for other, s in sets.items() if other != name))
        table = pd.DataFrame({"position": slate["position"].sort_values().to_numpy(), "title": _titled(items, titles)})
        table["common"] = items.isin(others).to_numpy()
        if name == user["variant"]:
            table[["shown", "clicked"]] = counts.reindex(items, fill_value=0).to_numpy()
        slates[name] = table
    met = pd.DataFrame({"item_id": [], "rating": []}) if history is None else history[history["user_id"] == user_id]
    best = met.sort_values(["rating", *met.columns.intersection(["timestamp"])], ascending=False).head(HISTORY_SHOWN)
    return Example(
        user_id=user_id,
        variant=str(user["variant"]),
        sessions=int(user["sessions"]),
        clicks=int(user["clicks"]),
        history=pd.DataFrame({"title": _titled(best["item_id"], titles), "rating": best["rating"].to_numpy()}),
        n_history=len(met),
        slates=slates,
    )


def _titled(items: pd.Series, titles: pd.Series) -> list[str]:
    return [str(titles.get(item, item)) for item in items.astype(str)]
