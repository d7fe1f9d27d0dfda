"""From a log of any size to the aggregates that an analysis needs."""
