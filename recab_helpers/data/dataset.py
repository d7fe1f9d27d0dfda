"""A data set whose tables passed their contracts, and the same as integer codes."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recab_helpers.data.contract import CATALOG, INTERACTIONS, require_columns, require_no_missing
from recab_helpers.data.scale import Scale, code_for_none
from recab_helpers.data.world import World
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.parameters import ALL_RATED

MANY = 0.2  # zeros among points that may be no ratings
SHOWN = 3  # how many offending values an error quotes


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Interactions and catalog that passed their contracts; `world` is the truth where data are synthetic.

    Beside the columns of its contract, every interaction has a `grade` from 1 to 5 and whether it counts as `liked`.
    """

    name: str
    interactions: pd.DataFrame  # INTERACTIONS and grade, liked; sorted by user and item
    catalog: pd.DataFrame  # CATALOG, sorted by item
    world: World | None = field(default=None, repr=False)
    read_as: dict[str, str] = field(default_factory=dict)  # what was made of the data, in words

    def digest(self) -> str:
        """Sixteen hex digits that change when any row changes."""
        return digest_of(self.interactions.drop(columns=["grade", "liked"]), self.catalog)


def digest_of(*tables: pd.DataFrame) -> str:
    """Sixteen hex digits that change when any row of the tables changes."""
    rows = (pd.util.hash_pandas_object(t, index=False) for t in tables)
    return hashlib.sha256(b"".join(r.to_numpy().tobytes() for r in rows)).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """Interactions as integer codes, sorted by user then item; the ids are the sorted strings."""

    user_ids: np.ndarray  # (n_users,)
    item_ids: np.ndarray  # (n_items,)
    user: np.ndarray  # (n,) codes into user_ids
    item: np.ndarray  # (n,) codes into item_ids
    rating: np.ndarray  # (n,) float64 grades, from 1 to 5 whatever the scale of the data
    liked: np.ndarray  # (n,) bool

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)


def make_dataset(
    name: str,
    interactions: pd.DataFrame,
    catalog: pd.DataFrame | None = None,
    world: World | None = None,
    relevant_rating: float | None = None,
    not_rated: str = "",
) -> Dataset:
    """Check both tables against their contracts and against each other.

    Without ratings, the rows of a user and an item are counted. Items that the catalog lacks are added to it by their
    id, unless they are most: then the two tables do not name the same things. `relevant_rating` is the least rating
    that counts as liked; None takes what the data propose. Interactions of the rating `not_rated` are left out, and
    what looks like one is refused unless it is ALL_RATED.

    Raises:
        DataError: a broken contract, a rating that looks like a code for none, or most interactions have an item that
            the catalog lacks.
        ParameterError: `relevant_rating` or `not_rated` does not fit the ratings.
    """
    source = f"{name} interactions"
    read_as: dict[str, str] = {}
    if counted := "rating" not in interactions:
        interactions = _counted(interactions, source)
    interactions = INTERACTIONS.check(interactions, source=source)
    if not counted:
        interactions, read_as = _rated(interactions, not_rated, source)
    elif not_rated:
        raise ParameterError(f"not_rated is {not_rated}, but {name} has events and no ratings. Leave it out.")
    items = interactions[["item_id"]].drop_duplicates()
    if catalog is None:
        catalog = items
    catalog = CATALOG.check(catalog, source=f"{name} catalog")
    unknown = ~interactions["item_id"].isin(catalog["item_id"])
    if unknown.mean() > 0.5:
        raise DataError(
            f"{name}: {unknown.sum():,} of {len(unknown):,} interactions name an item_id that the catalog lacks "
            f"({_quote(interactions.loc[unknown, 'item_id'])}); the catalog has {_quote(catalog['item_id'])}. Give "
            "both tables the same ids."
        )
    if unknown.any():
        more = items[~items["item_id"].isin(catalog["item_id"])]
        read_as["items without a row in the catalog"] = f"{len(more):,}, known by their id only"
        catalog = CATALOG.check(pd.concat([catalog, more]), source=f"{name} catalog")
    titles = catalog["title"] if "title" in catalog else pd.Series("", catalog.index)
    catalog = catalog[["item_id"]].assign(
        title=titles.where(titles != "", catalog["item_id"]), text=catalog.get("text", "")
    )
    rating = interactions["rating"].to_numpy()
    scale = Scale.of(rating, counted=counted)
    bar, liked = scale.liked_from(rating, relevant_rating)
    read_as = {"ratings": f"{scale.kind}, from {scale.low:g} to {scale.high:g}", "liked": liked} | read_as
    zeros = float(np.mean(rating == scale.low)) if scale.low == 0 and scale.kind == "points" else 0.0
    if zeros >= MANY and scale.high > 1 and not not_rated:
        read_as["zeros"] = f"{zeros:.0%} of the ratings; where 0 says that there is none, leave them out: not_rated=0"
    interactions = interactions.assign(grade=scale.grades(rating), liked=rating >= bar)
    return Dataset(name=name, interactions=interactions, catalog=catalog, world=world, read_as=read_as)


def has_words(catalog: pd.DataFrame) -> bool:
    """Whether any item has a word in its text."""
    return bool(catalog["text"].str.contains(r"\w\w").any())


def _rated(interactions: pd.DataFrame, not_rated: str, source: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """The interactions without those of the rating that stands for none, and a sentence on those that are left out."""
    rating = interactions["rating"]
    if not_rated and not_rated.lower() != ALL_RATED:
        left = rating == float(not_rated)
        if left.all() or not left.any():
            raise ParameterError(
                f"not_rated is {not_rated}, which is {'every' if left.any() else 'no'} rating of {source}; they run "
                f"from {rating.min():g} to {rating.max():g}. Correct it, or leave it out."
            )
        said = {"interactions without a rating": f"{left.sum():,}, of the rating {not_rated}, left out"}
        return interactions[~left].reset_index(drop=True), said
    if not not_rated and (code := code_for_none(rating.to_numpy())) is not None:
        others = rating[rating != code]
        raise DataError(
            f"{source}: {len(rating) - len(others):,} of {len(rating):,} ratings are {code:g}, the others run from "
            f"{others.min():g} to {others.max():g}, so it may stand for no rating. Leave these rows out, "
            f"not_rated={code:g}, or say that all are ratings, not_rated={ALL_RATED}."
        )
    return interactions, {}


def _counted(interactions: pd.DataFrame, source: str) -> pd.DataFrame:
    """Bare events: one row for each user and item, with their number as the rating and the time of the last."""
    key = list(INTERACTIONS.key)
    require_columns(interactions, key, source=source)
    require_no_missing(interactions, key, source=source)
    groups = interactions.groupby(key, observed=True, as_index=False)
    times = {"timestamp": ("timestamp", "max")} if "timestamp" in interactions else {}
    return groups.agg(rating=(key[0], "size"), **times)


def describe(dataset: Dataset, train: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    """Users, items, interactions and mean rating of the whole data set and of both parts."""
    parts = {"all": dataset.interactions, "train": train, "held out": held_out}
    rows = {
        name: {
            "users": t["user_id"].nunique(),
            "items": t["item_id"].nunique(),
            "interactions": len(t),
            "mean_rating": t["rating"].mean(),
        }
        for name, t in parts.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(dataset.name)


def ids_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Sorted user and item ids of the whole data set, as numpy strings."""
    return sorted_ids(dataset.interactions["user_id"]), dataset.catalog["item_id"].to_numpy(dtype=str)


def sorted_ids(*columns: pd.Series) -> np.ndarray:
    """Every id of the columns once, sorted, as numpy strings."""
    return np.sort(pd.concat(columns).unique().to_numpy(dtype=str))


def encode(interactions: pd.DataFrame, *, user_ids: np.ndarray, item_ids: np.ndarray) -> Interactions:
    """Code the rows against the given sorted ids; the result does not depend on the order of the rows.

    Raises:
        DataError: a user or an item that the ids lack.
    """
    user = codes_of(interactions["user_id"], user_ids, what="user_id")
    item = codes_of(interactions["item_id"], item_ids, what="item_id")
    order = np.lexsort((item, user))
    grade, liked = interactions["grade"].to_numpy(dtype=np.float64), interactions["liked"].to_numpy(dtype=bool)
    return Interactions(
        user_ids=user_ids,
        item_ids=item_ids,
        user=user[order],
        item=item[order],
        rating=grade[order],
        liked=liked[order],
    )


def codes_of(values: pd.Series, ids: np.ndarray, *, what: str) -> np.ndarray:
    """Where each value stands in the sorted ids, which are compared whole: numpy strings would cut longer ones.

    Raises:
        DataError: a value that the ids lack.
    """
    codes = pd.Index(ids).get_indexer(values)
    if (unknown := codes < 0).any():
        raise DataError(
            f"{unknown.sum():,} rows have an unknown {what} ({_quote(values[unknown])}); there are {len(ids):,}, from "
            f"{ids[0]!s} to {ids[-1]!s}. Correct them or drop the rows."
        )
    return codes


def _quote(values: pd.Series) -> str:
    shown = ", ".join(map(repr, values.unique()[:SHOWN]))
    return shown + (", …" if values.nunique() > SHOWN else "")
