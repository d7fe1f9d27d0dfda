"""How feedback on any scale becomes grades from 1 to 5, and which of it counts as liked.

Models and truths read grades only, so that stars, points, thumbs, play counts and bare events are all one to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from recab_helpers.errors import ParameterError

LOWEST, HIGHEST = 1.0, 5.0
LIKED_FROM = 0.75  # of the way up a scale, as 4 is on 1 to 5
FEW = 0.05  # a smaller share of liked feedback teaches a model little
LONG_TAIL = 4  # whole numbers whose largest is so many times their median are counts
LONGER_TAIL, LARGE = 20, 10  # and so are hours or amounts whose largest is that many times their median, and so large
OFTEN = 0.01  # a code for "not rated" has at least this share of the ratings
TOP = 0.99  # counts above this quantile have the highest grade
Kind = Literal["stars", "points", "counts", "ones"]


@dataclass(frozen=True)
class Scale:
    """What the ratings are, in the units of the data."""

    kind: Kind
    low: float
    high: float
    top: float  # what gets the highest grade: `high`, or the `TOP` quantile of counts
    proposed: float  # the least rating that counts as liked unless the user says otherwise
    reason: str

    @classmethod
    def of(cls, ratings: np.ndarray, *, counted: bool = False) -> Scale:
        """The scale of these ratings, (n,), finite and at least one; `counted` events are counts, however few."""
        low, high = float(ratings.min()), float(ratings.max())
        if low == high:
            return cls("ones", low, high, high, low, "all are equal, so every interaction is a like")
        if low >= 0 and (counted or _look_like_counts(ratings, high)):
            top = float(np.quantile(ratings, TOP))
            half = float(np.quantile(ratings, 0.5, method="lower"))
            reason = "of the counts of events" if counted else "they look like counts"
            reason = f"{reason}: the upper half" if half > low else f"{reason}: all, since most are {low:g}"
            return cls("counts", low, high, top if top > low else high, half, reason)
        kind: Kind = "stars" if low >= 0 and high == HIGHEST else "points"
        bar = LIKED_FROM * HIGHEST + (1 - LIKED_FROM) * LOWEST if kind == "stars" else low + LIKED_FROM * (high - low)
        proposed, reason = float(ratings[ratings >= bar].min()), "three quarters of the way up the scale"
        if np.mean(ratings >= proposed) < FEW:
            proposed, reason = float(np.quantile(ratings, 0.75, method="lower")), "the upper quarter of the ratings"
        return cls(kind, low, high, high, proposed, reason)

    def grades(self, ratings: np.ndarray) -> np.ndarray:
        """Grades from LOWEST to HIGHEST, float64 in the shape of the ratings; stars stay what they are.

        Points are stretched; counts are first squeezed by log(1 + count), so that the second play says more than the
        hundredth.
        """
        if self.kind == "stars":
            return ratings
        if self.kind == "ones":
            return np.full(len(ratings), HIGHEST)
        squeeze = np.log1p if self.kind == "counts" else np.asarray
        low, top = squeeze(self.low), squeeze(self.top)
        return LOWEST + (HIGHEST - LOWEST) * np.clip((squeeze(ratings) - low) / (top - low), 0, 1)

    def liked_from(self, ratings: np.ndarray, wanted: float | None) -> tuple[float, str]:
        """The least rating that counts as liked, the wanted one or the proposal, and a sentence that says so.

        Raises:
            ParameterError: the wanted one tells nothing apart on this scale.
        """
        bar = self.proposed if wanted is None else wanted
        share = float(np.mean(ratings >= bar))
        if share == 0 or bar < self.low or (share > 1 - FEW and bar > self.low):
            raise ParameterError(
                f"relevant_rating is {bar:g}, which {share:.1%} of the ratings reach; they run from {self.low:g} to "
                f"{self.high:g}. Give {self.proposed:g} ({self.reason}), or {self.low:g} to count all as liked."
            )
        why = f"proposed: {self.reason}" if wanted is None else "relevant_rating"
        return bar, f"{bar:g} or more ({why}), {share:.0%} of the interactions"


def code_for_none(ratings: np.ndarray) -> float | None:
    """The value among the ratings, (n,), that is likely no rating but a code for none, if there is one.

    It is the only negative one among three or more others that go further up, such as -1 beside 1 to 10; or nines, such
    as 99 beside -10 to 10, that are often met and far from all others.
    """
    counts = pd.Series(ratings).value_counts().sort_index()
    values = counts.index.to_numpy(dtype=float)
    if len(values) > 3 and values[0] < 0 <= values[1] and -values[0] < values[-1]:
        return float(values[0])
    for end, rest in ((0, values[1:]), (-1, values[:-1])):
        nines = len(rest) > 3 and set(f"{abs(values[end]):g}") == {"9"} and abs(values[end]) > 9
        if nines and np.abs(values[end] - rest).min() > np.ptp(rest) and counts.iloc[end] >= OFTEN * len(ratings):
            return float(values[end])
    return None


def _look_like_counts(ratings: np.ndarray, high: float) -> bool:
    middle = float(np.median(ratings[ratings > 0]))
    if np.all(ratings == np.floor(ratings)):
        return bool(high >= LONG_TAIL * middle)
    return bool(high >= max(LONGER_TAIL * middle, LARGE))
