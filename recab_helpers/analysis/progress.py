"""How far a test is, and the level at which its look of today may be read.

Who looks every evening has as many chances to be fooled. Before a planned end, and at it, alpha is spent over the looks
(Lan and DeMets 1983); without a planned end any look may be the last, which a confidence sequence pays for
(Waudby-Smith et al. 2024).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from recab_helpers.analysis.sequential import NEGLIGIBLE_ALPHA, Shape, boundaries, confidence_sequence
from recab_helpers.errors import ParameterError
from recab_helpers.impressions.aggregates import Running

TIGHTEST_AT = 14  # days at which the band without a planned end is tightest


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Days so far, and the share of what was planned that was reached at the end of each; 1 is the planned end.

    `reached` is empty where no end was planned. `planned` says the plan in words, such as '14 days'.
    """

    days: int
    reached: tuple[float, ...] = ()
    planned: str = ""
    shape: Shape = field(default="obrien_fleming")

    @property
    def running(self) -> bool:
        """Whether the planned end is still to come, or none was planned."""
        return not self.reached or bool(self.reached[-1] < 1)

    def level(self, alpha: float) -> float:
        """Two-sided level of today's look, so that a test that is read every evening errs as rarely as alpha says."""
        if self.reached:
            shares = np.unique(self.reached)  # a day that adds nothing is no look
            critical = boundaries(shares, alpha=alpha, shape=self.shape)[-1]
        else:
            _, critical = confidence_sequence(np.zeros(1), np.ones(1), alpha=alpha, best_at=TIGHTEST_AT / self.days)
            critical = critical[0]
        return max(float(2 * norm.sf(critical)), NEGLIGIBLE_ALPHA)


def progress_of(
    running: Running | None,
    *,
    planned_days: int | None = None,
    planned_users: int | None = None,
    shape: Shape,
    days: int = 0,
) -> Progress | None:
    """How far a test is that may be read every evening; None where its days are not known.

    Where users are not told by day (`running` is None), `days` may say how many days there are so far.

    Shares of planned days are the calendar's, so that the bounds of a day do not move with what comes after it.

    Raises:
        ParameterError: days and users are both planned, or users where they are not told by day.
    """
    if planned_days is not None and planned_users is not None:
        raise ParameterError(
            f"planned_days is {planned_days} and planned_users is {planned_users}; give the one that ends the test."
        )
    if running is None and planned_users is not None and days:
        raise ParameterError("planned_users needs a test that gives users one variant each; give planned_days.")
    days = days if running is None else len(running)
    if not days:
        return None
    if planned_days is not None:
        reached = np.arange(1, days + 1) / max(planned_days, days)
        return Progress(days=days, reached=tuple(reached.tolist()), planned=f"{planned_days:,} days", shape=shape)
    if planned_users is not None and running is not None:
        seen = np.sum(list(running.n.values()), axis=0)
        reached = seen / max(planned_users, seen[-1])
        return Progress(days=days, reached=tuple(reached.tolist()), planned=f"{planned_users:,} users", shape=shape)
    return Progress(days=days, shape=shape)
