"""Every file that holds a table is read as it was written, cell by cell, or refused by name."""

import gc
import os
import sqlite3
import subprocess
import sys

import duckdb
import pandas as pd
import pytest

from recab_helpers.cells import refuse_swallowed_rows
from recab_helpers.engine import engine, kept
from recab_helpers.errors import DataError
from recab_helpers.paths import ROOT
from recab_helpers.tables import FILE_NAME, digest_of, open_file

CELLS = pd.DataFrame({"id": ["007", "NA", "c,;|d"], "said": ['a "b" c', "\u00fc\u4e2d", "x\\y"]})


def rows_of(path, table: str = "") -> list[tuple]:
    return open_file(path, table=table)[0].fetchall()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_text_is_read_whatever_divides_and_encodes_it(tmp_path, sep, encoding):
    CELLS.to_csv(tmp_path / "t.csv", sep=sep, index=False, encoding=encoding)
    assert rows_of(tmp_path / "t.csv") == list(CELLS.itertuples(index=False, name=None))


def test_windows_text_is_read(tmp_path):
    (tmp_path / "t.csv").write_bytes("id;said\n1;\u20ac caf\u00e9\n".encode("cp1252"))
    assert rows_of(tmp_path / "t.csv") == [("1", "\u20ac caf\u00e9")]


def test_a_damaged_line_of_utf_8_is_named_and_not_read_as_windows_text(tmp_path):
    lines = [f"{i};\u00fc{i}\u4e2d" for i in range(9)]
    (tmp_path / "t.csv").write_bytes(b"id;said\n" + "\n".join(lines).encode() + b"\n9;caf\xe9\n")
    with pytest.raises(DataError, match=r"t.csv cannot be read: line 11 is not UTF-8 text\. Save the file as UTF-8"):
        rows_of(tmp_path / "t.csv")


def test_what_a_database_writes_for_nothing_is_nothing(tmp_path):
    (tmp_path / "t.tsv").write_text("id\tsaid\n\\N\tN\n2\t\\Nb\n")
    assert rows_of(tmp_path / "t.tsv") == [(None, "N"), ("2", "\\Nb")]


def test_excel_may_say_its_separator_first(tmp_path):
    (tmp_path / "t.csv").write_text("sep=;\nid;said\n1;2\n")
    assert rows_of(tmp_path / "t.csv") == [("1", "2")]


def test_a_lone_quote_is_a_letter_in_text_between_tabs(tmp_path):
    (tmp_path / "t.tsv").write_text('id\tsaid\n1\t"a\n2\tb\n3\t"c\n')
    assert rows_of(tmp_path / "t.tsv") == [("1", '"a'), ("2", "b"), ("3", '"c')]


def test_a_quote_that_swallows_rows_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text('id,said\n1,"a\n2,b\n3,c"\n4,d\n')
    with pytest.raises(DataError, match=r"holds whole rows, from .* on: a quote that opens there ends in another row"):
        refuse_swallowed_rows(open_file(tmp_path / "t.csv")[0], "t.csv")
    (tmp_path / "fine.csv").write_text('id,said\n1,"a\nb"\n')
    refuse_swallowed_rows(open_file(tmp_path / "fine.csv")[0], "fine.csv")


def test_a_folder_and_a_glob_are_one_table_with_the_name_of_each_part(tmp_path):
    for i in range(2):
        folder = tmp_path / "log" / f"day={i}"
        folder.mkdir(parents=True)
        pd.DataFrame({"id": [i]}).to_parquet(folder / "part-0.parquet")
        (tmp_path / f"b{i}.csv.gz").write_bytes(b"id\n%d\n" % i)
    (tmp_path / "log" / "_SUCCESS").touch()
    relation, _ = open_file(tmp_path / "log")
    assert relation.project("id, day").order("id").fetchall() == [(0, "0"), (1, "1")]
    relation, _ = open_file(tmp_path / "b*.csv.gz")
    assert relation.project(f"id, {FILE_NAME}").order("id").fetchall() == [("0", "b0"), ("1", "b1")]
    assert digest_of(tmp_path / "log") != digest_of(tmp_path / "b*.csv.gz")


def test_a_digest_tells_the_names_and_contents_of_every_part_of_every_table(tmp_path):
    log, users = tmp_path / "log", tmp_path / "users.csv"
    for day in range(2):
        (log / f"day={day}").mkdir(parents=True)
        (log / f"day={day}" / "part.csv").write_text(f"id\n{day}\n")
    users.write_text("id\n1\n")
    first = digest_of(log, users)
    assert digest_of(log, users) == first
    assert digest_of(log) != first
    users.write_text("id\n2\n")
    second = digest_of(log, users)
    (log / "day=1" / "part.csv").write_text("id\n7\n")
    third = digest_of(log, users)
    (log / "day=1").rename(log / "day=2")
    assert len({first, second, third, digest_of(log, users)}) == 4


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n1,2\n")
    (tmp_path / "b.csv").write_text("3,4\n")
    with pytest.raises(DataError, match=r"b\.csv begins with 3, 4, unlike a\.csv"):
        open_file(tmp_path)
    CELLS.to_parquet(tmp_path / "c.parquet")
    with pytest.raises(DataError, match="holds files of several kinds, parquet and text"):
        open_file(tmp_path)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_table_of_a_database_is_read(tmp_path, kind):
    path = tmp_path / f"my.{kind}"
    made = sqlite3.connect(path) if kind == "sqlite" else duckdb.connect(str(path))
    made.execute("create table log (id text, n integer)")
    made.execute("insert into log values ('007', 1), ('NA', 2)")
    made.commit()
    n = ("1", "2") if kind == "sqlite" else (1, 2)
    if kind == "duckdb":
        made.close()
    assert rows_of(path) == [("007", n[0]), ("NA", n[1])]
    made = sqlite3.connect(path) if kind == "sqlite" else None
    if made is not None:
        made.execute("create table users (id text)")
        made.commit()
        assert rows_of(path, "log") == [("007", "1"), ("NA", "2")]
        for table in ("", "lag"):
            with pytest.raises(DataError, match=r"its tables are log, users. Name one: table=NAME"):
                open_file(path, table=table)


def test_lines_of_json_keep_what_is_written(tmp_path):
    (tmp_path / "t.jsonl").write_text(
        '{"id": "007", "n": 18446744073709551615, "items": ["a", "b"]}\n{"id": 7, "n": 1, "items": []}\n'
    )
    assert rows_of(tmp_path / "t.jsonl") == [("007", "18446744073709551615", ["a", "b"]), ("7", "1", [])]


# How lines end and begin


@pytest.mark.parametrize("late", [0, 1, 700])
@pytest.mark.parametrize("other", ["\r\n", "\r"])
def test_lines_that_end_in_two_ways_are_all_read(tmp_path, late, other):
    rows = [f"{i},x{i}" for i in range(1000)]
    (tmp_path / "t.csv").write_text(
        "".join(f"{r}{other if i > late else chr(10)}" for i, r in enumerate(["id,text", *rows])), newline=""
    )
    relation, _ = open_file(tmp_path / "t.csv", hold=True)
    assert relation.fetchall() == [(i, f"x{i}") for i in range(1000)]


@pytest.mark.parametrize("odd", ["007", "+7", " 7", "7.0", "1e3", "99999999999999999999", "-0", "x", '"7 "'])
@pytest.mark.parametrize("late", [False, True])
def test_what_is_held_as_numbers_says_what_was_written(tmp_path, odd, late):
    rows = ["1", "", "-20"] * 500
    rows[-1 if late else 0] = odd
    (tmp_path / "t.csv").write_text("id,n\n" + "".join(f"{row},{i}\n" for i, row in enumerate(rows)))
    relation, _ = open_file(tmp_path / "t.csv", hold=True)
    wanted = [(row.strip('"') or None, i) for i, row in enumerate(rows)]
    assert relation.fetchall() == wanted
    assert [str(kind) for kind in relation.types] == ["VARCHAR", "BIGINT"]


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        ("2026-05-01T10:00:00", "TIMESTAMP"),
        ("2026-05-01 10:00:00.500000", "TIMESTAMP"),
        ("2026-05-01 10:00:00Z", "VARCHAR"),
        ("2026-05-01 10:00:00.5-05", "VARCHAR"),
        ("2026-05-01", "VARCHAR"),
        ("soon", "VARCHAR"),
        ("1777629600", "VARCHAR"),
        ("2026-02-30 10:00:00", "VARCHAR"),
    ],
)
def test_moments_are_held_as_such_only_where_they_are_asked_for_and_name_no_zone(tmp_path, odd, kind):
    rows = ["2026-05-01 10:00:00.25"] * 1100 + [odd]
    (tmp_path / "t.csv").write_text("ts,id\n" + "".join(f"{row},{row}\n" for row in rows))
    relation, _ = open_file(tmp_path / "t.csv", hold=True, times=["ts"])
    assert [str(k) for k in relation.types] == [kind, "VARCHAR"]
    assert [row[1] for row in relation.fetchall()] == rows


@pytest.mark.parametrize("before", ["\n", "\n\n", "# made by a tool\n# on a day\n\n", "sep=,\n"])
def test_what_stands_above_the_header_is_passed_over(tmp_path, before):
    (tmp_path / "t.csv").write_text(f"{before}id,n\na,1\n")
    assert open_file(tmp_path / "t.csv")[0].columns == ["id", "n"]
    assert rows_of(tmp_path / "t.csv") == [("a", "1")]


def test_a_header_that_begins_with_a_hash_is_one(tmp_path):
    (tmp_path / "t.csv").write_text("#id,n\na,1\n")
    assert open_file(tmp_path / "t.csv")[0].columns == ["#id", "n"]


@pytest.mark.parametrize(
    ("first", "header"),
    [
        ("1\tU13\t11/11/2019 9:05:58 AM\tN5 N4\tN9-1 N3-0", False),  # as MIND comes
        ("u1\tcontrol\ti3\t0\t1714665675", False),
        ("user\tvariant\t1\t2\t3", True),  # names of columns may be numbers
        ("0\t1\t2\t3\t4", True),  # as pandas writes a frame whose columns have none
        ("user_id\tday1\tday2\tday3\tday4", True),
        ("id\tgroup\ti1\ti2\ti3", True),
    ],
)
def test_a_first_line_that_is_a_row_like_the_others_holds_no_names(tmp_path, first, header):
    other = first if not header else "u1\tcontrol\t4\t5\t6"
    (tmp_path / "t.tsv").write_text(f"{first}\n{other}\n{other}\n")
    relation, _ = open_file(tmp_path / "t.tsv")
    assert relation.columns == (first.split("\t") if header else [f"column {i}" for i in range(1, 6)])
    assert len(relation.fetchall()) == (2 if header else 3)


def test_parts_may_be_written_in_different_ways(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n1,x\n")
    (tmp_path / "b.csv").write_text('sep=;\n"id";"text"\n"2";"y;z"\n')
    (tmp_path / "c.csv").write_bytes("id,text\n3,Köln\n".encode("utf-16"))
    relation, _ = open_file(tmp_path)
    wanted = [("1", "x", "a"), ("2", "y;z", "b"), ("3", "Köln", "c")]
    assert relation.project(f"id, text, {FILE_NAME}").order("id").fetchall() == wanted


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for day in ("day=1", "day=2"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "part-0.csv").write_text("id\n7\n")
    relation, _ = open_file(tmp_path)
    assert {f for (f,) in relation.project(FILE_NAME).fetchall()} == {"day=1/part-0", "day=2/part-0"}


# What is kept


def test_seconds_are_held_as_numbers_where_moments_are_asked_for(tmp_path):
    (tmp_path / "t.csv").write_text("ts\n1777629600\n1777629601\n")
    assert open_file(tmp_path / "t.csv", hold=True, times=["ts"])[0].fetchall() == [(1777629600,), (1777629601,)]


def test_a_table_lives_as_long_as_any_relation_that_was_made_of_it():
    tables = "select count(*) from duckdb_tables() where table_name like 'recab_%'"
    gc.collect()
    before = engine().sql(tables).fetchall()
    relation = kept(engine().sql("select range as n from range(5)"))
    relation = relation.filter("n > 1").project("2 * n as n")  # the name is given anew, and nothing was computed
    gc.collect()
    assert relation.aggregate("sum(n)").fetchall() == [(18,)]
    del relation
    gc.collect()
    assert engine().sql(tables).fetchall() == before


def test_the_files_of_a_killed_process_are_gone_when_the_next_one_starts(tmp_path):
    def run(then: str) -> None:
        code = f"import os; from recab_helpers.engine import spare_file; spare_file('.csv').touch(); {then}"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, check=False)

    run("os.kill(os.getpid(), 9)")
    assert len(list(tmp_path.rglob("*.csv"))) == 1
    run("")
    assert not list(tmp_path.iterdir())
