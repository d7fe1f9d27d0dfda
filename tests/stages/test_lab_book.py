"""What an analysis leaves in MLflow is what was asked for."""

from recab_helpers import analysis, stages
from tests.stages.made import TABLE, log_of


def test_nobody_is_promoted_unless_it_is_wanted(tmp_path):
    log = log_of(TABLE, tmp_path)
    verdict = analysis.Verdict(call="ship", winner="treatment")
    assert "promote is off" in stages.promote(log, verdict, wanted=False)
    assert "the log names no model" in stages.promote(log, verdict, wanted=True)
