"""The spread of clicks over users, from a histogram alone."""

import re
from dataclasses import replace

import numpy as np
import pytest

from recab_helpers.impressions import Users
from recab_helpers.report import Background
from recab_helpers.report.sections.clicks import clicks


@pytest.mark.parametrize("seed", range(5))
def test_the_tail_and_the_quantiles_are_those_of_the_users_themselves(found, rng, seed):
    counts = np.random.default_rng(seed).negative_binomial(0.4, 0.05, 997)
    names = np.array(["control", "treatment"])[np.arange(997) % 2]
    of = Users.of(names, {"clicks": counts, "impressions": counts + 1}, histograms=[("clicks", "impressions")])
    alt = re.search('alt="([^"]*)"', clicks(replace(found, test=replace(found.test, users=of)), Background()).data)[1]
    share = np.sort(counts)[::-1][:100].sum() / counts.sum()
    assert alt.startswith(f"A tenth of the users made {share:.0%} of the clicks.")
    for name in ("control", "treatment"):
        low, high, most = np.quantile(counts[names == name], [0.5, 0.9, 1])
        assert f"{name}: median {low:.0f}, nine in ten at most {high:.0f}, most {most:.0f}" in alt


def test_users_who_never_clicked_are_said_to_be_so(found):
    none = Users.of(["control", "treatment"] * 5, {"clicks": np.zeros(10)}, histograms=[("clicks",)])
    assert "No user clicked" in clicks(replace(found, test=replace(found.test, users=none)), Background()).data
