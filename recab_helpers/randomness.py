"""Counter-based random numbers: a draw depends on the seed, its purpose and its counters, on nothing else.

The same user therefore sees the same draw whatever the chunk size, the order of users or the number of
processes, and both variants share common random numbers.
"""

import hashlib

import numpy as np
import pandas as pd

PIECE = 65_536  # draws at a time: few enough for a cache, enough for the calls to cost little
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.float64(1).view(np.uint64)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def id_keys(ids: np.ndarray, salt: str) -> np.ndarray:
    """One uint64 per id: SipHash of the string under a key made from `salt`; never Python's `hash()`."""
    hash_key = hashlib.sha256(salt.encode()).hexdigest()[:16]
    return pd.util.hash_array(np.asarray(ids, dtype=object), hash_key=hash_key, categorize=False)


def uniform(keys: np.ndarray, *counters: np.ndarray | int) -> np.ndarray:
    """Uniform draws in (0, 1), one per broadcast element of keys and counters: odd multiples of 2^-53.

    SplitMix64's finalizer (Steele, Lea and Flood 2014) is applied after each counter.
    """
    inputs = [np.asarray(x) for x in (keys, *counters)]
    state = np.empty(np.broadcast_shapes(*(x.shape for x in inputs)), dtype=np.uint64)
    if state.size <= PIECE or len(state) == 1:
        return _draw(state, *inputs)[()]
    long = [x.ndim == state.ndim and len(x) > 1 for x in inputs]  # these have an element for every row
    size = max(1, PIECE * len(state) // state.size)
    for start in range(0, len(state), size):
        rows = slice(start, start + size)
        _draw(state[rows], *(x[rows] if own else x for x, own in zip(inputs, long, strict=True)))
    return state.view(np.float64)


def _draw(state: np.ndarray, keys: np.ndarray, *counters: np.ndarray) -> np.ndarray:
    """Draws in the place of `state`, which is of their shape."""
    steps = [keys.astype(np.uint64), *(_GOLDEN * (c.astype(np.uint64) + np.uint64(1)) for c in counters)]
    mixed = np.zeros((), dtype=np.uint64)
    for step in steps[:-1]:
        mixed = _mix(np.asarray(mixed + step))
    _mix(np.add(mixed, steps[-1], out=state))
    state >>= np.uint64(12)
    state |= _ONE  # 52 random bits behind the exponent of 1
    drawn = state.view(np.float64)
    drawn -= 1 - 2.0**-53
    return drawn


def _mix(state: np.ndarray) -> np.ndarray:
    """The state, mixed in its place."""
    shifted = np.empty_like(state)
    for bits, factor in ((30, _MIX_1), (27, _MIX_2), (31, None)):
        np.right_shift(state, np.uint64(bits), out=shifted)
        state ^= shifted
        if factor is not None:
            state *= factor
    return state
