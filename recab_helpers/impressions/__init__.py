"""From a log of any size to the aggregates that an analysis needs."""

from recab_helpers.impressions.aggregates import Aggregates, Running, Sample, Users
from recab_helpers.impressions.counting import COUNTS, summed_of
from recab_helpers.impressions.histograms import Histogram
from recab_helpers.impressions.known import as_before, refuse_lacking
from recab_helpers.impressions.log import open_log, read_log
from recab_helpers.impressions.off_policy import off_policy
from recab_helpers.impressions.reading import Read, Reading
from recab_helpers.impressions.reduce import reduce
from recab_helpers.impressions.sampling import sample
from recab_helpers.impressions.slates import Example, examples, overlap
from recab_helpers.impressions.sources import column_names, open_table
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.impressions.sums import Sums, holds_sums, read_sums
from recab_helpers.impressions.user_rows import UserRows, user_rows, users_alone
from recab_helpers.impressions.users import open_users, read_users
from recab_helpers.impressions.variants import refuse_unplanned

__all__ = [
    "COUNTS",
    "Aggregates",
    "Example",
    "Histogram",
    "Read",
    "Reading",
    "Running",
    "Sample",
    "SufficientStatistics",
    "Sums",
    "UserRows",
    "Users",
    "as_before",
    "column_names",
    "examples",
    "holds_sums",
    "off_policy",
    "open_log",
    "open_table",
    "open_users",
    "overlap",
    "read_log",
    "read_sums",
    "read_users",
    "reduce",
    "refuse_lacking",
    "refuse_unplanned",
    "sample",
    "summed_of",
    "user_rows",
    "users_alone",
]
