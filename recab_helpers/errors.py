"""What recab says when it refuses: every message names the value, the limit and the way out."""

import difflib
from collections.abc import Iterable


class RecabError(Exception):
    """A refusal for people: one line that says what is wrong and what to do."""


class ParameterError(RecabError, ValueError):
    """A parameter is unknown, of the wrong type or out of range; nothing has started yet."""


class DataError(RecabError, ValueError):
    """A table broke its contract; nothing has been computed or written yet."""


class NoAnswerError(DataError):
    """A served model gave no answer that can be read; `kind` says why in a few words, without the names of users."""

    def __init__(self, said: str, kind: str = "", *, passing: bool = False, slow: bool = False):
        super().__init__(said)
        self.kind, self.passing, self.slow = kind, passing, slow


class StepsAsideError(RecabError):
    """A model cannot be fitted to these data; the others can."""


class TrackingError(RecabError, RuntimeError):
    """MLflow cannot be reached, or does not hold what was asked for."""


class PipelineError(RecabError, RuntimeError):
    """A notebook failed or the machine is not ready."""


class DefectError(PipelineError):
    """What is nobody's mistake but recab's: the line says so, where the full log is, and how to report it."""


class Stopped(KeyboardInterrupt):
    """A signal ended the run; the argument is its number."""


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error message: the nearest right name, or all of them."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"Did you mean {close[0]}?" if close else f"Choose from {', '.join(sorted(names))}."


def closest(name: str, names: Iterable[str]) -> str:
    """The end of an error message where there may be no right name: a blank and the nearest one, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean {close[0]}?" if close else ""
