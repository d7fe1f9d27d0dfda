"""Draws depend on seed, purpose and counters only, and look uniform and independent."""

import uuid

import numpy as np
from scipy import stats

from recab_helpers.randomness import id_keys, uniform

IDS = {
    "sequential numbers": np.array([f"{i}" for i in range(20_000)]),
    "six digits": np.array([f"{i:06d}" for i in range(20_000)]),
    "uuids": np.array([str(uuid.UUID(int=i * 7919)) for i in range(20_000)]),
}


def test_draws_are_uniform_and_uncorrelated_between_counters():
    keys = id_keys(IDS["sequential numbers"], "clicks")
    draws = uniform(keys[:, None], 0, np.arange(4))
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-4
    correlations = np.corrcoef(draws.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(len(keys))
    assert draws.min() > 0
    assert draws.max() < 1
