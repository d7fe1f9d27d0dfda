"""How much is held in memory at once: rows of a users x items table, a block at a time."""

from collections.abc import Iterator

from tqdm.auto import tqdm

BLOCK_CELLS = 4_000_000  # users x items held at once: 32 MB of float64


def blocks(n_rows: int, n_columns: int, *, desc: str) -> Iterator[slice]:
    """Slices that cover the rows in order, each of at most BLOCK_CELLS cells and at least one row."""
    size = max(1, BLOCK_CELLS // n_columns)
    starts = range(0, n_rows, size)
    for start in tqdm(starts, desc=desc, leave=False, disable=len(starts) < 20):
        yield slice(start, min(start + size, n_rows))
