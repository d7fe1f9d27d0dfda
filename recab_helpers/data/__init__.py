"""Data sets and their contracts: synthetic, MovieLens or own files, and the split for training."""

from recab_helpers.lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "contract": "CATALOG INTERACTIONS",
        "dataset": "DataError Dataset Interactions describe digest_of encode has_words ids_of make_dataset",
        "files": "read_table",
        "movielens": "movielens_dataset",
        "scale": "Scale",
        "sources": "SOURCES find_source load_dataset",
        "split": "TrainedOn split_interactions",
        "synthetic": "synthetic_dataset",
        "world": "START World",
    },
)
