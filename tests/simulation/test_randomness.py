"""Draws depend on seed, purpose and counters only, and look uniform and independent."""

import os
import subprocess
import sys
import uuid

import numpy as np
import pytest
from scipy import stats

from recab_helpers.randomness import id_keys, uniform
from recab_helpers.simulation import assign, shares

IDS = {
    "sequential numbers": np.array([f"{i}" for i in range(20_000)]),
    "six digits": np.array([f"{i:06d}" for i in range(20_000)]),
    "uuids": np.array([str(uuid.UUID(int=i * 7919)) for i in range(20_000)]),
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
@pytest.mark.parametrize("planned", [shares(0.5, 2), shares(0.1, 2), shares(0.6, 4)], ids=str)
def test_assignment_follows_the_planned_shares(ids, planned):
    counts = np.bincount(assign(ids, salt="test", planned=planned), minlength=len(planned))
    assert stats.chisquare(counts, planned * len(ids)).pvalue > 1e-4


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
def test_two_salts_assign_independently(ids):
    one, two = (assign(ids, salt=s, planned=shares(0.5, 2)) for s in ("one", "two"))
    assert stats.chi2_contingency(np.histogram2d(one, two, bins=2)[0]).pvalue > 1e-4


def test_assignment_does_not_depend_on_who_else_is_there():
    ids = IDS["uuids"]
    whole = assign(ids, salt="s", planned=shares(0.5, 2))
    assert np.array_equal(assign(ids[5000:6000], salt="s", planned=shares(0.5, 2)), whole[5000:6000])


def test_assignment_does_not_depend_on_the_process():
    """Python's own hash() differs from process to process."""
    code = (
        "from recab_helpers.simulation import assign, shares;"
        "print(assign([str(i) for i in range(60)], salt='s', planned=shares(.5, 2)).tolist())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": s}, capture_output=True, check=True
        )
        for s in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout


def test_draws_are_uniform_and_uncorrelated_between_counters():
    keys = id_keys(IDS["sequential numbers"], "clicks")
    draws = uniform(keys[:, None], 0, np.arange(4))
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-4
    correlations = np.corrcoef(draws.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(len(keys))
    assert draws.min() > 0
    assert draws.max() < 1
