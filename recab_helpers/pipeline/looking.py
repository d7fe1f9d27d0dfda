"""What recab understands of a file, said at once and without a kernel."""

from recab_helpers.impressions.look import look
from recab_helpers.parameters import ReadParams
from recab_helpers.pipeline.stopping import Stop


def say(params: ReadParams, _: Stop) -> None:
    """Print what is understood of the log, or of the table of users, that the parameters name."""
    print(look(params))
