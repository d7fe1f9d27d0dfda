"""A moment is read however it is written, or asked for, or refused by name."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from recab_helpers.impressions import Reading, read_log
from tests.made import COUNTS_OF_LOG, DATES, LOG, MOMENTS, TIMED, counts_of, refusal


def days_of(read) -> list[str]:
    rows = read.rows.collect("pandas").to_native()
    return [str(t)[:10] for t in rows["timestamp"]]


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
    assert counts_of(read) == COUNTS_OF_LOG


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
