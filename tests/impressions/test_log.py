"""A log in its owner's words says what the same log in recab's words says, or is refused with the way out."""

import sqlite3
from contextlib import closing

import pandas as pd

from recab_helpers.impressions import Reading, read_log, reduce, user_rows
from tests.made import COUNTS_OF_LOG, LOG, counts_of, log_like, refusal, rows_of


def test_columns_and_variants_have_their_owners_names():
    foreign = LOG.rename(columns={"user_id": "uid", "clicked": "hit", "day": "dt"}).assign(variant=[0] * 3 + [1] * 3)
    columns = {"user_id": "uid", "clicked": "hit", "day": "dt"}
    read = read_log(foreign, how=Reading(columns=columns, control="0"))
    assert counts_of(read) == {"control": COUNTS_OF_LOG["control"], "1": COUNTS_OF_LOG["treatment"]}
    assert "columns={user_id: uid}" in refusal(foreign.rename(columns={"hit": "clicked", "dt": "day"}), control="0")
    assert "which the table lacks; it has user_id" in refusal(LOG, columns={"item_id": "itm"})
    assert "control is 'A', but variant holds control, treatment" in refusal(LOG, control="A")


def test_of_several_experiments_one_is_named():
    both = pd.concat([LOG.assign(experiment="home"), LOG.assign(experiment="search", clicked=1)])
    assert "holds several experiments" in refusal(both)
    assert counts_of(read_log(both, how=Reading(only={"experiment": "home"}))) == COUNTS_OF_LOG
    assert "has no row in which experiment is 'hom'" in refusal(both, only={"experiment": "hom"})


def test_everything_that_is_wrong_is_said_at_once():
    said = refusal(LOG.drop(columns="item_id").assign(position=0, clicked=5, day="?"))
    assert said.startswith("the table has 4 faults. (1) the table lacks the column item_id")
    assert all(f"column {c} holds" in said for c in ("position", "clicked", "day"))


def test_without_slates_or_positions_what_needs_them_is_left_out(rng):
    log = log_like(rng, n_users=60)
    bare = user_rows(read_log(log.drop(columns=["slate_id", "position"])).rows)
    assert set(bare.numeric) == {"impressions", "clicks", "novelty_bits", "clicked_any"}
    test, whole = reduce(bare), reduce(rows_of(log))
    assert test.by_position is None
    for variant, s in test.users.statistics.items():
        assert s.sum("clicks") == whole.users.statistics[variant].sum("clicks")
    pd.testing.assert_frame_equal(test.by_day, whole.by_day)


def test_rows_before_the_start_become_what_is_known_of_the_users():
    before = LOG.assign(day=LOG["day"] - 10, variant=None, slate_id=LOG["slate_id"] + 10)
    read = read_log(pd.concat([before, LOG]), how=Reading(starts="0"))
    assert counts_of(read) == COUNTS_OF_LOG
    users = user_rows(read.rows, before=read.before).head()
    assert users["pre_impressions"].tolist() == users["impressions"].tolist()
    assert users["pre_clicks"].tolist() == users["clicks"].tolist()
    assert users["pre_sessions"].tolist() == users["sessions"].tolist()
    assert "no row is before it" in refusal(LOG, starts="-1")
    assert "starts is '2026-05-01', but the table counts its days" in refusal(LOG, starts="2026-05-01")


def test_a_log_without_a_header_is_read_by_the_numbers_of_its_columns(tmp_path):
    LOG.to_csv(tmp_path / "log.tsv", sep="\t", header=False, index=False)
    said = refusal(tmp_path / "log.tsv")
    assert "it has column 1, column 2, column 3, column 4, column 5, column 6, column 7" in said
    numbered = {name: f"column {i}" for i, name in enumerate(LOG, 1)}
    assert counts_of(read_log(tmp_path / "log.tsv", how=Reading(columns=numbered))) == COUNTS_OF_LOG


def test_a_table_of_sqlite_is_kept_beside_what_is_computed_from_it(tmp_path):
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as made:
        LOG.to_sql("log", made, index=False)
    known = pd.DataFrame({"user_id": list("abc"), "pre_clicks": 1})
    for _ in range(3):  # names of tables in the engine are given by two counters
        rows_of(tmp_path / "log.sqlite", known)
        assert reduce(rows_of(LOG)).n_impressions == reduce(rows_of(tmp_path / "log.sqlite")).n_impressions == 6
