"""Counter-based random numbers: a draw depends on the seed, its purpose and its counters, on nothing else.

The same user therefore sees the same draw whatever the chunk size, the order of users or the number of
processes, and both variants share common random numbers.
"""

import hashlib

import numpy as np
import pandas as pd

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
    state = _mix(np.asarray(keys, dtype=np.uint64))
    for counter in counters:
        state = _mix(state + _GOLDEN * (np.asarray(counter, dtype=np.uint64) + np.uint64(1)))
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _mix(state: np.ndarray) -> np.ndarray:
    state = state ^ (state >> np.uint64(30))
    state *= _MIX_1
    state ^= state >> np.uint64(27)
    state *= _MIX_2
    state ^= state >> np.uint64(31)
    return state
