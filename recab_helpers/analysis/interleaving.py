"""Interleaved slates: which of two rankings is preferred, by whose items are clicked (Chapelle and others 2012).

A preference says which ranking is better and how surely, with far fewer users than a test of two groups. Its size is of
its own kind: clicks lost in one ranking are gained by the other in the same slate, so that it is no lift.
"""

import math
from dataclasses import dataclass

from scipy import stats

from recab_helpers.analysis.statistics import t_critical, t_tail, variance_of
from recab_helpers.brief import Brief
from recab_helpers.formats import percent
from recab_helpers.impressions.aggregates import Within
from recab_helpers.impressions.within import PREFERS, TIED, WON, at
from recab_helpers.references import CONTROL, Comparison


@dataclass(frozen=True, kw_only=True)
class Preference(Brief):
    """What users click where both variants share every slate.

    `share` is that of the treatment in clicks on items that either picked, one half where neither is preferred, with
    users as clusters. `for_treatment` and `for_control` count users who clicked more items of the one, and `sign_p` is
    of the hypothesis that both are as many (sign test). Slates count likewise, `slates_tied` those with as many clicks
    of both.
    """

    comparison: Comparison
    alpha: float
    n_users: int
    n_clicks: int
    share: float
    ci: tuple[float, float]
    p_value: float
    se: float
    for_treatment: int
    for_control: int
    sign_p: float
    slates_won: int
    slates_lost: int
    slates_tied: int
    reason: str = ""  # why there is no share

    @property
    def preferred(self) -> str:
        """The variant whose items are clicked more, where the interval leaves out one half; else empty."""
        low, high = self.ci
        return self.comparison.variant if low > 0.5 else self.comparison.against if high < 0.5 else ""

    def users_for(self, *, power: float = 0.8) -> float:
        """Users that would find a preference as strong as this one with the given power."""
        if not (self.se > 0 and self.share != 0.5):
            return math.nan
        z = stats.norm.isf(self.alpha / 2) + stats.norm.isf(1 - power)
        return float(self.n_users * (z * self.se / (self.share - 0.5)) ** 2)

    def in_words(self) -> str:
        """The share with its interval, and the sign test."""
        interval = f"{percent(self.ci[0], 1)} to {percent(self.ci[1], 1)}"
        return f"{percent(self.share, 1)} of clicks on {self.comparison.variant}'s items ({interval})"


def read_preference(of: Within, variants: tuple[str, ...], *, alpha: float = 0.05) -> Preference:
    """The preference between control and the one treatment of interleaved slates."""
    s = of.statistics
    comparison = Comparison(next(v for v in variants if v != CONTROL))
    pair = comparison.variant, comparison.against
    clicks = [s.sum(at("clicks", v)) for v in pair]
    won, prefers = ([round(s.sum(at(c, v))) for v in pair] for c in (WON, PREFERS))
    share, se, ci, p = math.nan, math.nan, (math.nan, math.nan), math.nan
    reason = "" if sum(clicks) > 0 and s.n > 1 else "nobody clicked"
    if not reason:
        share = clicks[0] / sum(clicks)
        gradient = s.gradient((at("clicks", pair[0]),))[1] * (1 - share)
        gradient -= s.gradient((at("clicks", pair[1]),))[1] * share
        se = math.sqrt(max(variance_of(s, gradient * s.n / sum(clicks)), 0.0))
        half = t_critical(alpha / 2, s.n - 1) * se
        ci = max(share - half, 0.0), min(share + half, 1.0)
        p = 2 * t_tail(abs(share - 0.5) / se, s.n - 1) if se > 0 else math.nan
        reason = "" if se > 0 else "too few users clicked"
    return Preference(
        comparison=comparison,
        alpha=alpha,
        n_users=s.n,
        n_clicks=round(sum(clicks)),
        share=share,
        ci=ci if se > 0 else (math.nan, math.nan),
        p_value=p,
        se=se,
        for_treatment=prefers[0],
        for_control=prefers[1],
        sign_p=float(stats.binomtest(prefers[0], sum(prefers)).pvalue) if sum(prefers) else math.nan,
        slates_won=won[0],
        slates_lost=won[1],
        slates_tied=round(s.sum(TIED)),
        reason=reason,
    )
