"""The same log says the same wherever it lies; what cannot be read is refused by name."""

import gzip
import os
import subprocess
import sys

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions.log import open_log
from recab_helpers.impressions.sources import column_names, open_table
from recab_helpers.impressions.users import open_users
from recab_helpers.paths import ROOT
from tests.made import LOG, log_like, reduced, rows_of

ENDINGS = (".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz")
KNOWN = pd.DataFrame({"user_id": ["007", "NA", "c"], "pre_clicks": [1.0, 2.0, 3.0], "country": ["NA", "DE", "NA"]})


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """A log whose ids look like a number and like nothing."""
    log = log_like(np.random.default_rng(5), n_users=80)
    ids = {"u0": "007", "u1": "NA", "u2": "null", "u3": "nan"}
    stamps = pd.Timestamp("2026-03-01 23:00") + pd.to_timedelta(log["day"], unit="D")
    return log.assign(user_id=log["user_id"].replace(ids), timestamp=stamps, dwell=0.5).drop(columns="day")


def polars_lazy(log: pd.DataFrame):
    return pytest.importorskip("polars").from_pandas(log).lazy()


def in_a_file(name: str):
    def write(log: pd.DataFrame, folder):
        path = folder / name
        if ".jsonl" in name:
            log.to_json(path, orient="records", lines=True, date_format="iso")
            return path
        if name.endswith(".zst"):
            with pa.output_stream(path, compression="zstd") as stream:
                stream.write(log.to_csv(index=False).encode())
            return path
        log.to_csv(path, index=False, sep="\t" if ".tsv" in name else ",")
        return path

    return write


def in_parquet(log: pd.DataFrame, folder):
    log.to_parquet(folder / "log.parquet")
    return folder / "log.parquet"


KINDS = {
    "parquet": in_parquet,
    **{ending: in_a_file(f"log{ending}") for ending in ENDINGS},
    "path as text": lambda log, folder: str(in_parquet(log, folder)),
    "pandas": lambda log, folder: log,
    "pandas, categories": lambda log, folder: log.astype(dict.fromkeys(("user_id", "variant", "item_id"), "category")),
    "pandas, objects": lambda log, folder: log.astype(dict.fromkeys(("user_id", "variant", "clicked"), object)),
    "pandas in narwhals": lambda log, folder: nw.from_native(log).lazy(),
    "arrow": lambda log, folder: pa.Table.from_pandas(log),
    "duckdb": lambda log, folder: duckdb.connect().from_df(log),
    "narwhals over duckdb": lambda log, folder: nw.from_native(log).lazy("duckdb"),
    "polars": lambda log, folder: polars_lazy(log),
}


@pytest.fixture(scope="module")
def expected(log):
    return reduced(log, KNOWN, numbers=["dwell"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_log_gives_the_same_numbers_wherever_it_lies(log, expected, tmp_path, kind):
    found = reduced(KINDS[kind](log, tmp_path), KNOWN, numbers=["dwell"])
    assert found.first_day == expected.first_day == pd.Timestamp("2026-03-01")
    for name, s in found.users.statistics.items():
        assert s.n == expected.users.statistics[name].n
        assert s.mean == pytest.approx(expected.users.statistics[name].mean)
        assert s.cov == pytest.approx(expected.users.statistics[name].cov)
    assert found.users.segments.keys() == expected.users.segments.keys()
    for part in ("by_day", "by_position", "items"):
        pd.testing.assert_frame_equal(getattr(found, part), getattr(expected, part), check_dtype=False)
    for day in range(len(found.running)):
        assert found.running.at(day)["treatment"].cov == pytest.approx(expected.running.at(day)["treatment"].cov)


@pytest.mark.parametrize("ending", ENDINGS)
def test_ids_keep_their_spelling_in_text(log, tmp_path, ending):
    rows = rows_of(in_a_file(f"log{ending}")(log, tmp_path), in_a_file(f"users{ending}")(KNOWN, tmp_path))
    users = rows.users.collect("pandas").to_native().set_index("user_id")
    assert set(users.index) == set(log["user_id"]) >= {"007", "NA", "null", "nan"}
    assert users.loc[["007", "NA"], "pre_clicks"].tolist() == [1, 2]
    assert users.loc[["007", "NA"], "country"].tolist() == ["NA", "DE"]


def test_a_users_file_reads_alike_in_every_engine(log, tmp_path):
    written = in_a_file("users.csv")(KNOWN, tmp_path)
    for known in (pa.Table.from_pandas(KNOWN), duckdb.connect().from_df(KNOWN), written):
        found = reduced(log, known, numbers=["dwell"]).users
        assert found.whole.sum("pre_clicks") == pytest.approx(3)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01 23:30:00",
        "2026-03-01T23:30:00Z",
        "2026-03-01T18:30:00-05:00",
        "2026-03-02T01:30:00.250+02:00",
        " 2026-03-01",
        "1772407800",
        " 1772407800.5",
    ],
)
def test_times_become_days_of_utc_however_they_are_written(tmp_path, written):
    path = in_a_file("log.csv")(LOG.drop(columns="day").assign(timestamp=written), tmp_path)
    assert reduced(path).first_day == pd.Timestamp("2026-03-01")


def test_the_time_zone_of_the_machine_does_not_move_a_day(tmp_path):
    stamps = pd.to_datetime(["2026-03-01 23:30"] * len(LOG), utc=True)
    LOG.drop(columns="day").assign(timestamp=stamps).to_parquet(tmp_path / "log.parquet")
    code = "import sys; from tests.made import rows_of; print(rows_of(sys.argv[1]).day_labels[0])"
    run = [sys.executable, "-c", code, str(tmp_path / "log.parquet")]
    said = subprocess.run(run, cwd=ROOT, env=os.environ | {"TZ": "Asia/Tokyo"}, capture_output=True, check=True)
    assert said.stdout.strip() == b"2026-03-01"


def test_a_column_of_text_with_numbers_is_read_as_numbers_where_a_metric_asks(tmp_path):
    path = in_a_file("log.csv")(LOG.assign(dwell=["1", " 2.5", "3", "0", "1e1", "-4"]), tmp_path)
    assert rows_of(path, numbers=["dwell"]).head(1)["dwell"].tolist() == [6.5]


def test_a_pilot_may_have_one_variant():
    alone = LOG.assign(variant="control")
    assert open_log(alone, pilot=True).collect("pyarrow").shape[0] == len(LOG)
    with pytest.raises(DataError, match="needs control"):
        open_log(alone)


def test_any_other_table_is_read_unchecked(tmp_path):
    table = open_table(in_a_file("items.csv")(pd.DataFrame({"item_id": ["01", "2"], "n": [1, 2]}), tmp_path))
    assert table.collect("pyarrow").to_dict(as_series=False) == {"item_id": ["01", "2"], "n": [1, 2]}


# Refusals


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("log.csv", b"", r"log\.csv is empty. Give a file with a header"),
        ("log.parquet", b"", r"log\.parquet is empty"),
        ("log.csv", b"user_id,slate_id,position,variant,item_id,clicked,day\n", r"log\.csv has no rows. Give at least"),
        ("log.xlsx", b"x", r"log\.xlsx is none of \.parquet, .* Convert it"),
        ("log.parquet", b"PAR1 and no more", r"log\.parquet cannot be read: .* Export it again"),
        ("log.csv.gz", b"user_id,slate_id", r"log\.csv\.gz .*has no rows"),
        (
            "log.csv.gz",
            gzip.compress(b"user_id,slate_id\n" * 999, mtime=0)[:-9],
            r"log\.csv\.gz cannot be .* Export it again",
        ),
        ("log.csv", b"PK\x03\x04 and more", r"log\.csv is a zip archive or an Excel workbook\. Save it as CSV"),
        ("log.csv", b"PAR1 and more", r"log\.csv is a Parquet file\. End its name in \.parquet"),
        ("log.csv", b"user_id,day,user_id\n", r"log\.csv: the column user_id stands there twice"),
        ("log.csv", b"user_id,day,Day\n", r"the column Day stands there twice, in capital and small letters"),
        ("log.csv", b'user_id,day\n"a,1\nb,2\n', r"log\.csv cannot be read: a quote that opens in line 2 does not end"),
        ("log.csv", b"user_id,day\na,1\nb\n", r"log\.csv cannot be read: line 3 has 1 columns, not 2\. It may be cut"),
    ],
)
@pytest.mark.parametrize("opened", [open_log, open_users])
def test_a_file_that_is_no_table_is_refused(tmp_path, opened, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        opened(tmp_path / name)


@pytest.mark.parametrize("opened", [open_log, open_users, open_table])
def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path, opened):
    for path, words in ((tmp_path / "log.csv", "There is no file .* Give the path"), (tmp_path, "holds no file")):
        with pytest.raises(DataError, match=words):
            opened(path)


def test_what_is_no_table_is_refused():
    with pytest.raises(DataError, match=r"A list is no table\. Give a file"):
        open_log([LOG])


def test_a_row_that_cannot_be_read_far_down_is_refused(tmp_path):
    rows = LOG.drop(columns="user_id").assign(user_id="b").sample(60_000, replace=True, random_state=1)
    path = in_a_file("log.csv")(rows, tmp_path)
    with path.open("ab") as file:
        file.write("x,1,1,control,x,0,ü\n".encode("latin-1"))
    assert set(column_names(path)) == set(LOG)  # names are known without the rows
    with pytest.raises(DataError, match=r"log\.csv cannot be read: line 60,002 is not UTF-8 text"):
        open_log(path)


@pytest.mark.parametrize("opened", [open_log, open_users, open_table])
def test_a_text_file_without_user_ids_is_read_as_far_as_it_may(tmp_path, opened):
    path = in_a_file("log.csv")(LOG.drop(columns="user_id"), tmp_path)
    if opened is open_table:
        assert "slate_id" in open_table(path).collect_schema().names()
        return
    with pytest.raises(DataError, match=r"log\.csv lacks the column user_id; it has slate_id, "):
        opened(path)
