"""Before a test: the chance that its verdict is to ship, guardrails and all.

A guardrail must be shown to be inside its margin, so that a test ships less often than it finds its goal's lift.
"""

from dataclasses import dataclass, replace

import numpy as np

from recab_helpers.analysis.decision import decide
from recab_helpers.analysis.effects import estimate_effects
from recab_helpers.analysis.metrics import CTR, METRICS, MetricSpec
from recab_helpers.analysis.planning import Design
from recab_helpers.errors import DataError
from recab_helpers.impressions.aggregates import Users
from recab_helpers.impressions.statistics import PRE, SufficientStatistics
from recab_helpers.references import CONTROL

DRAWS = 300  # tests, so that a chance is known to 6 points
CLICKED_ANY = "clicked_any"
SCALED = ("clicks", "weighted_clicks")  # what grows as CTR does


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """Users as one group, and the share of them who clicked once: as many more click at all as CTR grows by, times it.

    Of m impressions clicked with chance p each, a user clicks at all with chance 1 - (1 - p)^m, whose derivative by
    log p is m p (1 - p)^(m - 1), the chance of one click.
    """

    statistics: SufficientStatistics
    clicked_once: float

    @classmethod
    def of(cls, users: Users, *, reduction: float = 0.0) -> "Pilot":
        """From a reduced pilot; `reduction` is what CUPED would remove where it knows nothing from before.

        Raises:
            DataError: it does not count clicks and impressions.
        """
        histogram, whole = users.histograms.get(CTR.columns), users.whole
        if histogram is None or not set(CTR.columns) <= set(whole.columns):
            raise DataError("The pilot does not count clicks and impressions of its users; give a log of both.")
        all_users = np.sum(list(histogram.counts.values()), axis=0)
        once = float(all_users[histogram.values[:, 0] == 1].sum() / all_users.sum())
        known = set(CTR.covariate) <= set(whole.columns)
        return cls(statistics=whole if known else with_period_before(whole, reduction), clicked_once=once)


def with_period_before(now: SufficientStatistics, reduction: float) -> SufficientStatistics:
    """The statistics with clicks and impressions before, which explain this share of the variance of CTR.

    They are r times those of the test and, for the rest, an independent copy, r^2 being the share.
    """
    r = reduction**0.5
    at = [now.columns.index(c) for c in CTR.columns]
    across = r * now.cov[:, at]
    cov = np.block([[now.cov, across], [across.T, now.cov[np.ix_(at, at)]]])
    columns = (*now.columns, *(f"{PRE}{c}" for c in CTR.columns))
    return SufficientStatistics(n=now.n, columns=columns, mean=np.concatenate([now.mean, now.mean[at]]), cov=cov)


def chance_to_ship(
    pilot: Pilot,
    lift: float,
    design: Design,
    *,
    users: float,
    metrics: tuple[MetricSpec, ...] = METRICS,
    draws: int = DRAWS,
    seed: int = 29,
) -> float:
    """How often a test of so many users (all variants) ships, if the first treatment has this lift of CTR, others none.

    Means of users are drawn as of many (central limit theorem) about those of the pilot and judged by `decide` itself,
    every check passed. More clicks come with a lift, and sessions and impressions stay.
    """
    rng, s = np.random.default_rng(seed), pilot.statistics
    grow = np.array([1 + lift if c in SCALED else 1.0 for c in s.columns])
    shift = np.array([lift * pilot.clicked_once if c == CLICKED_ANY else 0.0 for c in s.columns])
    better = replace(s, mean=s.mean * grow + shift, cov=s.cov * np.outer(grow, grow))
    names = (CONTROL, *(f"treatment_{i + 1}" for i in range(design.n_treatments)))
    control = design.in_control(users)
    variants = {v: replace(s, n=max(round(control * design.ratio), 2)) for v in names}
    variants |= {CONTROL: replace(s, n=max(round(control), 2)), names[1]: replace(better, n=variants[names[1]].n)}
    there = tuple(m for m in metrics if set(m.columns) <= set(s.columns))
    means = {v: _means(of, draws, rng) for v, of in variants.items()}
    shipped = 0
    for i in range(draws):
        drawn = Users(statistics={v: replace(of, mean=means[v][i]) for v, of in variants.items()})
        verdict = decide(estimate_effects(drawn, there, alpha=design.alpha), [], power=design.power)
        shipped += verdict.call == "ship" and verdict.winner == names[1]
    return shipped / draws


def _means(of: SufficientStatistics, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means of `of.n` users, shape (draws, n_columns); columns may depend on each other."""
    values, vectors = np.linalg.eigh(of.cov)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return of.mean + rng.standard_normal((draws, len(of.mean))) @ root.T / np.sqrt(of.n)
