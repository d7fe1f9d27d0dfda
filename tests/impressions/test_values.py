"""A cell says the same however it is stored: ids keep their spelling, and a click is what counts as one."""

import numpy as np
import pandas as pd
import pytest

from recab_helpers.impressions import Reading, read_log
from tests.made import COUNTS_OF_LOG, LOG, counts_of, refusal, rows_of


@pytest.mark.parametrize(
    "ids",
    [
        [1, 1, 1, 2, 2, 3],
        np.array([2**64 - 1] * 3 + [2**64 - 2] * 2 + [2**63], dtype=np.uint64),
        [1.0, 1.0, 1.0, 2.0, 2.0, 3.0],
        [b"a", b"a", b"a", b"b", b"b", b"\xff"],
        ["007", "007", "007", "07", "07", "7"],
        ["NA", "NA", "NA", "null", "null", "nan"],
    ],
)
def test_ids_of_any_type_are_told_apart_and_match_those_of_the_users(ids, tmp_path):
    LOG.assign(user_id=ids, item_id=ids).to_parquet(tmp_path / "log.parquet")
    known = pd.DataFrame({"user_id": ids}).drop_duplicates().assign(pre_clicks=1)
    known.to_parquet(tmp_path / "users.parquet")
    rows = rows_of(tmp_path / "log.parquet", tmp_path / "users.parquet")
    assert rows.head()["pre_clicks"].tolist() == [1, 1, 1]
    assert counts_of(read_log(tmp_path / "log.parquet")) == COUNTS_OF_LOG


@pytest.mark.parametrize("lost", [1.1785803752304417e19, "1.17858E+19"])
def test_ids_that_lost_their_digits_are_refused(lost):
    ids = [lost] * 3 + [type(lost)(2)] * 3
    assert "an id of so many digits was rounded there" in refusal(LOG.assign(user_id=ids))


@pytest.mark.parametrize(
    ("values", "click"),
    [
        (["true", "false"], ()),
        (["Yes", "no"], ()),
        ([True, False], ()),
        (["1.0", "0"], ()),
        ([3, 0], ("positive",)),
        ([1, -1], ("positive",)),
        (["buy", "view"], ("buy", "cart")),
        (["2026-05-01 10:00:07", None], ("filled",)),
        (["x", "NULL"], ("filled",)),
        ([pd.Timestamp("2026-05-01"), pd.NaT], ("filled",)),
        ([0.5, float("nan")], ("filled",)),
    ],
)
def test_a_click_is_what_counts_as_one(values, click):
    log = LOG.assign(clicked=[values[0] if c else values[1] for c in LOG["clicked"]])
    assert counts_of(read_log(log, how=Reading(click=click))) == COUNTS_OF_LOG


def test_words_of_a_click_that_no_row_holds_are_refused():
    """A misspelled word was no click at all: the test had none."""
    words = LOG.assign(clicked=["buy" if c else "view" for c in LOG["clicked"]])
    assert "click is buz, but column clicked holds buy, view. Did you mean buy?" in refusal(words, click=("buz",))


def test_an_empty_cell_is_no_value_of_a_click_however_it_is_stored():
    """Parquet keeps an empty text where CSV has none; it was read as no click."""
    words = ["buy" if c else "view" for c in LOG["clicked"]]
    said = refusal(LOG.assign(clicked=["", *words[1:]]), click=("buy",))
    assert "column clicked" in said
    assert "row 1" in said
    assert "Where empty says that there was no click, say click=[filled]" in said


def test_a_count_of_clicks_is_refused_with_the_parameter_that_reads_it():
    assert "Say what is a click, click=[positive] for a number above 0" in refusal(LOG.assign(clicked=3))


@pytest.mark.parametrize("kind", ["int8", "str", "float"])
def test_positions_that_count_from_0_are_read_as_from_1(kind):
    log = LOG.assign(position=(LOG["position"] - 1).astype(kind))
    read = read_log(log)
    assert any(n.endswith("counts positions from 0: they are read as from 1") for n in read.notes)
    assert read.rows.select("position").collect("pandas").to_native()["position"].tolist() == LOG["position"].tolist()
    assert counts_of(read) == COUNTS_OF_LOG


def test_a_few_positions_of_0_are_refused():
    assert "position holds 0 in row 1; it must be a rank that counts from 1" in refusal(
        LOG.assign(position=[0, *LOG["position"][1:]])
    )


def test_ids_that_differ_by_blanks_only_are_refused_and_padded_ones_are_read():
    """One user in two spellings was two users."""
    padded = LOG.assign(user_id=LOG["user_id"] + "  ")
    assert counts_of(read_log(padded)) == COUNTS_OF_LOG
    assert "holds 'a' and 'a  ', which differ only by the blanks" in refusal(pd.concat([padded.head(1), LOG.tail(5)]))


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_a_field_of_a_column_is_named_with_a_point(ending, tmp_path):
    nested = LOG.assign(user=LOG["user_id"].map(lambda u: {"id": u, "age": 30})).drop(columns="user_id")
    if ending == "parquet":
        nested.to_parquet(tmp_path / "log.parquet")
    else:
        nested.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    how = Reading(columns={"user_id": "user.id"})
    read = read_log(tmp_path / f"log.{ending}", how=how)
    assert counts_of(read) == COUNTS_OF_LOG
    assert not read.notes
    assert "user_id is user.idd, which" in refusal(tmp_path / f"log.{ending}", columns={"user_id": "user.idd"})


def test_of_a_column_that_may_say_what_was_shown_the_way_to_read_these_rows_is_told():
    read = read_log(LOG.assign(viewed=1))
    assert read.notes == (
        "the table: not read: viewed (0 or 1: where 0 says that it was not shown, only={viewed: 1}; a metric by "
        "metrics=[viewed])",
    )
