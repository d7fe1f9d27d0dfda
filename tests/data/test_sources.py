"""A data set is found by the name of its source or by the files of its folder, from one list."""

import pytest

from recab_helpers.data import find_source, load_dataset, sources
from recab_helpers.data.sources import SOURCES, Source
from recab_helpers.errors import DataError, ParameterError
from recab_helpers.parameters import TrainParams


@pytest.mark.parametrize("source", [s for s in SOURCES if s.name], ids=lambda s: s.name)
def test_a_source_is_found_by_its_name(source):
    assert find_source(source.name) == (source, None)


@pytest.mark.parametrize("source", [s for s in SOURCES if s.mark], ids=lambda s: s.mark)
def test_a_folder_is_known_by_its_files_whatever_its_name(source, tmp_path):
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / source.mark.replace("*", "csv")).touch()
    assert find_source(str(folder)) == (source, folder)


def test_what_is_no_source_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(ParameterError, match=r"dataset has 'ml-100'. Did you mean ml-100k\?"):
        find_source("ml-100")
    with pytest.raises(ParameterError, match="no such folder"):
        find_source("no/such/folder")
    with pytest.raises(DataError, match=r"is none that recab knows. It needs a table interactions.*It holds no table"):
        find_source(str(tmp_path))


def test_a_new_source_is_one_more_line(monkeypatch, tmp_path):
    """The reader gets the folder and the parameters."""
    monkeypatch.setattr(sources, "SOURCES", (Source("dataset.describe_me", mark="mine.txt"), *SOURCES))
    monkeypatch.setattr("recab_helpers.data.dataset.describe_me", lambda *given: given, raising=False)
    (tmp_path / "mine.txt").touch()
    params = TrainParams(dataset=str(tmp_path))
    assert load_dataset(params) == (tmp_path, params)


def test_the_parameters_of_a_world_are_those_of_the_run():
    params = TrainParams(n_users=30, n_items=40, mean_history=6, seed=5)
    dataset = load_dataset(params)
    assert len(dataset.world.user_ids) == 30
    assert len(dataset.catalog) == 40
    assert dataset.digest() != load_dataset(TrainParams(n_users=30, n_items=40, mean_history=6, seed=6)).digest()
