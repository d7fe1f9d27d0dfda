"""Every file that holds a table is read as it was written, cell by cell, or refused by name."""

import sqlite3

import duckdb
import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.tables import FILE_NAME, digest_of, open_file, refuse_swallowed_rows

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
