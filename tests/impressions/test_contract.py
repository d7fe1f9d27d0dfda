"""Every row of the contract is held: what breaks it is refused with source, column, row, value and the way out."""

import math
import re

import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions.contract import IMPRESSIONS, KINDS, MAY_LACK, TIMES, TITLE, USER, of_users
from recab_helpers.impressions.log import open_log
from recab_helpers.impressions.users import open_users
from tests.made import LOG

TIMED = LOG.drop(columns="day").assign(timestamp="2026-03-01 20:00")
KIND_OF = {c.name: c.kind for c in (*IMPRESSIONS, *TIMES)} | {"dwell": "number"}
CLICK = r"Say what is a click, click=\[positive\] for a number above 0, or click=\[VALUE\]\. "
USERS = pd.DataFrame({"user_id": ["a", "b", "c"], "pre_clicks": [4, 5, 6]})


def refusal(table, *, opened=open_log, **how) -> str:
    with pytest.raises(DataError) as caught:
        opened(table, **how)
    return str(caught.value)


def in_csv(table: pd.DataFrame, folder) -> str:
    table.to_csv(folder / "table.csv", index=False)
    return str(folder / "table.csv")


def broken(column: str, value) -> pd.DataFrame:
    """The log with this value in its third row."""
    log = (TIMED if column == "timestamp" else LOG).assign(dwell=1.0)
    return log.assign(**{column: [value if i == 2 else v for i, v in enumerate(log[column])]})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("position", 0),
        ("position", -1),
        ("position", 1.5),
        ("position", math.inf),
        ("clicked", 2),
        ("clicked", -1),
        ("clicked", 0.5),
        ("clicked", math.inf),
        ("dwell", math.inf),
        ("dwell", -math.inf),
        ("day", 1.5),
        ("day", -math.inf),
        ("timestamp", math.inf),
        ("timestamp", 1_767_571_200_000),
        ("timestamp", -5),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "pandas"])
def test_a_number_that_breaks_its_column_is_refused(tmp_path, column, value, kind):
    log = broken(column, value)
    if column == "timestamp" and kind == "pandas":
        log = log.assign(timestamp=[value if i == 2 else 1_767_571_200 for i in range(len(log))])
    numbers = ["dwell"] if column == "dwell" else []
    source = "table.csv" if kind == "csv" else "the table"
    said = refusal(in_csv(log, tmp_path) if kind == "csv" else log, numbers=numbers)
    written = r"'?" + re.escape(str(value)).replace("inf", "inf(inity)?") + r"(\.0)?'?"
    held = rf"{source}: column {column} holds {written} in row 3; "
    other = "it is milliseconds since 1970, where the others are (seconds since 1970|a date as ISO 8601 writes it)"
    must = other if value == 1_767_571_200_000 else f"it must be {re.escape(KINDS[KIND_OF[column]])}"
    assert re.fullmatch(held + must + rf"\. ({CLICK})?Correct or drop these rows \(bad_rows=drop\)\.", said), said


@pytest.mark.parametrize("column", ["position", "clicked", "dwell", "day", "timestamp"])
def test_text_that_is_no_value_of_its_column_is_refused_as_it_was_written(tmp_path, column):
    said = refusal(in_csv(broken(column, "soon"), tmp_path), numbers=["dwell"] if column == "dwell" else [])
    assert said.startswith(f"table.csv: column {column} holds 'soon' in row 3; it must be {KINDS[KIND_OF[column]]}. ")
    assert said.endswith("Correct or drop these rows (bad_rows=drop).")


@pytest.mark.parametrize("column", ["position", "clicked", "dwell", "day"])
def test_text_that_says_not_a_number_is_refused(tmp_path, column):
    said = refusal(in_csv(broken(column, "nan"), tmp_path), numbers=["dwell"] if column == "dwell" else [])
    assert said.startswith(f"table.csv: column {column} holds 'nan' in row 3; it must be ")


@pytest.mark.parametrize("kind", ["csv", "pandas", "parquet"])
@pytest.mark.parametrize("column", [c.name for c in (*IMPRESSIONS, *TIMES)] + ["dwell"])
def test_an_empty_value_is_refused(tmp_path, column, kind):
    log = broken(column, None)
    if kind == "csv":
        log = in_csv(log, tmp_path)
    elif kind == "parquet":
        log.to_parquet(tmp_path / "table.parquet")
        log = tmp_path / "table.parquet"
    source = "the table" if kind == "pandas" else f"table.{kind}"
    said = refusal(log, numbers=["dwell"] if column == "dwell" else [])
    way = "Where empty says that there was no click, say click=[filled]. " if column == "clicked" else ""
    assert said == f"{source}: column {column} is empty in row 3. {way}Fill or drop these rows (bad_rows=drop)."


def test_the_number_of_bad_rows_is_told_and_the_first_one_shown(tmp_path):
    log = pd.concat([LOG.assign(slate_id=LOG["slate_id"] + 10 * i) for i in range(2000)])
    log.iloc[[9_000, 11_000], log.columns.get_loc("position")] = [0, -1]
    for table in (log, in_csv(log, tmp_path)):
        assert "column position holds 0 in row 9001 (2 such rows)" in refusal(table)


@pytest.mark.parametrize("column", [c.name for c in IMPRESSIONS if c.name not in MAY_LACK])
def test_a_missing_column_is_refused_with_those_that_are_there(tmp_path, column):
    log = LOG.drop(columns=column)
    there = ", ".join(log)
    for table, source in ((log, "the table"), (in_csv(log, tmp_path), "table.csv")):
        assert refusal(table) == (
            f"{source} lacks the column {column}; it has {there}. Rename or add the column, or say which one it is: "
            f"columns={{{column}: NAME}}."
        )


def test_a_log_tells_its_days_by_a_timestamp_or_a_day():
    assert refusal(LOG.drop(columns="day")).startswith("the table lacks the column timestamp (or day); it has user_id")


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (pd.concat([LOG, LOG[:1]]), r"2 rows have the same user_id, slate_id and position, \{'user_id': 'a'.*Keep one"),
        (
            LOG.assign(variant="treatment"),
            "variant holds treatment; it needs control and at least one treatment.*Give the log of all",
        ),
        (LOG.assign(variant=["a"] * 3 + ["b"] * 3), "variant holds a, b; it needs control"),
        (LOG[:3], "variant holds control; it needs control and at least one treatment"),
        (LOG[:0], "the table has no rows. Give at least one"),
    ],
)
def test_a_broken_log_is_refused(log, words):
    assert re.search(words, refusal(log))


def test_columns_that_recab_does_not_know_are_left_alone():
    odd = LOG.assign(**{"a b": None, 'quote"d': math.inf, "select": "x", "rank": -1})
    assert open_log(odd).collect("pyarrow").shape == odd.shape


# Users


@pytest.mark.parametrize("kind", ["csv", "pandas"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            -3,
            r"column pre_clicks holds '?-3'? in row 3; it must be a number of 0 or more\. Correct or drop these rows\.",
        ),
        (math.inf, r"column pre_clicks holds '?inf'? in row 3; it must be a number of 0 or more\."),
        ("many", r"column pre_clicks holds 'many' in row 3; it must be a number of 0 or more\."),
    ],
)
def test_a_count_from_before_is_a_number_of_zero_or_more(tmp_path, value, said, kind):
    users = USERS.assign(pre_clicks=[4, 5, value])
    assert re.search(said, refusal(in_csv(users, tmp_path) if kind == "csv" else users, opened=open_users))


def test_a_user_stands_once_in_a_users_file(tmp_path):
    twice = pd.concat([USERS, USERS[:1]])
    for table, source in ((twice, "the table"), (in_csv(twice, tmp_path), "table.csv")):
        assert refusal(table, opened=open_users) == f"{source}: 2 rows have the user_id 'a'. Keep one."


def test_a_users_file_has_ids_and_every_row_has_one():
    assert refusal(USERS.drop(columns="user_id"), opened=open_users).startswith("the table lacks the column user_id")
    nobody = USERS.assign(user_id=["a", None, "c"])
    assert refusal(nobody, opened=open_users) == (
        "the table: column user_id is empty in row 2. Fill or drop these rows."
    )


def test_the_contract_says_what_every_column_means():
    for column in (*IMPRESSIONS, *TIMES, TITLE, USER, *of_users(["user_id", "pre_clicks", "country"])):
        assert column.meaning
        assert column.kind in KINDS
    assert [c.name for c in of_users(["user_id", "pre_clicks", "country"])] == ["user_id", "pre_clicks"]
