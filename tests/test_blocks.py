"""Blocks cover all rows once, in order, and never hold more than they should."""

import pytest

from recab_helpers import blocks


@pytest.mark.parametrize(("n_rows", "n_columns"), [(1, 1), (10, 3), (7, 100), (0, 5), (30, 10)])
def test_blocks_cover_the_rows_in_order_within_the_limit(n_rows, n_columns, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_CELLS", 30)
    found = list(blocks.blocks(n_rows, n_columns, desc=""))
    assert [i for b in found for i in range(b.start, b.stop)] == list(range(n_rows))
    assert all((b.stop - b.start) * n_columns <= max(30, n_columns) for b in found)
