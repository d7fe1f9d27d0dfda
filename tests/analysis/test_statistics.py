"""Corrections for many and small-sample tails against published examples and other libraries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from recab_helpers.analysis.statistics import (
    benjamini_hochberg,
    bonferroni,
    holm,
    t_critical,
    t_tail,
    variance_of,
    welch_freedom,
)
from recab_helpers.impressions.statistics import SufficientStatistics
from tests import published

many = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


def test_published_example_of_multiple_comparisons():
    """Benjamini and Hochberg (1995): 4 rejections; Holm rejects the same 3 as Bonferroni there."""
    case = published.BENJAMINI_HOCHBERG_1995
    p = np.array(case.p_values)
    assert (benjamini_hochberg(p) < 0.05).sum() == case.rejected_by["Benjamini-Hochberg"]
    assert (holm(p) < 0.05).sum() == case.rejected_by["Bonferroni"]


def test_published_adjusted_p_values():
    p = np.array(published.ADJUSTED.p_values)
    assert list(holm(p)) == published.ADJUSTED.holm
    assert list(benjamini_hochberg(p)) == published.ADJUSTED.benjamini_hochberg


@settings(max_examples=20, deadline=None)
@given(many)
def test_corrections_are_those_of_statsmodels_in_any_order(p):
    for ours, theirs in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        assert ours(p) == pytest.approx(multipletests(p, method=theirs)[1])
        assert ours(p[::-1])[::-1] == pytest.approx(ours(p))


def test_no_p_value_needs_no_correction():
    assert len(holm(np.array([]))) == len(benjamini_hochberg(np.array([]))) == 0


def test_bonferroni_counts_what_is_defined_and_is_undefined_where_nothing_is():
    assert bonferroni([0.01, 0.2]) == pytest.approx(0.02)
    assert bonferroni([0.01, math.nan, 0.2]) == pytest.approx(0.02)
    assert bonferroni(iter([0.9, 0.8])) == 1
    assert math.isnan(bonferroni([math.nan, math.nan]))
    assert math.isnan(bonferroni([]))


@pytest.mark.parametrize("freedom", [1.5, 10.0, 1e6])
def test_tails_of_student_are_those_of_scipy(freedom):
    for t in (-1.0, 0.0, 2.0, 40.0):
        assert t_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-9)
    for tail in (0.4, 0.025, 1e-6):
        assert t_critical(tail, freedom) == pytest.approx(stats.t.isf(tail, freedom), rel=1e-9)


def test_degrees_of_freedom_are_welchs():
    a, b = np.array([1.0, 2, 4, 8]), np.array([3.0, 5, 6])
    found = welch_freedom(a.var(ddof=1) / 4, 4, b.var(ddof=1) / 3, 3)
    assert found == pytest.approx(stats.ttest_ind(a, b, equal_var=False).df)


def test_the_variance_of_a_value_is_that_of_its_linear_form(rng):
    values = rng.normal(size=(50, 2))
    s, gradient = SufficientStatistics.of(values, ("a", "b")), np.array([2.0, -1.0])
    assert variance_of(s, gradient) == pytest.approx((values @ gradient).var(ddof=1) / 50)
    assert math.isnan(variance_of(SufficientStatistics.of(np.empty((0, 2)), ("a", "b")), gradient))
