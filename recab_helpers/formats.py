"""How numbers look in sentences and tables: one place, true minus signs, never a bare nan."""

import math

MINUS = "\N{MINUS SIGN}"
NOT_DEFINED = "not defined"


def percent(value: float, digits: int = 2) -> str:
    """0.0363 -> '3.63%'."""
    return _finite(value, f"{value:.{digits}%}")


def lift(value: float, digits: int = 1) -> str:
    """0.042 -> '+4.2%'."""
    return _finite(value, f"{value:+.{digits}%}")


def lift_interval(ci: tuple[float, float], digits: int = 1) -> str:
    """(0.021, 0.063) -> '+2.1% to +6.3%'."""
    return _finite(ci[0], f"{lift(ci[0], digits)} to {lift(ci[1], digits)}")


def count(value: float) -> str:
    """20000 -> '20,000'."""
    return _finite(value, f"{value:,.0f}")


def number(value: float, digits: int = 3) -> str:
    """0.12345 -> '0.123'; large numbers keep their thousands separators."""
    return _finite(value, f"{value:,.{digits}f}")


def p_value(value: float) -> str:
    """0.0004 -> '< 0.001'."""
    return _finite(value, "< 0.001" if value < 0.001 else f"{value:.3f}")


def _finite(value: float, text: str) -> str:
    return text.replace("-", MINUS) if math.isfinite(value) else NOT_DEFINED
