"""Results show themselves in a few lines in a notebook, and whole where they are asked for whole."""

from IPython.lib.pretty import pretty

from recab_helpers.formats import lift, lift_interval
from tests.report.drawn import an_analysis


def test_an_analysis_and_its_parts_show_themselves_in_a_line_each():
    found = an_analysis()
    lines = pretty(found).splitlines()
    assert len(lines) == 1 + len(vars(found))
    assert max(map(len, lines)) < 250
    effect = found.goal_effects[0]
    said = pretty(effect)
    assert f"{effect.metric.label}, treatment against control: {lift(effect.lift)}" in said
    assert lift_interval(effect.lift_ci) in said
    assert pretty(found.verdict).startswith(found.verdict.call)
    assert pretty(found.checks[0]) == f"{found.checks[0].name}: {found.checks[0].state}. {found.checks[0].detail}"
    assert repr(effect).startswith("Effect(metric=")  # what is asked for whole is whole
