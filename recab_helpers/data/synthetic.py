"""A world whose truth is known: taste that the text shows, taste that it hides, popularity, biased histories.

The truth is independent of every recommender. Sources: non-random missing histories (Steck 2010),
negative-binomial activity (Ehrenberg 1959), simulated truth for evaluation (Tian and Ekstrand 2020).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from recab_helpers.assumptions import ACTIVITY_SHAPE, MEAN_SESSIONS
from recab_helpers.blocks import blocks
from recab_helpers.data.dataset import Dataset, make_dataset
from recab_helpers.data.world import START, World
from recab_helpers.parameters import TrainParams
from recab_helpers.randomness import id_keys, uniform

N_TOPICS = 20
N_HIDDEN = 8  # dimensions of taste that the text does not show
N_WORDS = 3000
QUALITY_WEIGHT, TASTE_WEIGHT = 0.8, 1.2
BASE_LOGIT = -3.95  # a random slate of ten then earns a CTR near 1.4%
MIN_HISTORY = 5
RATING_SHARES = (0.061, 0.114, 0.271, 0.342, 0.212)  # of MovieLens 100K, ratings 1 to 5
HISTORY_DAYS = 365

TOPICS = (
    "adventure animals art comedy cooking crime drama family fantasy gardens history music mystery nature "
    "romance science space sports travel war"
).split()


def from_parameters(_: Path | None, params: TrainParams) -> Dataset:
    """The data set that the parameters describe."""
    names = ("n_users", "n_items", "text_share", "mean_history", "seed", "relevant_rating")
    return synthetic_dataset(**{name: getattr(params, name) for name in names})


def synthetic_dataset(
    *,
    n_users: int,
    n_items: int,
    text_share: float,
    mean_history: float,
    seed: int,
    relevant_rating: float | None = None,
) -> Dataset:
    """Draw a world, its catalog and the users' histories.

    `mean_history` is the mean number of interactions per user, negative binomial and at least MIN_HISTORY.
    `text_share` is the share of taste variance that the text shows (rho squared): 1 favors content-based
    recommenders, 0 leaves them blind.
    """
    rng_items, rng_users, rng_words = np.random.default_rng(seed).spawn(3)
    item_topics = rng_items.dirichlet(np.full(N_TOPICS, 0.15), n_items)
    world = _draw_world(item_topics, n_users, text_share, rng_items, rng_users)
    interactions = _draw_histories(world, mean_history, rng_users, seed)
    catalog = _write_texts(world.item_ids, item_topics, rng_words)
    return make_dataset("synthetic", interactions, catalog, world=world, relevant_rating=relevant_rating)


def _draw_world(item_topics, n_users, text_share, rng_items, rng_users) -> World:
    n_items = len(item_topics)
    item_hidden = rng_items.standard_normal((n_items, N_HIDDEN))
    quality = rng_items.standard_normal(n_items)
    user_topics = rng_users.dirichlet(np.full(N_TOPICS, 0.25), n_users)
    user_hidden = rng_users.standard_normal((n_users, N_HIDDEN))
    shown_users, shown_items = _standardized(user_topics, item_topics)
    hidden_users, hidden_items = _standardized(user_hidden, item_hidden)
    weights = TASTE_WEIGHT * np.sqrt([text_share, 1 - text_share])
    return World(
        user_ids=_ids("u", n_users),
        item_ids=_ids("i", n_items),
        user_taste=np.hstack([weights[0] * shown_users, weights[1] * hidden_users]),
        item_taste=np.hstack([shown_items, hidden_items]),
        user_bias=BASE_LOGIT + rng_users.normal(0, 0.6, n_users),
        item_bias=QUALITY_WEIGHT * quality,
        session_rate=rng_users.gamma(ACTIVITY_SHAPE, MEAN_SESSIONS / ACTIVITY_SHAPE, n_users),
    )


def _standardized(users: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors whose product is the double-centered affinity with unit variance; no users x items matrix.

    The variance of a double-centered product is trace(cov(users) cov(items)).
    """
    users, items = users - users.mean(0), items - items.mean(0)
    variance = np.sum((users.T @ users / len(users)) * (items.T @ items / len(items)))
    return users / np.sqrt(variance), items


def _draw_histories(world: World, mean_history: float, rng: np.random.Generator, seed: int) -> pd.DataFrame:
    """Each user's history: the n_u items of highest log popularity + liking + Gumbel noise, then rated."""
    n_users, n_items = len(world.user_ids), len(world.item_ids)
    shape = 0.9
    lengths = rng.negative_binomial(shape, shape / (shape + mean_history), n_users)
    lengths = np.clip(lengths, min(MIN_HISTORY, n_items), max(1, n_items // 2))
    log_popularity = _log_popularity(world.item_bias / QUALITY_WEIGHT, rng)
    keys = id_keys(world.user_ids, f"{seed} history")
    drawn = []
    for rows in blocks(n_users, n_items, desc="histories"):
        x = world.user_taste[rows] @ world.item_taste.T + world.item_bias
        gumbel = -np.log(-np.log(uniform(keys[rows, None], np.arange(n_items))))
        order = np.argsort(-(log_popularity + 0.8 * x + gumbel), axis=1)[:, : lengths[rows].max()]
        u, rank = np.nonzero(np.arange(order.shape[1]) < lengths[rows, None])
        drawn.append((u + rows.start, order[u, rank], x[u, order[u, rank]]))
    user, item, liking = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    noisy = liking + rng.normal(0, 0.4, n_users)[user] + rng.normal(0, 0.8, len(user))
    cuts = np.quantile(noisy, np.cumsum(RATING_SHARES)[:-1])
    begin = START.astype(np.int64) - HISTORY_DAYS * 86_400
    return pd.DataFrame(
        {
            "user_id": pd.Series(world.user_ids, dtype="str").take(user).array,  # half of what numpy's strings take
            "item_id": pd.Series(world.item_ids, dtype="str").take(item).array,
            "rating": 1.0 + np.searchsorted(cuts, noisy),
            "timestamp": np.floor(begin + rng.random(len(user)) * HISTORY_DAYS * 86_400),
        }
    )


def _log_popularity(quality: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Log of rank^-.5, with ranks that correlate .5 with quality."""
    appeal = 0.5 * quality + np.sqrt(0.75) * rng.standard_normal(len(quality))
    rank = np.empty(len(quality))
    rank[np.argsort(-appeal)] = np.arange(1, len(quality) + 1)
    return -0.5 * np.log(rank)


def _write_texts(item_ids: np.ndarray, item_topics: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Texts of about 60 words: half from the item's topics, half from a Zipf vocabulary shared by all."""
    vocabulary = _vocabulary(N_WORDS, rng)
    topic_words = rng.dirichlet(np.full(N_WORDS, 0.02), N_TOPICS)
    zipf = np.arange(1, N_WORDS + 1) ** -1.07
    cumulative = np.cumsum(np.vstack([topic_words, zipf / zipf.sum()]), axis=1)
    cumulative /= cumulative[:, -1:]
    item = np.repeat(np.arange(len(item_ids)), np.maximum(rng.poisson(60, len(item_ids)), 1))
    draw, shares, topic = rng.random(len(item)), np.cumsum(item_topics, axis=1), np.empty(len(item), dtype=np.int64)
    for rows in blocks(len(item), N_TOPICS, desc="topics"):
        topic[rows] = np.minimum((draw[rows, None] > shares[item[rows]]).sum(1), N_TOPICS - 1)
    source = np.where(rng.random(len(item)) < 0.5, topic, N_TOPICS)
    draw = rng.random(len(item))
    word = np.empty(len(item), dtype=np.int64)
    for s in range(N_TOPICS + 1):
        word[source == s] = np.searchsorted(cumulative[s], draw[source == s])
    ends = np.searchsorted(item, np.arange(len(item_ids)), side="right")
    texts = [" ".join(vocabulary[word[a:b]]) for a, b in zip(np.append(0, ends[:-1]), ends, strict=True)]
    names = np.char.capitalize(vocabulary[rng.integers(N_WORDS, size=(2, len(item_ids)))])
    genres = np.array(TOPICS)[item_topics.argmax(1)]
    titles = [f"{a} {b} ({genre})" for a, b, genre in zip(*names, genres, strict=True)]
    return pd.DataFrame({"item_id": item_ids, "title": titles, "text": texts})


def _vocabulary(size: int, rng: np.random.Generator) -> np.ndarray:
    syllables = np.array([c + v for c in "bdfgklmnprstvz" for v in "aeiou"])
    words = np.unique(["".join(w) for w in syllables[rng.integers(len(syllables), size=(2 * size, 3))]])
    return rng.permutation(words)[:size]


def _ids(prefix: str, n: int) -> np.ndarray:
    width = len(str(n - 1))
    return np.array([f"{prefix}{i:0{width}d}" for i in range(n)])
