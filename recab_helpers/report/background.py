"""What is known of a test beside its log; every section of the page takes an analysis and this."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from recab_helpers import formats
from recab_helpers.analysis.slates import Slates
from recab_helpers.brief import Brief
from recab_helpers.references import CONTROL, ModelAddress
from recab_helpers.report.kit.words import model_name


@dataclass(frozen=True, kw_only=True)
class Served:
    """How a model behind HTTP answered: for whom popular items took the place of its lists, and how fast it was.

    Latency is that of requests of one user each, tried once; nan where none was answered.
    """

    users: int  # who were asked for
    popular_instead: dict[str, int]  # of them, by cause
    timed_requests: int
    median_ms: float
    p95_ms: float

    def without(self) -> str:
        """For how many users popular items took the place of its lists, and why, in words; empty where for none."""
        causes = ", ".join(f"{cause}: {formats.count(n)}" for cause, n in self.popular_instead.items())
        n = sum(self.popular_instead.values())
        of = f"all {formats.count(n)}" if n == self.users else f"{formats.count(n)} of {formats.count(self.users)}"
        return f"{of} users ({causes})" if n else ""


@dataclass(frozen=True, kw_only=True)
class Background(Brief):
    """Models, truth, offline quality and lineage of a test; nothing of it changes a number of the analysis.

    A real log knows no models, no truth and no offline quality: what is not known is empty or None.
    """

    models: dict[str, ModelAddress] = field(default_factory=dict)  # by variant
    offline: dict[str, str] = field(default_factory=dict)  # row of `quality` by variant
    quality: pd.DataFrame | None = None  # offline metrics by model
    served: dict[str, Served] = field(default_factory=dict)  # by variant, in tests with a model behind HTTP
    truth: pd.DataFrame | None = None  # truth, variant, model, true_ctr, true_lift, drawn
    yardsticks: dict[str, float] = field(default_factory=dict)  # true CTR of policies that need no model
    slates: Slates = field(default_factory=Slates)
    grading: pd.DataFrame | None = (
        None  # calibration.rates of its users assigned anew: kind, method, rate, error, tests
    )
    data: dict[str, str] = field(default_factory=dict)  # the size of the data, in words
    dataset: str = ""  # what the models learned from, or the name of the log
    days: tuple[str, ...] = ()  # first and last day of the log
    hypothesis: str = ""  # what was expected of the test, in the words of its owner
    dial: float = 1.0  # chance that a session of a treatment was served its own model; below 1 the test is diluted
    lineage: dict[str, Any] = field(default_factory=dict)  # document.lineage

    def true_lifts(self) -> dict[str, float]:
        """True lift of clicks by treatment, of the truth that they were drawn from.

        Traffic is the same in every variant, so that it is the lift per impression, per session and per user alike.
        """
        if self.truth is None:
            return {}
        drawn = self.truth[self.truth["drawn"].astype(bool)]
        return dict(zip(drawn["variant"], drawn["true_lift"], strict=True))

    @property
    def simulated(self) -> bool:
        """Whether clicks were drawn from a known world, so that no real user saw a slate."""
        return self.truth is not None

    @property
    def diluted(self) -> bool:
        """Whether some sessions of the treatments were served control's slate on purpose."""
        return 0 < self.dial < 1

    @property
    def same_in_all(self) -> bool:
        """Whether every variant was served the same model (A/A): any difference is chance."""
        return len(self.models) > 1 and (len(set(self.models.values())) == 1 or self.dial == 0)

    def called(self, variant: str) -> str:
        """A variant as people call it: the model behind it where that tells variants apart, and how diluted it is."""
        names = {v: self.offline.get(v) or model_name(address) for v, address in self.models.items()}
        name = names.get(variant, variant)
        if list(names.values()).count(name) > 1:
            name = f"{name} ({variant})"
        return f"{name} (diluted to {formats.percent(self.dial, 0)})" if self.diluted and variant != CONTROL else name

    def other_truths(self, variant: str) -> dict[str, float]:
        """True lift of the variant by each definition of truth that clicks were not drawn from."""
        if self.truth is None:
            return {}
        of = self.truth[~self.truth["drawn"].astype(bool) & (self.truth["variant"] == variant)]
        return dict(zip(of["truth"], of["true_lift"], strict=True))

    def hangs_on_truth(self, variant: str) -> bool:
        """Whether another definition of truth has the variant on the other side of zero: the call depends on it."""
        drawn = self.true_lifts().get(variant, 0.0)
        return any(drawn * other < 0 for other in self.other_truths(variant).values())
