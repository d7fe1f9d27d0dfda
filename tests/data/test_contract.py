"""A contract drives its check: what it says of a column is what is refused."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.data.contract import CATALOG, INTERACTIONS, Column, Contract, as_ids, require_times
from recab_helpers.errors import DataError

GOOD = {"id": ["b", "a"], "number": [2, 1], "time": [2, 1], "text": ["two words", None]}
COLUMNS = [(contract, c) for contract in (INTERACTIONS, CATALOG) for c in contract.columns]


def good(contract: Contract) -> pd.DataFrame:
    return pd.DataFrame({c.name: GOOD[c.kind] for c in contract.columns})


@pytest.mark.parametrize(("contract", "column"), COLUMNS, ids=lambda p: getattr(p, "name", ""))
def test_only_a_column_that_is_not_required_may_be_absent(contract, column):
    table = good(contract).drop(columns=column.name)
    if column.required:
        with pytest.raises(DataError, match=f"here lacks the column {column.name}; it has"):
            contract.check(table, source="here")
    else:
        assert column.name not in contract.check(table, source="here")


@pytest.mark.parametrize(("contract", "column"), COLUMNS, ids=lambda p: getattr(p, "name", ""))
def test_what_a_kind_does_not_allow_is_refused_with_its_row(contract, column):
    table = good(contract).astype(object)
    table.loc[1, column.name] = np.nan
    if column.kind == "text":
        assert contract.check(table, source="here")[column.name].iloc[0] == ""
    else:
        with pytest.raises(DataError, match=rf"here: column {column.name} (is empty|holds nan).*in row 2"):
            contract.check(table, source="here")


@pytest.mark.parametrize("contract", [INTERACTIONS, CATALOG], ids=["interactions", "catalog"])
def test_rows_are_sorted_by_the_key_and_two_with_one_key_refused(contract):
    table = good(contract)
    assert list(contract.check(table, source="here")[contract.key[0]]) == ["a", "b"]
    with pytest.raises(DataError, match="1 rows repeat an earlier"):
        contract.check(pd.concat([table, table[:1]]), source="here")


def test_columns_beyond_the_contract_are_dropped_and_ids_are_text():
    contract = Contract(columns=(Column("n", "id", "a number as a name"),), key=("n",))
    checked = contract.check(pd.DataFrame({"n": [10, 9], "more": 1}), source="here")
    assert checked.to_dict("list") == {"n": ["10", "9"]}


def test_ids_have_one_spelling_however_they_were_stored():
    for stored in ([7, 10], [7.0, 10.0], [b"7", b"10"], np.array([7, 10], np.uint64), ["7", "10"]):
        assert list(as_ids(pd.Series(stored))) == ["7", "10"]
    assert list(as_ids(pd.Series(["007", "7.5"]))) == ["007", "7.5"]
    assert list(as_ids(pd.Series([2**64 - 1], dtype=np.uint64))) == [str(2**64 - 1)]


@pytest.mark.parametrize(
    "written",
    [
        [1714521600, 1714608000],
        ["1714521600000", "1714608000000"],
        [1714521600 * 10**9, 1714608000 * 10**9],
        ["2024-05-01", "2024-05-02T00:00:00Z"],
        pd.to_datetime(["2024-05-01", "2024-05-02"]),
    ],
    ids=["s", "ms", "ns", "ISO", "datetime"],
)
def test_times_become_seconds(written):
    table = pd.DataFrame({"timestamp": written})
    assert list(require_times(table, "timestamp", source="here")) == [1714521600, 1714608000]


def test_a_time_that_can_be_read_two_ways_is_refused():
    table = pd.DataFrame({"timestamp": ["2024-05-01", "01/05/2024"]})
    with pytest.raises(DataError, match="column timestamp holds '01/05/2024' in row 2, which is no time"):
        require_times(table, "timestamp", source="here")
