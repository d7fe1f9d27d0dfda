"""What is known of a test beside its log; every section of the page takes an analysis and this."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from recab_helpers.analysis.slates import Slates
from recab_helpers.references import ModelAddress


@dataclass(frozen=True, kw_only=True)
class Background:
    """Models, truth, offline quality and lineage of a test; nothing of it changes a number of the analysis.

    A real log knows no models, no truth and no offline quality: what is not known is empty or None.
    """

    models: dict[str, ModelAddress] = field(default_factory=dict)  # by variant
    offline: dict[str, str] = field(default_factory=dict)  # row of `quality` by variant
    quality: pd.DataFrame | None = None  # offline metrics by model
    truth: pd.DataFrame | None = None  # truth, variant, model, true_ctr, true_lift, drawn
    yardsticks: dict[str, float] = field(default_factory=dict)  # true CTR of policies that need no model
    slates: Slates = field(default_factory=Slates)
    grading: pd.DataFrame | None = None  # calibration.rates of tests like this one: kind, method, rate, error, tests
    data: dict[str, str] = field(default_factory=dict)  # the size of the data, in words
    lineage: dict[str, Any] = field(default_factory=dict)  # document.lineage

    def true_lifts(self) -> dict[str, float]:
        """True lift of clicks by treatment, of the truth that they were drawn from.

        Traffic is the same in every variant, so that it is the lift per impression, per session and per user alike.
        """
        if self.truth is None:
            return {}
        drawn = self.truth[self.truth["drawn"]]
        return dict(zip(drawn["variant"], drawn["true_lift"], strict=True))
