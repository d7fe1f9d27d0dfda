"""The metrics as data, and the names that the whole analysis shares."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

Role = Literal["goal", "secondary", "guardrail", "sensitivity"]
Kind = Literal["mean", "ratio"]
CONTROL = "control"


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A mean of one column of the users table, or a ratio of two column means.

    `direction` is 1 when more is better and -1 when less is. A guardrail's `margin` is the worst relative change
    that we accept, a fraction. `covariate` names pre-experiment columns for CUPED, of the same kind as the
    metric: one for a mean, numerator and denominator for a ratio; it is used where the table has them.
    """

    name: str
    label: str
    kind: Kind
    numerator: str
    denominator: str = ""
    role: Role = "secondary"
    direction: Literal[1, -1] = 1
    margin: float = 0.0
    covariate: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the users table that the metric reads, without its covariate."""
        return (self.numerator,) if self.kind == "mean" else (self.numerator, self.denominator)


def _ratio(name: str, label: str, numerator: str, denominator: str, **more) -> MetricSpec:
    covariate = (f"pre_{numerator}", f"pre_{denominator}")
    more = {"covariate": covariate, **more}
    return MetricSpec(name=name, label=label, kind="ratio", numerator=numerator, denominator=denominator, **more)


def mean_of(column: str, label: str = "", **more) -> MetricSpec:
    """The mean of any column of the users table."""
    label = label or column.replace("_", " ").capitalize()
    more = {"name": column, "covariate": (f"pre_{column}",), **more}
    return MetricSpec(label=label, kind="mean", numerator=column, **more)


CTR = _ratio("ctr", "CTR", "clicks", "impressions", role="goal")
CLICKS_PER_USER = mean_of("clicks", "Clicks per user", name="clicks_per_user")
METRICS = (
    CTR,
    mean_of("clicked_any", "Users with a click", role="guardrail", margin=0.05, covariate=("pre_clicks",)),
    CLICKS_PER_USER,
    _ratio("clicks_per_session", "Clicks per session", "clicks", "sessions"),
    _ratio("weighted_clicks", "Rank-weighted clicks per session", "weighted_clicks", "sessions", covariate=()),
    _ratio("novelty", "Novelty of what was shown (bits)", "novelty_bits", "impressions", covariate=()),
)


def variants_of(users: pd.DataFrame) -> list[str]:
    """Names of the variants, control first."""
    names = sorted(map(str, users["variant"].unique()))
    return [CONTROL, *(n for n in names if n != CONTROL)]
