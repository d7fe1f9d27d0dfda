"""Own tables are read from files and folders, or refused with what to do."""

import pandas as pd
import pytest

from recab_helpers.data import load_dataset, read_table
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams
from tests.data.test_dataset import CATALOG, INTERACTIONS


def test_an_empty_or_unknown_file_is_refused(tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "table.xlsx").touch()
    for name, words in (("empty.csv", "is empty"), ("table.xlsx", "is none of"), ("no.csv", "no file")):
        with pytest.raises(DataError, match=words):
            read_table(tmp_path / name)


def test_own_tables_are_read_from_a_folder(tmp_path):
    INTERACTIONS.to_csv(tmp_path / "interactions.csv.gz", index=False)
    assert list(load_dataset(TrainParams(dataset=str(tmp_path))).catalog["title"]) == ["x", "y"]
    CATALOG.to_parquet(tmp_path / "catalog.parquet")
    dataset = load_dataset(TrainParams(dataset=str(tmp_path)))
    assert dataset.name == tmp_path.name
    assert len(dataset.interactions) == 3
    assert dataset.world is None


def test_ids_with_leading_zeros_are_read_whole(tmp_path):
    INTERACTIONS.assign(user_id=["007", "007", "08"]).to_csv(tmp_path / "own.tsv", index=False, sep="\t")
    pd.testing.assert_series_equal(
        read_table(tmp_path / "own.tsv")["user_id"], pd.Series(["007", "007", "08"], name="user_id"), check_dtype=False
    )
