"""A log in its owner's words says what the same log in recab's words says, or is refused with the way out."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from recab_helpers.errors import DataError
from recab_helpers.impressions import Reading, open_users, read_log, read_users, reduce, user_rows, users_alone
from tests.made import LOG, log_like, rows_of

DATES = ["2026-05-01", "2026-05-01", "2026-05-04", "2026-05-02", "2026-05-02", "2026-05-13"]
MOMENTS = [datetime.fromisoformat(d).replace(hour=10, minute=30, tzinfo=UTC) for d in DATES]
TIMED = LOG.drop(columns="day").assign(timestamp=[m.replace(tzinfo=None) for m in MOMENTS])


def counts_of(read) -> dict[str, tuple[int, ...]]:
    rows = read.rows.collect("pandas").to_native()
    return {
        v: (g["user_id"].nunique(), g.groupby("user_id")["slate_id"].nunique().sum(), len(g), int(g["clicked"].sum()))
        for v, g in rows.groupby("variant")
    }


def days_of(read) -> list[str]:
    rows = read.rows.collect("pandas").to_native()
    return [str(t)[:10] for t in rows["timestamp"]]


def refusal(table, **how) -> str:
    with pytest.raises(DataError) as caught:
        read_log(table, how=Reading(**how))
    return str(caught.value)


SAME = counts_of(read_log(LOG))

# Times


def in_unit(per_second: int) -> list[int]:
    return [int(m.timestamp()) * per_second for m in MOMENTS]


TIMES = {
    "s": in_unit(1),
    "ms": in_unit(10**3),
    "us": in_unit(10**6),
    "ns": in_unit(10**9),
    "iso": [m.isoformat() for m in MOMENTS],
    "some fractions": [m.isoformat() + ("" if i % 2 else ".25") for i, m in enumerate(TIMED["timestamp"])],
    "offsets": [m.astimezone(ZoneInfo(z)).isoformat() for m, z in zip(MOMENTS, ["Asia/Tokyo", "UTC"] * 3, strict=True)],
    "BigQuery": [f"{m:%Y-%m-%d %H:%M:%S} UTC" for m in MOMENTS],
    "no colon": [f"{m:%Y-%m-%dT%H:%M:%S}+0000" for m in MOMENTS],
    "date": DATES,
    "yyyymmdd": [d.replace("-", "") for d in DATES],
    "yyyymmddhhmmss": [f"{m:%Y%m%d%H%M%S}" for m in MOMENTS],
    "day first": [f"{m:%d/%m/%Y %H:%M}" for m in MOMENTS],
    "month first": [f"{m:%m/%d/%Y %I:%M:%S %p}" for m in MOMENTS],
    "dots": [f"{m:%d.%m.%Y}" for m in MOMENTS],
}


@pytest.mark.parametrize("kind", TIMES)
@pytest.mark.parametrize("column", ["timestamp", "day"])
def test_a_moment_is_read_however_it_is_written(tmp_path, kind, column):
    TIMED.drop(columns="timestamp").assign(**{column: TIMES[kind]}).to_csv(tmp_path / "log.csv", index=False)
    read = read_log(tmp_path / "log.csv")
    assert days_of(read) == DATES
    assert counts_of(read) == SAME


def test_days_are_those_of_the_zone_and_none_is_lost_when_clocks_change():
    berlin = ZoneInfo("Europe/Berlin")
    local = [datetime(2026, 3, 28, 0, 30, tzinfo=berlin) + timedelta(days=i) for i in range(6)]
    wanted = [f"2026-03-{28 + i}" if i < 4 else f"2026-04-0{i - 3}" for i in range(6)]
    for table in (
        TIMED.assign(timestamp=[int(m.timestamp()) for m in local]),
        TIMED.assign(timestamp=[m.isoformat() for m in local]),
        TIMED.assign(timestamp=[m.replace(tzinfo=None) for m in local]),
    ):
        assert days_of(read_log(table, how=Reading(time_zone="Europe/Berlin"))) == wanted


def test_what_can_be_read_two_ways_is_asked_for():
    both = TIMED.assign(timestamp=[f"0{i}/05/2026" for i in range(1, 7)])
    assert "date_order=day_first or date_order=month_first" in refusal(both)
    assert days_of(read_log(both, how=Reading(date_order="day_first")))[1] == "2026-05-02"
    assert days_of(read_log(both, how=Reading(date_order="month_first")))[1] == "2026-02-05"
    small = TIMED.assign(timestamp=range(0, 600, 100))
    assert "Say what it counts: time_unit=s, or columns={day: timestamp}" in refusal(small)
    assert days_of(read_log(small, how=Reading(time_unit="s"))) == ["1970-01-01"] * 6


@pytest.mark.parametrize("value", [1e15, -4, "soon", "1970-01-01", "2026-05-01T00:00:00Z"])
def test_a_time_unlike_the_others_is_refused_by_name_or_dropped(value):
    seconds = [str(t) for t in TIMES["s"]]
    many = pd.concat([TIMED.assign(timestamp=seconds, slate_id=LOG["slate_id"] + 10 * i) for i in range(4)])
    odd = many.assign(timestamp=["nothing" if i == 2 else t for i, t in enumerate(many["timestamp"])])
    odd["timestamp"] = odd["timestamp"].replace("nothing", str(value))
    said = refusal(odd)
    assert "column timestamp holds " in said
    assert " in row 3" in said
    read = read_log(odd, how=Reading(drop_bad_rows=True))
    assert read.dropped == {"control": (1, 1)}
    assert len(days_of(read)) == len(many) - 1


def test_times_that_a_spreadsheet_shortened_are_refused_and_those_of_all_digits_are_read():
    short = TIMED.assign(timestamp=[f"{t:.2E}" for t in TIMES["s"]])
    assert "'1.78E+09' in row 1 (6 such rows); it was rounded there, as a spreadsheet" in refusal(short)
    whole = TIMED.assign(timestamp=[f"{t:.9e}" for t in TIMES["s"]])
    assert days_of(read_log(whole)) == days_of(read_log(TIMED.assign(timestamp=TIMES["s"])))


def test_a_day_far_from_all_others_is_refused():
    assert "holds 10000000 in row 6; it must be" in refusal(LOG.assign(day=[0, 1, 2, 3, 4, 10_000_000]))
    assert "holds 9000 in row 6; it is far from all others" in refusal(LOG.assign(day=[0, 1, 2, 3, 4, 9000]))
    assert "more than the 3,660 of ten years" in refusal(LOG.assign(day=[0, 1000, 2000, 3000, 4000, 5000]))


# Ids, clicks and variants


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
    assert counts_of(read_log(tmp_path / "log.parquet")) == SAME


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
    ],
)
def test_a_click_is_what_counts_as_one(values, click):
    log = LOG.assign(clicked=[values[0] if c else values[1] for c in LOG["clicked"]])
    assert counts_of(read_log(log, how=Reading(click=click))) == SAME


def test_an_empty_cell_is_no_value_of_a_click_however_it_is_stored():
    """Parquet keeps an empty text where CSV has none; it was read as no click."""
    words = ["buy" if c else "view" for c in LOG["clicked"]]
    said = refusal(LOG.assign(clicked=["", *words[1:]]), click=("buy",))
    assert "column clicked" in said
    assert "row 1" in said


def test_a_count_of_clicks_is_refused_with_the_parameter_that_reads_it():
    assert "Say what is a click, click=[positive] for a number above 0" in refusal(LOG.assign(clicked=3))


def test_columns_and_variants_have_their_owners_names():
    foreign = LOG.rename(columns={"user_id": "uid", "clicked": "hit", "day": "dt"}).assign(variant=[0] * 3 + [1] * 3)
    columns = {"user_id": "uid", "clicked": "hit", "day": "dt"}
    read = read_log(foreign, how=Reading(columns=columns, control="0"))
    assert counts_of(read) == {"control": SAME["control"], "1": SAME["treatment"]}
    assert "columns={user_id: uid}" in refusal(foreign.rename(columns={"hit": "clicked", "dt": "day"}), control="0")
    assert "which the table lacks; it has user_id" in refusal(LOG, columns={"item_id": "itm"})
    assert "control is 'A', but variant holds control, treatment" in refusal(LOG, control="A")


def test_two_spellings_of_a_variant_are_named():
    odd = LOG.assign(variant=["control", "control ", "control", "treatment", "Treatment", "treatment"])
    assert "'Treatment' and 'treatment' and 'control' and 'control ', which differ only by case or blanks" in refusal(
        odd
    )


def test_of_several_experiments_one_is_named():
    both = pd.concat([LOG.assign(experiment="home"), LOG.assign(experiment="search", clicked=1)])
    assert "holds several experiments" in refusal(both)
    assert counts_of(read_log(both, how=Reading(only={"experiment": "home"}))) == SAME
    assert "has no row in which experiment is 'hom'" in refusal(both, only={"experiment": "hom"})


def test_everything_that_is_wrong_is_said_at_once():
    said = refusal(LOG.drop(columns="item_id").assign(position=0, clicked=5, day="?"))
    assert said.startswith("the table has 4 faults. (1) the table lacks the column item_id")
    assert all(f"column {c} holds" in said for c in ("position", "clicked", "day"))


def test_columns_that_nobody_reads_are_named_with_what_they_may_be():
    [note] = read_log(LOG.assign(clicks_30d=7, bought=[0, 1] * 3)).notes
    assert (
        note
        == "the table: not read: clicks_30d (did you mean pre_clicks?), bought (0 or 1: a metric by metrics=[bought])"
    )


# Slates


def test_slate_ids_that_count_per_day_are_made_whole():
    log = LOG.assign(slate_id=1, position=1, day=[0, 1, 2, 0, 1, 0])
    read = read_log(log)
    assert counts_of(read) == {"control": (1, 3, 3, 2), "treatment": (2, 3, 3, 1)}
    assert read.notes == ("slate ids count per day, so that a slate is told by its id and its day",)
    assert "rows have the same user_id, slate_id and position" in refusal(log.assign(day=0))


def test_without_slates_or_positions_what_needs_them_is_left_out(rng):
    log = log_like(rng, n_users=60)
    bare = user_rows(read_log(log.drop(columns=["slate_id", "position"])).rows)
    assert set(bare.numeric) == {"impressions", "clicks", "novelty_bits", "clicked_any"}
    test, whole = reduce(bare), reduce(rows_of(log))
    assert test.by_position is None
    for variant, s in test.users.statistics.items():
        assert s.sum("clicks") == whole.users.statistics[variant].sum("clicks")
    pd.testing.assert_frame_equal(test.by_day, whole.by_day)


def test_a_row_a_slate_with_lists_is_unfolded(tmp_path):
    by = LOG.groupby(["user_id", "slate_id", "variant", "day"])
    lists = by.agg(item_id=("item_id", list), clicked=("clicked", list)).reset_index()
    mind = by.apply(lambda g: " ".join(f"{i}-{c}" for i, c in zip(g["item_id"], g["clicked"], strict=True)))
    named = by.apply(lambda g: g.loc[g["clicked"] == 1, "item_id"].tolist()).rename("clicked")
    texts = lists.assign(
        clicked=lists["clicked"].map(str), item_id=lists["item_id"].map(lambda x: str(x).replace("'", '"'))
    )
    tables = {
        "lists": lists,
        "MIND": mind.rename("item_id").reset_index(),
        "clicked items": lists.drop(columns="clicked").merge(named.reset_index()),
        "JSON": texts,
        "as Python writes lists": lists.assign(clicked=lists["clicked"].map(str), item_id=lists["item_id"].map(str)),
    }
    for kind, table in tables.items():
        table.to_parquet(tmp_path / "log.parquet")
        assert counts_of(read_log(tmp_path / "log.parquet")) == SAME, kind


def test_impressions_and_clicks_of_two_tables_are_joined():
    shown = LOG.drop(columns="clicked")
    clicks = LOG.loc[LOG["clicked"] == 1, ["slate_id", "item_id"]]
    assert counts_of(read_log(shown, clicks=clicks)) == SAME
    read = read_log(shown, clicks=pd.concat([clicks, pd.DataFrame({"slate_id": [99], "item_id": ["x"]})]))
    assert read.notes[0] == "1 clicks of the table are of no impression of the table, and are left out"
    with pytest.raises(DataError, match="of 3 clicks of the table only 0 are of an impression"):
        read_log(shown, clicks=clicks.assign(slate_id=[7, 8, 9]))


# Users


def test_rows_before_the_start_become_what_is_known_of_the_users():
    before = LOG.assign(day=LOG["day"] - 10, variant=None, slate_id=LOG["slate_id"] + 10)
    read = read_log(pd.concat([before, LOG]), how=Reading(starts="0"))
    assert counts_of(read) == SAME
    users = user_rows(read.rows, before=read.before).head()
    assert users["pre_impressions"].tolist() == users["impressions"].tolist()
    assert users["pre_clicks"].tolist() == users["clicks"].tolist()
    assert users["pre_sessions"].tolist() == users["sessions"].tolist()
    assert "no row is before it" in refusal(LOG, starts="-1")
    assert "starts is '2026-05-01', but the table counts its days" in refusal(LOG, starts="2026-05-01")


def test_a_table_of_users_may_have_decimal_commas_and_lie_in_parts(tmp_path):
    users = pd.DataFrame({"user_id": list("abcd"), "variant": ["control", "treatment"] * 2, "paid": [1.5, 2, 3.25, 0]})
    for i, part in enumerate((users[:2], users[2:])):
        part.to_csv(tmp_path / f"{i}.csv", sep=";", decimal=",", index=False)
    read = open_users(tmp_path, numbers=["paid"], alone=True)
    assert read.collect("pandas").to_native().to_dict("list") == users.to_dict("list")
    users.assign(paid="1,234").to_csv(tmp_path / "0.csv", sep=";", index=False)
    with pytest.raises(DataError, match=r"column paid holds '1,234' in row 1 of 0 .*it must be a finite number"):
        open_users(tmp_path, numbers=["paid"], alone=True)


def test_a_users_table_that_knows_nobody_of_the_log_is_refused():
    known = pd.DataFrame({"user_id": ["1", "2", "3"], "pre_clicks": 1})
    with pytest.raises(DataError, match=r"knows 0 of the 3 users of the log: .* a, b, c in the log and 1, 2, 3 in the"):
        rows_of(LOG, known)


def test_a_table_of_users_stands_alone(tmp_path):
    users = pd.DataFrame({"uid": range(6), "arm": list("AABBCC"), "came_back": [True, False] * 3, "spent": range(6)})
    users.assign(country=["DE", "NL"] * 3).to_csv(tmp_path / "users.csv", index=False)
    how = Reading(columns={"user_id": "uid", "variant": "arm"}, control="A")
    known = open_users(tmp_path / "users.csv", numbers=["came_back"], how=how, alone=True)
    test = reduce(users_alone(known), ["spent"], goals=[("came_back",)])
    assert test.users.variants == ("control", "B", "C")
    assert {v: (s.sum("came_back"), s.sum("spent")) for v, s in test.users.statistics.items()} == {
        "control": (1, 1), "B": (1, 5), "C": (1, 9),
    }  # fmt: skip
    assert set(test.users.segments["country"]) == {"DE", "NL"}
    assert test.by_day is test.running is test.by_position is None


def test_a_users_table_without_ids_is_read_row_by_row_only_where_none_of_its_columns_may_be_the_id(tmp_path):
    users = pd.DataFrame({"arm": list("AABB"), "spent": range(4)})
    how = Reading(columns={"variant": "arm"}, control="A")
    read = read_users(users, how=how, alone=True)
    assert "the table has no user_id, so that each of its rows is taken for a user" in read.notes
    assert read.rows.collect("pandas").to_native()["user_id"].nunique() == 4
    for called in ("uid", "customer", "CustomerId", "cust key", "device_uuid", "hash", "e_mail_hash"):
        table = users.assign(**{"customer_id" if called == "customer" else called: ["a", "a", "b", "c"]})
        with pytest.raises(DataError, match=r"lacks the column user_id.* say which one it is: columns=\{user_id: "):
            read_users(table, how=how, alone=True)


# Where a bad cell stands


def test_the_row_of_a_bad_cell_is_that_of_its_file(tmp_path):
    (tmp_path / "log").mkdir()
    for i, part in enumerate(
        (LOG, LOG.assign(slate_id=LOG["slate_id"] + 10), LOG.assign(slate_id=LOG["slate_id"] + 20))
    ):
        clicked = part["clicked"].astype(str).where(~((part.index == 3) & (i == 1)), "maybe")
        part.assign(clicked=clicked).to_csv(tmp_path / "log" / f"part-{i}.csv", index=False)
    assert "log: column clicked holds 'maybe' in row 4 of part-1; it must be" in refusal(tmp_path / "log")


def test_rows_are_counted_as_they_lie_whatever_was_made_of_them(tmp_path):
    mixed = LOG.assign(experiment=["b"] * 2 + ["a"] * 4, clicked=["0", "1", "0", "1", "maybe", "0"])
    mixed = pd.concat([mixed, mixed.assign(experiment="a", clicked="1", slate_id=LOG["slate_id"] + 10)])
    assert "holds 'maybe' in row 5;" in refusal(mixed, only={"experiment": "a"})
    slates = LOG.groupby(["user_id", "slate_id", "variant", "day"]).agg(
        item_id=("item_id", list), clicked=("clicked", list)
    )
    slates.reset_index().assign(day=["0", "1", "soon", "2"]).to_parquet(tmp_path / "log.parquet")
    assert "column day holds 'soon' in row 3 " in refusal(tmp_path / "log.parquet")


def test_a_log_without_a_header_is_read_by_the_numbers_of_its_columns(tmp_path):
    LOG.to_csv(tmp_path / "log.tsv", sep="\t", header=False, index=False)
    said = refusal(tmp_path / "log.tsv")
    assert "it has column 1, column 2, column 3, column 4, column 5, column 6, column 7" in said
    numbered = {name: f"column {i}" for i, name in enumerate(LOG, 1)}
    assert counts_of(read_log(tmp_path / "log.tsv", how=Reading(columns=numbered))) == SAME


def test_a_table_of_sqlite_is_kept_beside_what_is_computed_from_it(tmp_path):
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as made:
        LOG.to_sql("log", made, index=False)
    known = pd.DataFrame({"user_id": list("abc"), "pre_clicks": 1})
    for _ in range(3):  # names of tables in the engine are given by two counters
        rows_of(tmp_path / "log.sqlite", known)
        assert reduce(rows_of(LOG)).n_impressions == reduce(rows_of(tmp_path / "log.sqlite")).n_impressions == 6


def test_blanks_around_a_variant_that_is_written_in_one_way_are_no_part_of_its_name():
    read = read_log(LOG.assign(variant=" " + LOG["variant"]))
    assert counts_of(read) == SAME
    assert read.notes == ()
