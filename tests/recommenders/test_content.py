"""Content scores are the cosine of a user's profile and an item's text."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from recab_helpers.parameters import TrainParams
from recab_helpers.recommenders import fit


@pytest.mark.parametrize("popularity", [0.0, 0.5])
def test_content_scores_are_the_cosine_of_profile_and_item(world_data, train, popularity):
    fitted = fit("content", train, world_data.catalog, TrainParams(content_popularity=popularity))
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform(world_data.catalog["text"])
    user = 11
    rows = train.user == user
    weight = np.maximum(0, train.rating[rows] - train.rating[rows].mean() + 0.5)
    profile = weight @ vectors[train.item[rows]].toarray()
    expected = cosine_similarity(profile[None], vectors)[0] * (1 + fitted.popularity) ** popularity
    assert fitted.score(np.array([user]))[0] == pytest.approx(expected, abs=1e-5, rel=1e-5)


def test_a_user_whose_items_have_no_words_is_cold(world_data, train):
    met = train.item[train.user == 0]
    catalog = world_data.catalog.assign(
        text=world_data.catalog["text"].where(~np.isin(np.arange(train.n_items), met), "")
    )
    assert np.flatnonzero(fit("content", train, catalog, TrainParams()).cold)[0] == 0
