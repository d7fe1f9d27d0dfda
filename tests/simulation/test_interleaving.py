"""Team draft: fair to both rankings, whatever they show."""

import numpy as np

from recab_helpers.simulation.interleaving import team_draft


def drafted(rng, n: int = 4000, k: int = 7):
    """Two rankings that share most of their items, and their drafts."""
    ranked = rng.permuted(np.tile(np.arange(k + 3), (n, 1)), axis=1)
    first, second = ranked[:, :k], rng.permuted(ranked, axis=1)[:, :k]
    team, place = team_draft(first, second, rng.random((n, k)) < 0.5)
    both = np.stack([first, second])
    return first, second, team, both[team, np.arange(n)[:, None], place]


def test_a_draft_holds_every_item_once_and_both_pick_as_many_in_every_round(rng):
    first, _, team, items = drafted(rng)
    assert (np.sort(items, axis=1)[:, 1:] != np.sort(items, axis=1)[:, :-1]).all()
    rounds = team[:, : 2 * (first.shape[1] // 2)].reshape(len(team), -1, 2)
    assert (rounds.sum(axis=2) == 1).all()


def test_every_pick_is_the_best_that_its_ranking_has_left(rng):
    first, second, team, items = drafted(rng, n=200)
    for row in range(len(team)):
        for at in range(team.shape[1]):
            ranking = (first, second)[team[row, at]][row]
            left = [i for i in ranking if i not in items[row, :at]]
            assert items[row, at] == left[0]


def test_two_rankings_that_are_one_share_the_clicks_of_every_item_evenly(rng):
    n, k = 20_000, 5
    ranking = np.tile(np.arange(k), (n, 1))
    team, place = team_draft(ranking, ranking, rng.random((n, k)) < 0.5)
    assert (place == ranking).all()
    assert np.abs(team.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(n)
