"""Team draft: one slate of two rankings, in which every item is the pick of one of them."""

import numpy as np


def team_draft(first: np.ndarray, second: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which ranking picks the item of every place, and at which place of its own the item stands (both from 0).

    In a round each ranking picks its best item that is not yet there, and a coin says which of them picks first
    (Radlinski, Kurup and Joachims 2008). `first` and `second` hold items, (n_slates, k); `heads` says for each round
    whether the second begins, (n_slates, rounds), rounds at least (k + 1) / 2. Two arrays of shape (n_slates, k).

    >>> team, place = team_draft(np.array([[7, 8]]), np.array([[9, 7]]), np.array([[False]]))
    >>> team, place  # 7 is picked by the first, then 9 by the second
    (array([[0, 1]]), array([[0, 0]]))
    """
    n, k = first.shape
    lists, rows = (first, second), np.arange(n)
    there = [np.zeros((n, k), dtype=bool) for _ in lists]
    team, place = np.empty((n, k), dtype=np.int64), np.empty((n, k), dtype=np.int64)
    for at in range(k):
        begins = heads[:, at // 2].astype(np.int64)
        team[:, at] = begins if at % 2 == 0 else 1 - begins
        best = [t.argmin(axis=1) for t in there]
        place[:, at] = np.where(team[:, at] == 1, best[1], best[0])
        item = np.where(team[:, at] == 1, second[rows, best[1]], first[rows, best[0]])
        for taken, ranked in zip(there, lists, strict=True):
            taken |= ranked == item[:, None]
    return team, place
