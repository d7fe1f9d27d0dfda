"""Names that travel as things, not as text: variants, and which of them is held against which."""

from collections.abc import Iterable
from dataclasses import dataclass

CONTROL = "control"


@dataclass(frozen=True, order=True)
class Comparison:
    """One variant held against another."""

    variant: str
    against: str = CONTROL

    def __str__(self) -> str:
        return f"{self.variant} vs {self.against}"


def in_order(variants: Iterable[object]) -> tuple[str, ...]:
    """Names of the variants, each once, control first and the others by name."""
    names = sorted(set(map(str, variants)))
    return tuple([n for n in names if n == CONTROL] + [n for n in names if n != CONTROL])
