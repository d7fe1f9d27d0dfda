"""The ways that people usually take, graded beside ours: what they do with two totals, with impressions, with days."""

import numpy as np
from scipy import special

from recab_helpers.impressions.aggregates import Users


def total_clicks_p(users: Users) -> float:
    """Total clicks as if each were a coin between two variants; nan without clicks."""
    clicks = np.array([s.sum("clicks") for s in users.statistics.values()])
    if not clicks.sum():
        return np.nan
    return float(special.chdtrc(len(clicks) - 1, np.sum((clicks - clicks.mean()) ** 2) / clicks.mean()))


def impressions_p(users: Users) -> float:
    """Two-proportion z on impressions, as if impressions of a user were strangers; nan where all rates are equal."""
    x, n = (np.array([s.sum(c) for s in users.statistics.values()]) for c in ("clicks", "impressions"))
    pooled = x.sum() / n.sum()
    se = np.sqrt(pooled * (1 - pooled) * (1 / n).sum())
    return float(2 * special.ndtr(-abs(x[1] / n[1] - x[0] / n[0]) / se)) if se > 0 else np.nan
