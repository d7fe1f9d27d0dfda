"""Whether the ids of slates are those of one slate each, and how they become so."""

from collections.abc import Sequence

import narwhals as nw

from recab_helpers.engine import name
from recab_helpers.impressions.counting import count
from recab_helpers.impressions.events import NEARLY_ALL, click_rows
from recab_helpers.impressions.reader import Reader


def make_slates_whole(log: Reader, numbers: Sequence[str]) -> None:
    """Make slate ids that count per day or per moment those of one slate each; refuse rows that stand there twice.

    The log is counted on the way, so that a log whose slates are whole is not gone through for that alone.
    """
    if not log.exempt:
        log.counted = count(nw.from_native(log.frame()), numbers, log.variants)
    if "slate_id" not in log.typed or (log.counted and log.counted.last and not log.counted.repeats):
        return
    kept, time = log.frame(), log.typed[log.time]
    rank = "position" if "position" in log.typed else "item_id"
    day = f'"{log.time}"' if log.time == "day" else '"timestamp"::date'
    for key, said in (("", ""), (day, "day"), (f'"{log.time}"', "moment")):
        by = f"user_id, variant, slate_id{', ' if key else ''}{key}"
        twice = kept.aggregate(f"count(*) as n, {_distinct(rank, log)} as d", by).filter("n > d")
        if twice.limit(1).fetchall():
            continue
        if key:
            log.counted = None
            clicks, beside = click_rows(log, f"user_id, slate_id, {rank}, {day}")
            if said == "moment" and clicks and beside >= NEARLY_ALL * clicks:
                log.faults.append(
                    f"{log.source}: of {clicks:,} items with a click, {beside:,} have a row without one too, in the "
                    "slate of the same id and day. Where an impression and its click have a row each, keep that of the "
                    "impression and mark it; else give every slate an id of its own."
                )
                return
            log.typed["slate_id"] = (
                f"concat_ws(' ', {log.typed['slate_id']}, {key.replace(name(log.time), f'({time})')})"
            )
            log.notes.append(f"slate ids count per {said}, so that a slate is told by its id and its {said}")
        return
    keys = ["user_id", "slate_id", rank]
    again = kept.aggregate(f"{', '.join(keys)}, count(*) as n", ", ".join(keys)).filter("n > 1")
    *first, n = again.order(", ".join(keys)).limit(1).fetchall()[0]
    log.faults.append(
        f"{log.source}: {n:,} rows have the same user_id, slate_id and {rank}, {dict(zip(keys, first, strict=True))}. "
        "Keep one of each."
    )


def _distinct(rank: str, log: Reader) -> str:
    """SQL of how many distinct ranks a slate has; by bits where the ranks are small, which takes no memory."""
    if rank == "position":
        top = log.relation.aggregate(f"max({log.typed['position']})").fetchall()[0][0]
        if top is not None and top <= 62:
            return "bit_count(bit_or(1::bigint << position::int))"
    return f"count(distinct {rank})"
