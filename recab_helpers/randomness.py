"""Counter-based random numbers: a draw depends on the seed, its purpose and its counters, on nothing else.

The same user therefore sees the same draw whatever the chunk size, the order of users or the number of
processes, and both variants share common random numbers.
"""

import hashlib

import numpy as np
import pandas as pd

PIECE = 16_384  # draws at a time, which stay in the cache of a core
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def id_keys(ids: np.ndarray, salt: str) -> np.ndarray:
    """One uint64 per id: SipHash of the string under a key made from `salt`; never Python's `hash()`."""
    hash_key = hashlib.sha256(salt.encode()).hexdigest()[:16]
    return pd.util.hash_array(np.asarray(ids, dtype=object), hash_key=hash_key, categorize=False)


def uniform(keys: np.ndarray, *counters: np.ndarray | int) -> np.ndarray:
    """Uniform draws in (0, 1), one per broadcast element of keys and counters.

    SplitMix64's finalizer (Steele, Lea and Flood 2014) is applied after each counter.
    """
    inputs = [np.asarray(x) for x in (keys, *counters)]
    drawn = np.empty(np.broadcast_shapes(*(x.shape for x in inputs)))
    if drawn.size <= PIECE or len(drawn) == 1:
        drawn[...] = _draw(*inputs)
        return drawn[()]
    long = [x.ndim == drawn.ndim and len(x) > 1 for x in inputs]  # these have an element for every row
    size = max(1, PIECE * len(drawn) // drawn.size)
    for start in range(0, len(drawn), size):
        rows = slice(start, start + size)
        drawn[rows] = _draw(*(x[rows] if own else x for x, own in zip(inputs, long, strict=True)))
    return drawn[()]


def _draw(keys: np.ndarray, *counters: np.ndarray) -> np.ndarray:
    state = _mix(keys.astype(np.uint64))
    for counter in counters:
        state = _mix(state + _GOLDEN * (counter.astype(np.uint64) + np.uint64(1)))
    state >>= np.uint64(11)
    drawn = np.add(state.view(np.int64), 0.5)  # 53 bits: a signed number turns faster into a float
    drawn *= 2.0**-53
    return drawn


def _mix(state: np.ndarray) -> np.ndarray:
    """The state, mixed in its place."""
    state = np.asarray(state)
    shifted = np.empty_like(state)
    for bits, factor in ((30, _MIX_1), (27, _MIX_2), (31, None)):
        np.right_shift(state, np.uint64(bits), out=shifted)
        state ^= shifted
        if factor is not None:
            state *= factor
    return state
