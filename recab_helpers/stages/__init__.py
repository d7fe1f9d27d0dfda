"""Where both wings meet: a room per notebook, with what its stage reads and what it leaves in MLflow."""

from recab_helpers.stages.analyze import (
    Log,
    background,
    find_log,
    grade_like,
    inputs_of,
    log_analysis,
    promote,
    reduce,
    user_rows,
)
from recab_helpers.stages.calibrate import chances_of, grade_populations, log_grading, planned_power, rates_of
from recab_helpers.stages.plan import answer, design_of, facts, grounds_of, power_title
