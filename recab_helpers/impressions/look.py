"""What recab understands of a file: its columns, which of them is which, its users, variants and days."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import narwhals as nw

from recab_helpers.errors import DataError, ParameterError, nearest
from recab_helpers.impressions.contract import IMPRESSIONS, TIMES, TITLE
from recab_helpers.impressions.counting import COUNTS, day_of, days_to_return, summed_of
from recab_helpers.impressions.known import COUNTED, as_before, refuse_lacking, refuse_taken, unknown_to
from recab_helpers.impressions.log import read_log
from recab_helpers.impressions.quantiles import refuse_least, refuse_unordered, refuse_unspread
from recab_helpers.impressions.reader import Reader
from recab_helpers.impressions.reading import Reading
from recab_helpers.impressions.sources import column_names
from recab_helpers.impressions.spark import spark_is_there
from recab_helpers.impressions.statistics import PRE
from recab_helpers.impressions.sums import holds_sums, proposed_sums, read_sums
from recab_helpers.impressions.times import days_of_ends
from recab_helpers.impressions.user_rows import refuse_returns, refuse_short
from recab_helpers.impressions.users import open_users, read_users
from recab_helpers.impressions.values import is_number
from recab_helpers.impressions.variants import refuse_unplanned
from recab_helpers.impressions.words import propose
from recab_helpers.parameters import AnalyzeParams, DesignsParams, PlanParams, ReadParams
from recab_helpers.references import in_order
from recab_helpers.tables import kind_of, open_file, parts_of, reading

CHECKED_AT_ONCE = 200_000_000  # bytes of a log that is read through before anything starts
EXAMPLES, FIRST = 3, 5
WIDE = 40  # letters of a value that is shown
OF_DESIGNS = {  # what a column is of, and how it is read
    "team": ("interleaved slates, which tells who picked the item", "design=interleaved"),
    "propensity": ("a log that another model can be read from", "design=off_policy target=models:/NAME/3"),
}


def look(params: ReadParams) -> str:
    """What is understood of the log, or of the table of users, as lines of text; what is wrong with it, too.

    Raises:
        DataError: the file cannot be read at all.
        ParameterError: no file is named.
    """
    path = params.log_file or params.users_file
    if not path:
        raise ParameterError("No file is named. Give one: make look LOG=impressions.parquet, or USERS=users.parquet.")
    how = Reading.of(params)
    relation, source = open_file(path, table=how.table)
    table = Reader(relation, source, how)
    with reading(source):
        first = relation.limit(FIRST).fetchall()
    guessed = (params.log_file and proposed_sums(list(table.cells))) or propose(list(table.cells), _wanted(params))
    ours_of = {table.written(ours): ours for ours in how.columns} | {v: k for k, v in guessed.items()}
    lines = [f"{source}, {len(relation.columns)} columns:"]
    width = max(map(len, relation.columns))
    for i, (column, kind) in enumerate(zip(relation.columns, relation.types, strict=True)):
        shown = ", ".join(dict.fromkeys(_short(row[i]) for row in first[:EXAMPLES]))
        taken = f"  -> {ours_of[column]}" if column in ours_of else ""
        lines.append(f"  {column:<{width}}  {kind}  {shown}{taken}")
    mapping = dict(how.columns) | {ours: theirs for ours, theirs in guessed.items() if ours != theirs}
    if mapping != dict(how.columns):
        named = ", ".join(f"{ours}: {theirs}" for ours, theirs in mapping.items())
        lines.append(f'Proposed by their names, to be checked: SET="columns={{{named}}}"')
    for column, (what, way) in OF_DESIGNS.items():
        if params.log_file and table.has(column):
            lines.append(f'Column {table.written(column)} is one of {what}: SET="{way}"')
    try:
        lines += _contents(params, how)
    except DataError as error:
        lines.append(f"It cannot be analyzed as it is: {error}")
    return "\n".join(lines)


def check_early(params: ReadParams, asked: Sequence[str] = (), quantiles: Sequence[str] = ()) -> None:
    """Read what a run is about to read, so that whatever is wrong with it is said before anything starts.

    A large log is read through once only, by the run itself, and so is one that Spark reads; of Parquet, the ends of
    its columns are looked at. `asked` are the columns that the metrics of the parameters read, and `quantiles` those of
    the impressions of which a quantile is told.

    Raises:
        DataError: the log, or the table of its users, breaks its contract, or they know no user in common.
        ParameterError: the log holds sums of several metrics, and none is the goal; a covariate is none; a metric reads
            what is not there, or who came back of a log that is too short; a variant has no planned share.
    """
    how = Reading.of(params)
    if how.engine == "spark":
        spark_is_there()
        return
    covariates, planned = (params.covariates, params.planned) if isinstance(params, AnalyzeParams) else ([], {})
    pilot = isinstance(params, (PlanParams, DesignsParams))
    if params.log_file and not pilot and holds_sums(params.log_file, how):
        if covariates:
            raise ParameterError(f"covariates names {covariates[0]}, but the log holds sums of users. Leave it out.")
        sums = read_sums(params.log_file, how)
        _refuse_without_goal(params, sums.numeric)
        refuse_unplanned(planned, in_order(sums.head()["variant"].unique()))
        return
    known = read = None
    if params.users_file:
        known = open_users(params.users_file, how=how, alone=not params.log_file)
        known, _ = as_before(known, covariates)
    names = [] if known is None else known.collect_schema().names()
    others = [] if known is None else [n for n, kind in known.collect_schema().items() if kind.is_numeric()]
    if not params.log_file and (lacking := [c for c in asked if c not in names]):
        raise ParameterError(
            f"A metric reads the column {lacking[0]}, which the users do not have. {nearest(lacking[0], names)}"
        )
    there = tuple(column_names(params.log_file, how)) if params.log_file else ()
    refuse_unspread(quantiles, there)
    if params.log_file:
        summed = summed_of(asked, there, [n for n in names if n not in quantiles])
        if sum(p.stat().st_size for p in parts_of(params.log_file)) < CHECKED_AT_ONCE:
            read = read_log(params.log_file, numbers=summed, pilot=pilot, how=how, clicks=params.clicks_file or None)
            there = tuple(read.rows.collect_schema().names())  # slates may be made of lists
            if isinstance(params, DesignsParams) and "position" not in there:
                source = Path(params.log_file).name
                raise DataError(f"{source} has no column position, which says how many items a slate has. Add it.")
        without = {"sessions": "slate_id", "weighted_clicks": "position"}
        counts = {c for c in COUNTS if c not in without or without[c] in there}
        refuse_taken(names, {*counts, *summed, "exposure", "first_day"})
        names = [*names, *(f"{PRE}{c}" for c in (*(counts & {*COUNTED}), *summed) if params.starts)]
    refuse_lacking(covariates, names, others)
    retained = [c for c in asked if days_to_return(c) and c not in (*there, *names)] if params.log_file else []
    refuse_returns(retained, how)
    tested = known if not params.log_file else None if read is None else read.rows
    if planned and tested is not None:
        refuse_unplanned(planned, in_order(tested.select("variant").unique().collect("pyarrow")["variant"].to_list()))
    if read is None:
        _check_ends(params, how, retained, quantiles)
        return
    if retained:
        days = read.counted.units.select("day") if read.counted else read.rows.select(day=day_of(read.rows))
        ends = days.select(a=nw.col("day").min(), b=nw.col("day").max()).collect("pyarrow")
        refuse_short(retained, *(ends[end][0] for end in "ab"))
    if quantiles:
        refuse_unordered(read.rows, quantiles)
    if known is not None:
        unknown_to(read.rows, known)


def _check_ends(params: ReadParams, how: Reading, retained: Sequence[str], quantiles: Sequence[str]) -> None:
    """What the least and the largest value of a column tell of a log of Parquet that is not read through."""
    path = params.log_file
    if not (path and (retained or quantiles)) or kind_of(parts_of(path)[0]) != "parquet":
        return
    relation, source = open_file(path)
    table = Reader(relation, source, how)
    time = next((c for c in TIMES if table.has(c.name)), None)
    with reading(source):
        if retained and time is not None and (days := days_of_ends(table, time)):
            refuse_short(retained, *days)
        if how.only or how.starts or how.drop_bad_rows:  # rows that are left out may be those
            return
        for c in quantiles:
            if is_number(table.cells[c].kind):
                low = relation.aggregate(f"min({table.cells[c].sql}::double)").fetchall()[0][0]
                refuse_least(c, {source: low})


def _refuse_without_goal(params: ReadParams, metrics: Sequence[str]) -> None:
    given = params.metrics if isinstance(params, AnalyzeParams) else []
    goals = {m["name"] for m in given if isinstance(m, dict) and m.get("role") == "goal"}
    if len(metrics) > 1 and not goals & set(metrics):
        raise ParameterError(
            f"The log holds the metrics {', '.join(metrics)}, and none is said to decide. Name the goal: "
            f"metrics=[{{name: {metrics[0]}, role: goal}}]."
        )


def _wanted(params: ReadParams) -> list[str]:
    if not params.log_file:
        return ["user_id", "variant"]
    return [c.name for c in (*IMPRESSIONS, TIMES[0], TITLE)]


def _contents(params: ReadParams, how: Reading) -> list[str]:
    """Users, variants and days, with what was made of the table, in lines."""
    notes: tuple[str, ...] = ()
    time = ""
    if params.log_file and holds_sums(params.log_file, how):
        sums = read_sums(params.log_file, how)
        lines = [f"{row.variant}: sums of {row.n:,.0f} users" for row in sums.head().itertuples()]
        lines.append(f"Metrics: {', '.join(sums.numeric)}")
        lines += [f"Looks: {len(sums.day_labels):,} days to {_day(sums.day_labels[-1])}"] if sums.day_labels else []
        return [*lines, *_told(sums.notes, params)]
    if not params.log_file:
        users = read_users(params.users_file, how=how, alone=True)
        rows, notes = users.rows, users.notes
    else:
        read = read_log(params.log_file, how=how, clicks=params.clicks_file or None)
        rows, notes = read.rows, read.notes
        time = next(c for c in ("timestamp", "day") if c in rows.collect_schema().names())
    counts = [nw.len().alias("rows"), nw.col("user_id").n_unique().alias("users")]
    if time:
        counts += [nw.col("clicked").sum().alias("clicks")]
    found = rows.group_by("variant").agg(*counts).collect("pyarrow").rows(named=True)
    by_variant = {row["variant"]: row for row in found}
    lines = []
    for variant in in_order(by_variant):
        row = by_variant[variant]
        clicks = f", {row['rows']:,} impressions, {row['clicks']:,.0f} clicks" if time else ""
        lines.append(f"{variant}: {row['users']:,} users{clicks}")
    if time:
        ends = rows.select(a=nw.col(time).min(), b=nw.col(time).max()).collect("pyarrow").rows(named=True)[0]
        lines.append(f"Days: {_day(ends['a'])} to {_day(ends['b'])}")
        lines += _in_several(rows)
    return [*lines, *_told(notes, params)]


def _in_several(rows: nw.LazyFrame) -> list[str]:
    """Of users who were seen in several variants: how many there are, and what may be the reason."""
    variant = nw.col("variant")
    ends = rows.group_by("user_id").agg(a=variant.min(), b=variant.max())
    counted = ends.select(n=(nw.col("a") != nw.col("b")).cast(nw.Int64).sum(), of=nw.len())
    n, of = counted.collect("pyarrow").row(0)
    if not n:
        return []
    return [
        f"{n:,} of {of:,} users are in several variants. A test by users leaves them out; where the variant is drawn "
        'anew for each session, say so: SET="design=sessions"'
    ]


def _day(value: Any) -> str:
    return f"{value:%Y-%m-%d}" if hasattr(value, "strftime") else f"{value:g}"


def _short(value: Any) -> str:
    text = "empty" if value is None else str(value)
    return text if len(text) <= WIDE else f"{text[: WIDE - 3]}..."


def _told(notes: Sequence[str], params: ReadParams) -> list[str]:
    """The notes as sentences; a file at the head of one keeps its name."""
    file = Path(params.log_file or params.users_file).name
    return [f"{note if note.startswith(file) else note[:1].upper() + note[1:]}." for note in notes]
