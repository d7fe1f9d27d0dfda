"""How numbers look in sentences and tables: one place, true minus signs, never a bare nan."""

import math
import re
from collections.abc import Callable
from typing import Any

MINUS = "\N{MINUS SIGN}"
NOT_DEFINED = "not defined"


def percent(value: float, digits: int = 2) -> str:
    """0.0363 -> '3.63%'."""
    return _finite(value, f"{value:.{digits}%}")


def points(value: float, digits: int = 2) -> str:
    """A difference of two shares, 0.0127 -> '+1.27 pp' (percentage points)."""
    return _finite(value, f"{100 * value:+.{digits}f} pp")


def lift(value: float, digits: int = 1) -> str:
    """A fraction in percent, with its sign unless it rounds to zero.

    >>> lift(0.042)
    '+4.2%'
    >>> lift(-0.0001)
    '0.0%'
    """
    return _finite(value, f"{value:+.{digits}%}")


def lift_interval(ci: tuple[float, float], digits: int = 1) -> str:
    """Both ends of an interval of a lift.

    >>> lift_interval((0.021, 0.063))
    '+2.1% to +6.3%'
    """
    return _finite(ci[0], f"{lift(ci[0], digits)} to {lift(ci[1], digits)}")


def confidence(alpha: float) -> str:
    """0.05 -> '95%', 0.025 -> '97.5%', 1e-8 -> 'over 99.99%'."""
    return f"{100 * (1 - alpha):.4g}%" if alpha >= 1e-4 else "over 99.99%"


def count(value: float) -> str:
    """20000 -> '20,000'."""
    return _finite(value, f"{value:,.0f}")


def number(value: float, digits: int = 3) -> str:
    """0.12345 -> '0.123'; large numbers keep their thousands separators."""
    return _finite(value, f"{value:,.{digits}f}")


def duration(seconds: float) -> str:
    """45 -> '45 s'; 135 -> '2 min 15 s'."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest} s" if minutes else f"{rest} s"


def p_value(value: float) -> str:
    """Three digits, and never zero.

    >>> p_value(0.0004), p_value(float("nan"))
    ('< 0.001', 'not defined')
    """
    return _finite(value, "< 0.001" if value < 0.001 else f"{value:.3f}")


def number_or_count(value: float) -> str:
    """1234.0 -> '1,234', 0.5 -> '0.500': for a column whose format is not known."""
    return count(value) if float(value).is_integer() and abs(value) >= 1 else number(value)


def label_of(name: str) -> str:
    """A column's name in words.

    >>> label_of("ndcg_at_10"), label_of("held_out")
    ('NDCG@10', 'held out')
    """
    if name in LABELS:
        return LABELS[name]
    words = re.sub("_bits$", " (bits)", name).replace("_at_", "@").replace("_", " ")
    return re.sub(r"\b(ctr|cuped|mde|ndcg|rmse)\b", lambda found: found[0].upper(), words)


def _finite(value: float, text: str) -> str:
    if not math.isfinite(value):
        return NOT_DEFINED
    return text.replace("-", MINUS) if re.search("[1-9]", text) else text.lstrip("+-")


def _percent(digits: int) -> Callable[[float], str]:
    return lambda value: percent(value, digits)


LABELS = {  # of columns whose name alone is too short for a reader
    "adjusted_p_value": "p, adjusted",
    "margin_p_value": "p of the margin",
    "p_value": "p",
    "chance_to_be_best": "chance to be the best",
    "error": "Monte Carlo error (2 SE)",
    "q": "Cochran's Q",
    "exposure": "first seen",
    "mde": "smallest lift found (MDE)",
    "mde_with_cuped": "smallest lift found, with CUPED",
    "variance_reduction": "variance that CUPED removes",
    "users_for_estimate": "users for the estimate",
    "in_common": "items in common, mean",
    "none_in_common": "users with none in common",
    "all_in_common": "users with all in common",
    "most_shown": "impressions on the ten most shown",
    "head": "impressions on the popular fifth",
    "mean_popularity": "mean popularity of an item shown",
    "false_positive_risk": "false positive risk, at least",
    "loss_if_shipped": "expected loss if shipped",
    "loss_if_kept": "expected loss if kept",
    "fit_s": "fit (s)",
    "recommend_s": "recommend (s)",
}
BY_COLUMN: dict[str, Callable[[Any], str]] = {  # how the numbers of a table's column look, by its name
    "ctr": percent,
    "true_ctr": percent,
    "lift": lift,
    "true_lift": lift,
    "estimate": lift,
    "p_value": lambda v: p_value(v) if math.isfinite(v) else "none",
    "adjusted_p_value": lambda v: p_value(v) if math.isfinite(v) else "none",
    "margin_p_value": lambda v: p_value(v) if math.isfinite(v) else "none",
    "chance_to_be_best": _percent(1),
    "variance_reduction": lambda v: percent(v, 1) if math.isfinite(v) else "no CUPED",
    "rate": _percent(1),
    "error": lambda v: f"\N{PLUS-MINUS SIGN}{percent(v, 1)}",
    "mde": _percent(1),
    "mde_with_cuped": _percent(1),
    "coverage": _percent(1),
    "most_shown": _percent(1),
    "head": _percent(1),
    "none_in_common": _percent(1),
    "all_in_common": _percent(1),
    "in_common": lambda v: number(v, 1),
    "mean_popularity": lambda v: number(v, 1),
    "chance_to_be_better": _percent(1),
    "false_positive_risk": _percent(1),
    "shrunken_lift": lift,
    "loss_if_shipped": percent,
    "loss_if_kept": percent,
    "stated": _percent(0),
    "true": _percent(0),
    "days": count,
    "users_for_estimate": count,
}
