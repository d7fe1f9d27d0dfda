"""Recommenders: fit on interactions and catalog, then recommend top-k items to many users at once."""

from recab_helpers.lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "catalog": "MODELS check_names fit fit_all parameters_of what_is",
        "checked": "checked_slates",
        "fitted": "Factors FittedRecommender Scorer top_k",
        "protocol": "Recommender Served",
        "quality": "offline_quality quality_of",
        "remote": "RemoteModel",
    },
)
