"""Own tables are read from files and folders, or refused with what to do."""

import json
import re

import pandas as pd
import pyarrow as pa
import pytest
import yaml

from recab_helpers.data import load_dataset, read_table
from recab_helpers.errors import DataError
from recab_helpers.parameters import TrainParams
from recab_helpers.paths import ROOT
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


def test_two_files_that_may_differ_are_refused_and_a_backup_beside_the_table_is_left_alone(tmp_path):
    INTERACTIONS.to_csv(tmp_path / "interactions.csv", index=False)
    INTERACTIONS[:1].to_csv(tmp_path / "interactions.bak", index=False)
    INTERACTIONS[:1].to_csv(tmp_path / "interactions.csv.bak", index=False)
    assert len(load_dataset(TrainParams(dataset=str(tmp_path))).interactions) == 3
    INTERACTIONS.to_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(DataError, match=r"holds interactions.csv and interactions.parquet, which may differ"):
        load_dataset(TrainParams(dataset=str(tmp_path)))


LAYOUTS = {  # made-up rows in the layouts of public archives, as docs/your_data.md reads them
    "goodbooks.yaml": {
        "goodbooks-10k/ratings.csv": "user_id,book_id,rating\n1,258,5\n2,258,4\n2,7,2\n",
        "goodbooks-10k/books.csv": 'book_id,title,authors\n258,The Wind,C. Zafon\n7,"A, B",D\n',
    },
    "books.yaml": {
        "BX-CSV-Dump/BX-Book-Ratings.csv": '"User-ID";"ISBN";"Book-Rating"\n'
        '"1";"034545104X";"0"\n"2";"0155061224";"10"\n',
        "BX-CSV-Dump/BX-Books.csv": '"ISBN";"Book-Title";"Book-Author";"Publisher"\n'
        '"034545104X";"The \\"Caf\xe9\\"; a novel";"N A";"NA"\n"0155061224";"Rites";"J";"Heinle"\n',
    },
    "lastfm.yaml": {
        "hetrec2011-lastfm-2k/user_artists.dat": "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11\n3\t51\t40\n",
        "hetrec2011-lastfm-2k/artists.dat": 'id\tname\turl\n51\tDuran "Duran\thttp://x\n52\tNA\thttp://y\n',
    },
}


@pytest.mark.parametrize("page", LAYOUTS)
def test_the_page_on_own_data_reads_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in LAYOUTS[page].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    guide = (ROOT / "docs" / "your_data.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"```yaml\n# {page}\n(.*?)```", guide, re.DOTALL)
    dataset = load_dataset(TrainParams.of(yaml.safe_load(block)))
    catalog = dataset.catalog.set_index("item_id")
    if page == "goodbooks.yaml":
        assert dataset.read_as["ratings"] == "stars, from 2 to 5"
        assert catalog.loc["7", "text"] == "A, B D"
    if page == "books.yaml":
        assert dataset.read_as["ratings"] == "points, from 0 to 10"
        assert list(dataset.interactions["item_id"]) == ["034545104X", "0155061224"]
        assert catalog.loc["034545104X", "text"] == 'The "Caf\xe9"; a novel N A NA'
    if page == "lastfm.yaml":
        assert dataset.read_as["ratings"] == "counts, from 11 to 13883"
        assert list(catalog["title"]) == ['Duran "Duran', "NA"]


def test_a_column_that_is_not_there_is_named(tmp_path):
    INTERACTIONS.to_csv(tmp_path / "own.csv", index=False)
    params = TrainParams(dataset=str(tmp_path / "own.csv"), data_columns={"rating": "stars"})
    with pytest.raises(DataError, match=r"rating is stars, which own.csv lacks; it has user_id, item_id, rating"):
        load_dataset(params)


def test_a_file_that_is_cut_short_is_refused_in_one_sentence(tmp_path):
    INTERACTIONS.to_csv(tmp_path / "own.csv.gz", index=False)
    whole = (tmp_path / "own.csv.gz").read_bytes()
    (tmp_path / "own.csv.gz").write_bytes(whole[:-12])
    with pytest.raises(DataError, match=r"own.csv.gz cannot be read: .*cut short"):
        read_table(tmp_path / "own.csv.gz")


WRITTEN = pd.DataFrame(
    {
        "user_id": ["007", "007", "NA"],
        "item_id": ["7", "18446744073709551615", "7"],
        "rating": [1.5, 4.0, 5.0],
        "timestamp": ["2026-05-01 10:00:00", "2026-05-02T11:30:00", "2026-05-03 00:00:00"],
    }
)


def as_zst(table: pd.DataFrame, folder):
    with pa.output_stream(folder / "own.csv.zst", compression="zstd") as stream:
        stream.write(table.to_csv(index=False).encode())
    return folder / "own.csv.zst"


def as_excel_does(table: pd.DataFrame, folder):
    table.to_csv(folder / "own.csv", index=False, sep=";", encoding="utf-16", lineterminator="\r\n")
    return folder / "own.csv"


def in_parts(table: pd.DataFrame, folder):
    for i in range(3):
        (folder / "own").mkdir(exist_ok=True)
        table[i : i + 1].to_csv(folder / "own" / f"part-{i}.csv.gz", index=False)
    return folder / "own"


def by_day(table: pd.DataFrame, folder):
    for i in range(3):
        (folder / "own" / f"day={i}").mkdir(parents=True)
        table[i : i + 1].to_parquet(folder / "own" / f"day={i}" / "x.parquet")
    return folder / "own"


def in_a_folder_of_two(table: pd.DataFrame, folder):
    for i in range(3):
        (folder / "own" / "interactions").mkdir(parents=True, exist_ok=True)
        table[i : i + 1].to_json(folder / "own" / "interactions" / f"{i}.jsonl", orient="records", lines=True)
    catalog = [{"item_id": "7", "title": "NA", "text": ["Drama", "War"]}, {"item_id": "18446744073709551615"}]
    (folder / "own" / "catalog.jsonl").write_text("\n".join(map(json.dumps, catalog)))
    return folder / "own"


@pytest.mark.parametrize("write", [as_zst, as_excel_does, in_parts, by_day, in_a_folder_of_two])
def test_own_data_are_the_same_however_they_are_written(tmp_path, write):
    dataset = load_dataset(TrainParams(dataset=str(write(WRITTEN, tmp_path))))
    found = dataset.interactions[list(WRITTEN)]
    seconds = pd.to_datetime(WRITTEN["timestamp"], format="ISO8601").astype("datetime64[s]").astype("int64")
    wanted = WRITTEN.assign(timestamp=seconds.astype(float)).sort_values(["user_id", "item_id"], ignore_index=True)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    if write is in_a_folder_of_two:
        assert dataset.catalog.set_index("item_id").loc["7"].tolist() == ["NA", "Drama War"]


def test_decimal_commas_are_read_and_what_no_file_can_mean_is_refused_by_name(tmp_path):
    def loaded(table: pd.DataFrame):
        table.to_csv(tmp_path / "own.csv", index=False, sep=";", decimal=",")
        return load_dataset(TrainParams(dataset=str(tmp_path / "own.csv"))).interactions

    assert loaded(WRITTEN)["rating"].tolist() == [4.0, 1.5, 5.0]
    for table, said in (
        (WRITTEN.assign(rating="1,234"), "column rating holds '1,234' in row 1"),
        (WRITTEN.assign(rating=["4", "", "5"]), "column rating is empty in row 2"),
        (WRITTEN.assign(user_id="1.23456E+15", item_id=["a", "b", "c"]), "an id of so many digits was rounded"),
        (WRITTEN.rename(columns=str.upper), r"own\.csv lacks the column user_id, item_id; it has USER_ID, ITEM_ID, R"),
    ):
        with pytest.raises(DataError, match=said):
            loaded(table)


def test_a_quote_that_swallows_interactions_and_a_database_are_refused(tmp_path):
    (tmp_path / "own.csv").write_text('user_id,item_id,title\na,1,"x\nb,2,y\nc,3,z"\nd,4,w\n')
    with pytest.raises(DataError, match="holds whole rows"):
        read_table(tmp_path / "own.csv")
    (tmp_path / "own.sqlite").write_bytes(b"SQLite format 3")
    with pytest.raises(DataError, match=r"own\.sqlite is a database\. Export its table"):
        read_table(tmp_path / "own.sqlite")


def test_a_folder_of_parts_is_one_table(tmp_path):
    for i, rows in enumerate((INTERACTIONS[:1], INTERACTIONS[1:])):
        rows.to_parquet(tmp_path / f"part-{i:05d}.parquet")
    assert len(load_dataset(TrainParams(dataset=str(tmp_path))).interactions) == 3


FOREIGN = {  # made-up rows in the layouts of public logs without a header, and what they say
    "360k.tsv": (  # Last.FM 360K, whose artists are in the same file
        "00000C289A1829A808AC09C00DAF10BC3C4E223B\t3bd73256-3905-4f3a-97e2-8b341527f805\tbetty blowtorch\t2137\n"
        "00000c289a1829a808ac09c00daf10bc3c4e223b\tf2fb0ff0-5679-42ec-a55c-15109ce6e320\tdie \xc4rzte\t1099\n"
        "00001411DC427966B17297BF4D69E7E193135D89\t3bd73256-3905-4f3a-97e2-8b341527f805\tBetty Blowtorch\t3\n",
        {"user_id": "column 1", "item_id": "column 2", "title": "column 3", "rating": "column 4"},
        [2137, 1099, 3],
    ),
    "1k.tsv": (  # Last.FM 1K, an event a row
        "user_000001\t2009-05-04T23:08:57Z\tf1b1cf71-bd35-4e99-8624-24a6e15f133a\tDeep Dish\t\tFuck Me\n"
        "user_000001\t2009-05-04T13:54:10Z\ta7f7df4a-77d8-4f12-8acd-5c60c93f4de8\tbox\t\tComposition\n"
        "user_000001\t2009-05-04T13:52:04Z\ta7f7df4a-77d8-4f12-8acd-5c60c93f4de8\tbox\t\tMc2\n",
        {"user_id": "column 1", "item_id": "column 3", "timestamp": "column 2"},
        [2, 1],
    ),
    "filmtrust.txt": (
        "1 1 2\n1 2 4\n2 1 3.5\n",
        {"user_id": "column 1", "item_id": "column 2", "rating": "column 3"},
        [2, 4, 3.5],
    ),
    "ratings.dat": (
        "1::1193::5::978300760\n1::661::3::978302109\n2::661::4::978298413\n",
        {"user_id": "column 1", "item_id": "column 2", "rating": "column 3", "timestamp": "column 4"},
        [5, 3, 4],
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_logs_without_a_header_lose_no_row(name, tmp_path):
    text, columns, ratings = FOREIGN[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    dataset = load_dataset(TrainParams(dataset=str(tmp_path / name), data_columns=columns))
    assert dataset.interactions["rating"].tolist() == ratings
    if "title" in columns:
        assert dataset.catalog["title"].tolist() == ["betty blowtorch", "die \xc4rzte"]


def test_a_point_that_may_part_thousands_is_refused_and_three_decimals_are_not(tmp_path):
    """1.234 plays, as German writes them, were 1.234 plays."""

    def loaded(ratings: list[str]) -> list[float]:
        rows = [f"u;i{n};{rating}" for n, rating in enumerate(ratings)]
        (tmp_path / "own.csv").write_text("\n".join(["user_id;item_id;rating", *rows]))
        return load_dataset(TrainParams(dataset=str(tmp_path / "own.csv"))).interactions["rating"].tolist()

    with pytest.raises(DataError, match=r"column rating holds '1\.234' beside whole numbers, which may be 1234 or"):
        loaded(["999", "1.234", "17"])
    for fine in (["999", "1.234", "17.5"], ["1.234", "2.500"], ["0.125", "3", "1.234"], ["4", "1234.567"]):
        assert loaded(fine) == [float(f) for f in fine]


@pytest.mark.parametrize("name", ["r.csv.zip", "r.csv.bz2", "ml-25m.tar.gz"])
def test_what_is_packed_otherwise_says_so(name, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"is packed as it is not read\. Unpack it, or pack the file alone as \.gz"):
        load_dataset(TrainParams(dataset=str(tmp_path / name)))
