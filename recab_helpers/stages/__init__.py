"""Where both wings meet: a room per notebook, with what its stage reads and what it leaves in MLflow."""

from recab_helpers.stages.analyze import grade_own, measured, prior_of, progress_of, reduce, user_rows
from recab_helpers.stages.background import background
from recab_helpers.stages.calibrate import (
    chances_of,
    grade_populations,
    log_grading,
    planned_power,
    rates_of,
    traffic_table,
)
from recab_helpers.stages.lab_book import log_analysis, promote
from recab_helpers.stages.log import Log, find_log, inputs_of
from recab_helpers.stages.plan import answer, design_of, facts, grounds_of, power_title
from recab_helpers.stages.simulate import load_variants, log_test, offline_of
from recab_helpers.stages.train import check_model, load_trained, load_training, log_data, log_models

__all__ = [
    "Log",
    "answer",
    "background",
    "chances_of",
    "check_model",
    "design_of",
    "facts",
    "find_log",
    "grade_own",
    "grade_populations",
    "grounds_of",
    "inputs_of",
    "load_trained",
    "load_training",
    "load_variants",
    "log_analysis",
    "log_data",
    "log_grading",
    "log_models",
    "log_test",
    "measured",
    "offline_of",
    "planned_power",
    "power_title",
    "prior_of",
    "progress_of",
    "promote",
    "rates_of",
    "reduce",
    "traffic_table",
    "user_rows",
]
