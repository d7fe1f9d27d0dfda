"""What is known of the users from before the test: counted from the log, or in a table of its own."""

import math
from collections.abc import Iterable, Sequence

import narwhals as nw

from recab_helpers.errors import DataError, ParameterError, nearest
from recab_helpers.impressions.contract import USER
from recab_helpers.impressions.kept import here
from recab_helpers.impressions.statistics import KNOWN, PRE, name_before

COUNTED = ("impressions", "clicks", "sessions")  # in the period before, where the log holds it
KEY = "recab_key"  # ids as text, by which tables meet
UNKNOWN = "unknown"  # level of users of whom a segment is not known
FEW_KNOWN, NEARLY_ALL = 0.05, 0.95  # shares of users that the log and a table of users have in common


def as_before(known: nw.LazyFrame, covariates: Sequence[str]) -> tuple[nw.LazyFrame, tuple[str, ...]]:
    """A table of users with the columns that covariates name called what they are, known before the test, and notes.

    Users without a number in one have the mean of the others; a count of before that is empty is left to be 0.

    Raises:
        ParameterError: a covariate is no number, or the same for all users, or infinite for some.
    """
    schema, called = known.collect_schema(), {}
    for column in covariates:
        if column in schema and (twin := name_before(column)) != column and twin in schema:
            raise ParameterError(f"covariates names {column}, but the users table also has {twin}. Name that one.")
        if there := next((c for c in (column, column.removeprefix(PRE)) if c in schema), ""):
            if not schema[there].is_numeric():
                raise ParameterError(
                    f"covariates names {there}, which is no number in the users table. Leave it out; text tells "
                    "segments."
                )
            called[there] = name_before(column)
    if not called:
        return known, ()
    known = known.with_columns(*(nw.col(c).cast(nw.Float64) for c in called)).rename(called)
    ends = {f"{end} {c}": getattr(nw.col(c), end)() for c in called.values() for end in ("min", "max", "mean")}
    ends |= {f"without {c}": nw.col(c).is_null().cast(nw.Int64).sum() for c in called.values()}
    of, notes = known.select(**ends).collect("pyarrow").rows(named=True)[0], []
    for was, c in called.items():
        low, high, n = of[f"min {c}"], of[f"max {c}"], of[f"without {c}"]
        if low is None or low == high:
            raise ParameterError(f"covariates names {was}, which is the same for all users. Leave it out.")
        if not math.isfinite(of[f"mean {c}"]):
            raise ParameterError(f"covariates names {was}, which is infinite for some users. Correct it.")
        if n and was != c:
            notes.append(f"{n:,} {'user' if n == 1 else 'users'} without {was} have the mean of the others")
    means = {c: nw.col(c).fill_null(of[f"mean {c}"]) for was, c in called.items() if was != c}
    return known.with_columns(**means) if means else known, tuple(notes)


def refuse_lacking(covariates: Sequence[str], available: Iterable[str], others: Iterable[str] = ()) -> None:
    """Refuse a covariate that is not among the columns that were known before; `others` could be named too.

    Raises:
        ParameterError: there is one.
    """
    before = sorted({c for c in available if c.startswith(PRE) and c != KNOWN})
    if lacking := [c for c in covariates if name_before(c) not in before]:
        choices = {*before, *others}
        way = nearest(lacking[0], choices) if choices else "Give a users table that has it, or leave it out."
        raise ParameterError(f"covariates names {lacking[0]}, which is not known of the users before the test. {way}")


def counts_before(before: nw.LazyFrame, numbers: Sequence[str]) -> nw.LazyFrame:
    """Counts per user of the period before the test, as columns that begin with PRE."""
    names = before.collect_schema().names()
    counts = dict(zip(COUNTED, (nw.len(), nw.col("clicked").sum(), nw.col("slate_id").n_unique()), strict=True))
    if "slate_id" not in names:
        counts.pop("sessions")
    counts |= {n: nw.col(n).sum() for n in numbers}
    found = before.group_by("user_id").agg(*(e.cast(nw.Float64).alias(f"{PRE}{n}") for n, e in counts.items()))
    return found.with_columns(nw.col("user_id").cast(nw.String))


def unknown_to(users: nw.LazyFrame, known: nw.LazyFrame) -> tuple[int, list[str]]:
    """How many of the log's users a table lacks, and a note where it knows not nearly all.

    Raises:
        DataError: it knows so few that the ids of the two cannot be the same things.
    """
    ids = here(known.select(USER.name)).unique()
    mine = here(users.select(nw.col(USER.name).cast(nw.String)).unique())
    both_have = mine.join(ids, on=USER.name, how="semi")
    n, m, both = (int(t.select(nw.len().alias("n")).collect("pyarrow")["n"][0]) for t in (mine, ids, both_have))
    if both < FEW_KNOWN * min(n, m):
        shown = [", ".join(t.sort(USER.name).head(3).collect("pyarrow")[USER.name].to_list()) for t in (mine, ids)]
        raise DataError(
            f"The users table knows {both:,} of the {n:,} users of the log: their ids are not the same, {shown[0]} in "
            f"the log and {shown[1]} in the table. Write them alike, leading zeros too."
        )
    note = f"the users table knows {both:,} of the {n:,} users of the log"
    return n - both, [note] if both < NEARLY_ALL * n else []


def refuse_taken(names: Sequence[str], taken: set[str]) -> None:
    """Refuse a table of users with a column that the log's users already have.

    Raises:
        DataError: there is one.
    """
    if clash := sorted(taken & set(names)):
        raise DataError(
            f"The users table has the column {clash[0]}, which is counted from the log. Rename it, or leave it out."
        )


def join_known(
    users: nw.LazyFrame, known: nw.LazyFrame, *, taken: set[str]
) -> tuple[nw.LazyFrame, list[str], list[str]]:
    """The users with what is known of them, and the names of the numeric and of the text columns of that."""
    schema = known.drop("variant", strict=False).collect_schema()
    refuse_taken(schema.names(), taken)
    names = [n for n in schema.names() if n != USER.name]
    numeric = [n for n in names if schema[n].is_numeric()]
    text = [n for n in names if schema[n] in (nw.String, nw.Categorical, nw.Boolean) or schema[n] == nw.Enum]
    known = known.select(USER.name, *numeric, *text)
    if any(n.startswith(PRE) for n in numeric) and KNOWN not in {*numeric, *taken}:
        known, numeric = known.with_columns(nw.lit(1.0).alias(KNOWN)), [*numeric, KNOWN]
    more = here(known).rename({USER.name: KEY})
    joined = users.with_columns(nw.col(USER.name).cast(nw.String).alias(KEY)).join(more, on=KEY, how="left").drop(KEY)
    filled = {n: nw.col(n).cast(nw.Float64).fill_null(0.0) for n in numeric if n.startswith(PRE)}
    filled |= {n: nw.col(n).cast(nw.String).fill_null(UNKNOWN) for n in text}
    return joined.with_columns(**filled) if filled else joined, numeric, text
