"""Users are assigned by a hash of their id: in the planned shares, independently of anything else."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from recab_helpers.simulation import assign, shares, variant_names
from tests.test_randomness import IDS


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


def test_the_first_variant_is_control_and_treatments_share_the_allocation():
    assert variant_names(2) == ["control", "treatment"]
    assert variant_names(3) == ["control", "treatment_1", "treatment_2"]
    assert shares(0.6, 3) == pytest.approx([0.4, 0.3, 0.3])
