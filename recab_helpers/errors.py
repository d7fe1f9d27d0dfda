"""What recab says when it refuses: every message names the value, the limit and the way out."""


class RecabError(Exception):
    """A refusal for people: one line that says what is wrong and what to do."""


class ParameterError(RecabError, ValueError):
    """A parameter is unknown, of the wrong type or out of range; nothing has started yet."""


class DataError(RecabError, ValueError):
    """A table broke its contract; nothing has been computed or written yet."""


class TrackingError(RecabError, RuntimeError):
    """MLflow cannot be reached, or does not hold what was asked for."""


class PipelineError(RecabError, RuntimeError):
    """A notebook failed or the machine is not ready."""


class DefectError(PipelineError):
    """What is nobody's mistake but recab's: the line says so, where the full log is, and how to report it."""


class Stopped(KeyboardInterrupt):
    """A signal ended the run; the argument is its number."""
