"""What each stage leaves in MLflow and what the next one reads back: a room per notebook."""

from recab_helpers.stages.simulate import log_test
from recab_helpers.stages.train import load_trained, log_data, log_models

__all__ = ["load_trained", "log_data", "log_models", "log_test"]
