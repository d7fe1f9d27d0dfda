"""Some users of a log, one value each, to draw tests from."""

from collections.abc import Sequence
from dataclasses import replace

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers.impressions.aggregates import Sample
from recab_helpers.impressions.counting import UNIT
from recab_helpers.impressions.kept import keep
from recab_helpers.impressions.summing import day_numbers
from recab_helpers.impressions.user_rows import UserRows


def sample(rows: UserRows, columns: Sequence[str], daily: Sequence[str], *, most: int, looks: int) -> Sample:
    """Users by id with these columns, segments and what each day added; every k-th where there are more than `most`.

    Users without a number in one of the columns are left out. Where there are more days than `looks`, each of those
    stands for several.
    """
    users = rows.users.filter(*(nw.col(c).cast(nw.Float64).is_finite() for c in columns))
    n = int(users.select(n=nw.len()).collect("pyarrow")["n"][0])
    step = max(-(-n // most), 1)
    if step > 1:
        numbered = users.with_row_index("recab_row", order_by="user_id")
        users = keep(numbered.filter(nw.col("recab_row") % step == 0).drop("recab_row"))
    table = users.select("user_id", "variant", *columns, *rows.segments).collect("pandas").to_native()
    table = table.sort_values("user_id", ignore_index=True)  # engines give rows in any order, and draws go by row
    found = Sample(
        columns={c: table[c].to_numpy(dtype=np.float64) for c in columns},
        segments={s: table[s].to_numpy(dtype=str) for s in rows.segments},
        of=n,
    )
    if rows.days is None:
        return found
    days = rows.days.select(*UNIT, "day", *daily)
    if step > 1:
        days = days.join(users.select(*UNIT), on=list(UNIT), how="semi")
    parts = days.collect("pandas").to_native()
    user, day = pd.Index(table["user_id"]).get_indexer(parts["user_id"]), day_numbers(parts["day"], rows.day_labels)
    user, day, parts = user[user >= 0], day[user >= 0], parts[user >= 0]
    n_days = int(day.max()) + 1
    if n_days > looks:
        day, n_days = day * looks // n_days, looks
    values = np.zeros((len(table), n_days, len(daily)))
    np.add.at(values, (user, day), parts[list(daily)].to_numpy(dtype=np.float64))
    return replace(found, daily=values, daily_columns=tuple(daily))
