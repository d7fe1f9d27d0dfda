"""The examples in the docstrings are true, and the functions that a user calls have one."""

import doctest
from importlib import import_module
from types import ModuleType

import pytest

from recab_helpers.paths import ROOT

PACKAGE = ROOT / "recab_helpers"
FILES = sorted(f for f in PACKAGE.rglob("*.py") if ">>> " in f.read_text(encoding="utf-8"))
CALLED = {  # by a user, each with an example of two to six lines
    "analysis.checks": "srm_p_value",
    "analysis.effects": "estimate_effects",
    "analysis.estimating": "estimate",
    "analysis.metrics": "mean_of metrics_from quantile_of ratio_of",
    "analysis.planning": "mde_table plan_table power_curve users_per_variant",
    "analysis.power": "mde",
    "analysis.sequential": "boundaries",
    "analysis.slates": "shown_table",
    "analysis.statistics": "benjamini_hochberg holm",
    "analysis.totals": "totals",
    "calibration.grading": "rates",
    "data.split": "split_interactions",
    "formats": "label_of lift lift_interval p_value",
    "impressions.aggregates": "Users.of",
    "impressions.counting": "days_to_return",
    "impressions.histograms": "Histogram.of histograms_before",
    "impressions.statistics": "SufficientStatistics.of name_before",
    "impressions.log": "open_log",
    "recommenders.catalog": "check_names",
    "references": "Comparison ModelAddress.parse in_order",
}


def module_of(file) -> ModuleType:
    return import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_the_examples_are_true(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example may write a file
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    done = doctest.testmod(module_of(file), optionflags=options)
    assert done.attempted
    assert not done.failed


def test_every_function_that_a_user_calls_has_an_example():
    found = {
        test.name.removeprefix("recab_helpers.")
        for file in FILES
        for test in doctest.DocTestFinder(exclude_empty=True).find(module_of(file))
        if test.examples
    }
    called = {f"{module}.{name}" for module, names in CALLED.items() for name in names.split()}
    assert len(called) >= 20
    assert called <= found
