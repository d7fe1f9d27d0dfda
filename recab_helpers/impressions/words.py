"""Names that other systems give to the columns of a log, and what they may be."""

import re
from collections.abc import Mapping, Sequence

AN_ID = re.compile(r"(?i:(^|[_ .-])(id|uid|guid|uuid|key|hash|email|phone)$)|[a-z](Id|ID|Uid|UUID|Key|Hash)$")
SYNONYMS: dict[str, tuple[str, ...]] = {  # names that other systems use, to propose them
    "user_id": ("user", "uid", "visitor_id", "customer_id", "account_id", "member_id", "user_pseudo_id",
                "device_id", "client_id", "full_visitor_id", "player_id", "anonymous_id", "distinct_id"),
    "slate_id": ("slate", "request_id", "impression_id", "page_view_id", "list_id", "query_id", "session_id",
                 "search_id"),
    "position": ("pos", "rank", "slot", "item_position", "index"),
    "variant": ("group", "bucket", "arm", "test_group", "variation", "variation_id", "branch", "grp",
                "experiment_group", "ab_group", "cell", "version", "treatment", "segment"),
    "item_id": ("item", "product_id", "movie_id", "article_id", "news_id", "sku", "content_id",
                "video_id", "book_id", "impressions", "items"),
    "clicked": ("click", "is_click", "is_clicked", "clicks", "label", "event", "event_type", "action", "n_clicks"),
    "timestamp": ("ts", "time", "datetime", "event_time", "event_timestamp", "created_at", "shown_at", "date_time"),
    "day": ("date", "dt", "event_date", "ds"),
    "title": ("name", "item_title", "item_name"),
}  # fmt: skip


def propose(
    there: Sequence[str], wanted: Sequence[str], synonyms: Mapping[str, Sequence[str]] = SYNONYMS
) -> dict[str, str]:
    """Which of these columns may be which of the contract's, by the names that other systems use.

    >>> propose(["visitorId", "Event Time", "item.id", "price"], ["user_id", "timestamp", "item_id"])
    {'user_id': 'visitorId', 'timestamp': 'Event Time', 'item_id': 'item.id'}
    """
    found: dict[str, str] = {}
    bare = {_bare(c): c for c in reversed(there)}
    for ours in wanted:
        for guess in map(_bare, (ours, *synonyms.get(ours, ()))):
            if guess in bare and bare[guess] not in found.values():
                found[ours] = bare[guess]
                break
    return found


def _bare(column: str) -> str:
    """The name without what divides its words: EventTime, event time and event_time are one."""
    return re.sub(r"[ _.-]", "", column.casefold())
