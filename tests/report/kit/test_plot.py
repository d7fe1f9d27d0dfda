"""The look of figures stays theirs, and names do not touch."""

from itertools import pairwise

import matplotlib as mpl
from matplotlib.figure import Figure

from recab_helpers.report.kit.plot import LABEL_GAP, label_ends, report_style


def test_names_at_the_ends_of_lines_do_not_touch():
    with report_style():
        ax = Figure(figsize=(5, 2.8)).subplots()
        label_ends(ax, [(0.5, "a", "k"), (0.501, "b", "k"), (0.99, "c", "k"), (1.0, "d", "k")])
    at = sorted(text.xy[1] for text in ax.texts)
    assert min(b - a for a, b in pairwise(at)) >= LABEL_GAP - 1e-9
    assert at[-1] <= 1


def test_the_style_ends_with_its_block():
    before = dict(mpl.rcParams)
    with report_style():
        assert dict(mpl.rcParams) != before
    assert dict(mpl.rcParams) == before
