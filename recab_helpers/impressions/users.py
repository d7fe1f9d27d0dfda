"""A table of users, one row each: beside a log, or alone with their variants."""

from collections.abc import Sequence
from pathlib import Path

import narwhals as nw

from recab_helpers.impressions.contract import IMPRESSIONS, USER, of_users
from recab_helpers.impressions.faults import check_cells
from recab_helpers.impressions.kept import here
from recab_helpers.impressions.other_columns import read_others
from recab_helpers.impressions.reader import Cell, Reader
from recab_helpers.impressions.reading import AS_IS, Read, Reading
from recab_helpers.impressions.sources import Table, is_text, opened
from recab_helpers.impressions.variants import read_variants
from recab_helpers.tables import FILE_NAME, parts_of, reading


def open_users(table: Table, *, numbers: Sequence[str] = (), how: Reading = AS_IS, alone: bool = False) -> nw.LazyFrame:
    """The rows of `read_users`."""
    return read_users(table, numbers=numbers, how=how, alone=alone).rows


def read_users(table: Table, *, numbers: Sequence[str] = (), how: Reading = AS_IS, alone: bool = False) -> Read:
    """What is known of users, one row each: counts from before the test (`pre_`), segments as text, numbers.

    `numbers` names the columns that metrics read: true and false are 1 and 0 there. Of a table that stands `alone`,
    without a log, the variant is read too; where no column of it can be the id of a user, every row is one, and a note
    says so.

    Raises:
        DataError: the file cannot be read, user_id is missing or repeated, or a cell breaks its column; everything that
            is wrong is said at once.
    """
    frame, source = opened(table, how.table if alone else "")
    users = Reader(here(frame).to_native(), source, how if alone else Reading(columns=_known_by(how, frame)))
    if isinstance(table, (str, Path)) and len(parts_of(table)) > 1:
        users.hide(FILE_NAME)  # is of the files, not of the users
    with reading(source):
        if alone:
            users.keep_only()
            if not users.has(USER.name) and not users.may_be_ids():
                users.change(lambda r: r.project("*, row_number() over () as recab_unit"))
                users.cells[USER.name] = Cell("recab_unit", "BIGINT")
                users.notes.append(f"{source} has no user_id, so that each of its rows is taken for a user")
        users.require([USER.name, *(["variant"] if alone else [])])
        for column in of_users(list(users.cells)):
            if users.has(column.name):
                users.read_kind(column)
        if alone and users.has("variant"):
            read_variants(users, IMPRESSIONS[3])
        elif users.has("variant"):
            users.hide("variant")
        read_others(users, numbers, typed=not is_text(table))
        check_cells(users)
        if not users.faults:
            kept = users.frame()
            twice = kept.aggregate("user_id, count(*) as n", "user_id").filter("n > 1").order("user_id").limit(1)
            for user, n in twice.fetchall():
                users.faults.append(f"{source}: {n:,} rows have the user_id {user!r}. Keep one.")
        users.refuse()
        columns = {ours: users.written(ours) for ours in users.typed}
        return Read(rows=nw.from_native(users.frame()), source=source, columns=columns, notes=tuple(users.notes))


def _known_by(how: Reading, users: nw.LazyFrame) -> dict[str, str]:
    """Of the names of the log, those that the table of its users has too."""
    names = users.collect_schema().names()
    return {ours: theirs for ours, theirs in how.columns.items() if theirs in names and ours not in names}
