"""What the analysis of a test reads, simulated or real, and what it leaves in MLflow."""

import math
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers import analysis, calibration, impressions, tracking
from recab_helpers.analysis import CTR, METRICS, MetricSpec, Prior, Progress
from recab_helpers.errors import ParameterError, nearest
from recab_helpers.impressions import Aggregates, Reading, Sums, UserRows
from recab_helpers.impressions.counting import days_to_return
from recab_helpers.impressions.quantiles import refuse_unspread
from recab_helpers.impressions.reduce import BASIC
from recab_helpers.impressions.statistics import PRE
from recab_helpers.impressions.user_rows import refuse_returns
from recab_helpers.parameters import AnalyzeParams
from recab_helpers.recommenders.checked import slates_for
from recab_helpers.references import CONTROL, POSITION_IN
from recab_helpers.stages.log import Log

GRADED_TESTS = 200  # drawn for the grading that stands in every report
GRADED_LOOKS = 28  # in each at most: work and memory grow with looks, and the bands keep their error at any number
GRADED_USERS, FAST_USERS = 20_000, 4000  # users in each at most, and at most for that many tests


def progress_of(log: Log, test: Aggregates, params: AnalyzeParams) -> Progress | None:
    """How far a real test is, which may be read every evening; None of a simulated one, which is read at its end."""
    if log.truth is not None:
        return None
    end = {"planned_days": params.planned_days, "planned_users": params.planned_users}
    days = test.by_day.index.unique("day").size if test.running is None and test.by_day is not None else 0
    return analysis.progress_of(test.running, **end, days=days, shape=params.looks)  # type: ignore[arg-type]  # it was checked


def user_rows(log: Log, metrics: tuple[MetricSpec, ...]) -> UserRows | Sums:
    """One row per user of the log, with every column that the metrics read; of sums of users, these sums.

    Raises:
        DataError: the log or what is known of its users breaks its contract.
        ParameterError: a metric reads a column that is in neither, or the log does not tell what the reading needs.
    """
    _check_reading(log, metrics)
    _check_metrics(log, metrics)
    asked = [c for m in metrics for c in m.columns if m not in METRICS]
    covariates = log.parameters["analyze"].get("covariates", [])
    if covariates and log.reading.design != "users":
        raise ParameterError(
            f"covariates names {covariates[0]}, but the test has design={log.reading.design}, which adjusts for "
            "nothing from before. Leave it out."
        )
    if log.impressions is None:
        read = impressions.read_users(log.users, numbers=asked, how=log.reading, alone=True)
        users, also = impressions.as_before(read.rows, covariates)
        rows = replace(impressions.users_alone(users), notes=(*read.notes, *also))
        impressions.refuse_lacking(covariates, rows.numeric)
        return rows
    if impressions.holds_sums(log.impressions, log.reading):
        if log.users is not None or log.clicks is not None:
            beside = "users_file" if log.users is not None else "clicks_file"
            raise ParameterError(f"{beside} is given, but {log.impressions.name} holds sums of users. Leave it out.")
        if log.reading.design != "users":
            raise ParameterError(
                f"design is {log.reading.design}, but {log.impressions.name} holds sums of users. Leave it out."
            )
        return impressions.read_sums(log.impressions, log.reading)
    known: nw.LazyFrame | None = None
    notes: tuple[str, ...] = ()
    if log.users is not None:
        known = impressions.open_users(log.users, numbers=asked, how=log.reading)
        known, notes = impressions.as_before(known, covariates)
    there = impressions.column_names(log.impressions, log.reading)
    own = () if known is None else known.collect_schema().names()
    read_columns = [c for m in metrics for c in m.columns]
    numbers = impressions.summed_of(read_columns, there, own)
    retained = _returns(read_columns, (*there, *own), log.reading)
    read = impressions.read_log(log.impressions, numbers=numbers, how=log.reading, clicks=log.clicks)
    rows = impressions.user_rows(
        read.rows,
        known,
        numbers=numbers,
        before=read.before,
        counted=read.counted,
        design=log.reading.design,
        retained=retained,
    )
    impressions.refuse_lacking(covariates, rows.numeric)
    return replace(
        rows, notes=(*read.notes, *notes, *rows.notes), dropped=read.dropped, by_impression=log.reading.by_impression
    )


def _returns(columns: list[str], there: tuple[str, ...], reading: Reading) -> list[str]:
    """Of the columns that metrics read, those of who came back, which are counted from days; once each."""
    found = [c for c in dict.fromkeys(columns) if c not in there and days_to_return(c)]
    refuse_returns(found, reading)
    return found


def _check_metrics(log: Log, metrics: tuple[MetricSpec, ...]) -> None:
    """Refuse what the user names and the design has no reading of; it would be left out in silence."""
    design = log.reading.design
    given = [m if isinstance(m, str) else m["name"] for m in log.parameters["analyze"].get("metrics", [])]
    for m in (m for m in metrics if m.name in given and design != "users"):
        if design != "sessions":
            raise ParameterError(
                f"metrics names {m.name}, but by design={design} clicks alone are read. Leave the metric out."
            )
        if m.kind != "ratio":
            raise ParameterError(
                f"metric {m.name} is a {m.kind} over users, but by design=sessions every user meets both variants. "
                f"Name a ratio: metrics=[{{name: {m.numerator}_per_session, numerator: {m.numerator}, denominator: "
                f"sessions, role: {m.role}}}]."
            )


def _check_reading(log: Log, metrics: tuple[MetricSpec, ...]) -> None:
    """Refuse a reading by both slates of a log that does not tell them, or of another goal."""
    if log.parameters["analyze"].get("reading", "plain") == "plain":
        return
    goals = analysis.goals_of(metrics)
    if log.reading.design != "users":
        raise ParameterError(
            f"reading is both_slates, but the test has design={log.reading.design}, which has a reading of its own. "
            "Leave it out."
        )
    if CTR not in goals:
        raise ParameterError(
            f"reading is both_slates, but the goal is {goals[0].label}. It reads CTR; leave the parameter out."
        )
    there = () if log.impressions is None else impressions.column_names(log.impressions, log.reading)
    if not any(c.startswith(POSITION_IN) for c in there):
        raise ParameterError(
            f"reading is both_slates, but {log.dataset_name} has no column {POSITION_IN}VARIANT, which tells where the "
            "shown item stands in the slate of each variant, 0 for not at all. Add them, or leave the parameter out."
        )


def measured(metrics: tuple[MetricSpec, ...], rows: UserRows | Sums) -> tuple[MetricSpec, ...]:
    """The metrics that these users can be read by; what needs a count that the log lacks is left out.

    Every metric of a table of sums is one; where there is one only, it is the goal. By impression, every label says
    that intervals are too narrow.

    Raises:
        ParameterError: a metric of the user's reads a column that is not there, or no goal is left.
    """
    if isinstance(rows, Sums):
        metrics = _of_sums(metrics, rows)
    elif rows.design != "users":  # every user meets both variants: a mean per user says how often, not what, one was
        metrics = tuple(m for m in metrics if m.kind == "ratio")
    lacking = {m.name: c for m in metrics for c in m.columns if c not in rows.numeric}
    defaults = {m.columns for m in METRICS}
    for m in metrics:
        if m.name in lacking and m.columns not in defaults:
            raise ParameterError(
                f"metric {m.name} reads the column {lacking[m.name]}, which the users do not have. "
                f"{nearest(lacking[m.name], rows.numeric)}"
            )
    single = rows.log.collect_schema().names() if rows.log is not None else []
    refuse_unspread([m.numerator for m in metrics if m.kind == "quantile"], single)
    kept = tuple(m for m in metrics if m.name not in lacking)
    if not any(m.role == "goal" for m in kept):
        columns = ", ".join(c for c in rows.numeric if not c.startswith(PRE)) or "none"
        raise ParameterError(
            f"No metric is left that decides; the columns of numbers are {columns}. Name the goal: "
            "metrics=[{name: COLUMN, role: goal}]."
        )
    if rows.by_impression:
        kept = tuple(replace(m, label=f"{m.label} (by impression, interval too narrow)") for m in kept)
    return kept


def _of_sums(metrics: tuple[MetricSpec, ...], sums: Sums) -> tuple[MetricSpec, ...]:
    """The metrics with those of a table of sums, each as it was given, else secondary, or the goal if it is alone."""
    given = {m.name: m for m in metrics}
    role: Any = "goal" if len(sums.numeric) == 1 else "secondary"
    made = []
    for name in sums.numeric:
        like = given.pop(name, None)
        more: dict[str, Any] = {"role": role}
        if like is not None:
            more = {"role": like.role, "direction": like.direction, "label": like.label}
        share = name in sums.shares or (like is not None and like.share)
        margin = 0.0 if like is None else like.margin
        made.append(analysis.mean_of(name, **more, share=share, margin=margin, covariate=()))
    return tuple(sorted((*given.values(), *made), key=lambda m: m.role != "goal"))


def reduce(rows: UserRows | Sums, metrics: tuple[MetricSpec, ...], log: Log | None = None) -> Aggregates:
    """The users summed up, with all that the metrics and their covariates need; of `log`, what targets are asked."""
    if isinstance(rows, Sums):
        return rows.reduce()
    if rows.design == "off_policy" and log is not None and rows.log is not None:
        test = impressions.reduce(rows, analysis.columns_of(metrics, rows.numeric))
        size = int(rows.log.select(nw.col("position").max()).collect("pyarrow")["position"][0])
        targets, unknown = _targets(log, rows, size)
        found = {v: impressions.off_policy(rows.log, t, size) for v, t in targets.items()}
        return replace(test, off_policy=found, target_unknown=unknown)
    goals = analysis.goals_of(metrics)
    further = [c for c in goals[0].further if c in rows.numeric]
    columns = analysis.columns_of(metrics, rows.numeric)
    quantiles = [(m.numerator, m.quantile) for m in metrics if m.kind == "quantile"]
    return impressions.reduce(rows, columns, goals=[m.columns for m in goals], further=further, quantiles=quantiles)


def _targets(log: Log, rows: UserRows, size: int) -> tuple[dict[str, nw.LazyFrame], dict[str, int]]:
    """What each target would have shown to the users of the log, by variant: user_id, position, item_id.

    Also how many of them it does not know, where it says so.
    """
    if log.recommendations is not None:
        table = impressions.open_table(log.recommendations)
        variants = table.select("variant").unique().collect("pyarrow")["variant"].to_list()
        targets = [str(v) for v in variants if str(v) != CONTROL]
        return {v: table.filter(nw.col("variant").cast(nw.String) == v) for v in sorted(targets)}, {}
    model = tracking.load_model(log.parameters["analyze"]["target"])
    users = rows.users.select(nw.col("user_id").cast(nw.String)).unique().sort("user_id").collect("pandas").to_native()
    asked = users["user_id"].to_numpy(dtype=object)
    items, unknown = slates_for(model, asked, size, log=log.dataset_name)
    positions = np.tile(np.arange(1, size + 1), len(asked))
    slates = {"user_id": np.repeat(asked, size), "position": positions, "item_id": items.ravel()}
    table = impressions.open_table(pd.DataFrame(slates))
    return {"treatment": table}, {} if unknown is None else {"treatment": unknown}


def grade_own(
    rows: UserRows | Sums,
    test: Aggregates,
    metrics: tuple[MetricSpec, ...],
    planned: dict[str, float],
    params: AnalyzeParams,
) -> pd.DataFrame:
    """False alarms of the analysis, and of the usual ways, in A/A tests of the users of this very log.

    Each draws their variants anew, so that nothing is to be found; what is unlike other traffic in this log is in all
    of them. Of the goal named first, of at most GRADED_USERS users, and fewer tests of many; none of a table of sums.
    """
    if isinstance(rows, Sums) or rows.design != "users":
        return pd.DataFrame()
    goal = analysis.goals_of(metrics)[0]
    users = test.users
    there = [c for c in dict.fromkeys((*goal.columns, *BASIC)) if c in users.columns or c in users.missing]
    daily = [c for c in dict.fromkeys(("clicks", "impressions", *goal.columns)) if c in rows.summed]
    people = impressions.sample(rows, [*there, *users.pre_columns], daily, most=GRADED_USERS, looks=GRADED_LOOKS)
    n_tests = max(min(GRADED_TESTS, GRADED_TESTS * FAST_USERS // len(people)), GRADED_TESTS // 2)
    own = calibration.Own(people=people, goal=goal, allocation=1 - planned[CONTROL])
    graded = calibration.grade(own, n_tests, alpha=params.alpha, boot=False, workers=1)
    rates = calibration.rates(graded)
    if test.running and len(test.running) > GRADED_LOOKS:  # who looks more often is fooled more often
        stops = rates["kind"] == "stops"
        rates.loc[stops, "method"] = rates.loc[stops, "method"] + f", at {GRADED_LOOKS} evenly spaced looks"
    return rates[rates["kind"].isin(("rejects", "stops", "voids", "ships"))].reset_index(drop=True)


def prior_of(log: Log, params: AnalyzeParams, metrics: tuple[MetricSpec, ...]) -> Prior:
    """The prior that the parameters state, else the one fitted to the goals' lifts in past tests of the experiment.

    A test counts once, by its newest analysis; A/A tests, this test itself, and rehearsals beside real tests do not.
    """
    if params.prior_sd is not None:
        return Prior(sd=params.prior_sd)
    past: dict[str, dict[str, float]] = {}
    for metrics_of, tags in tracking.tagged(params.experiment, "test"):
        if tags.get("kind") == log.kind and tags.get("same_model_in_all") != "True" and tags["test"] != log.identity:
            past.setdefault(tags["test"], metrics_of)
    goals = [f"{goal.name} lift" for goal in analysis.goals_of(metrics)]
    found = [
        (values[name], values[f"{name} log se"])
        for values in past.values()
        for name in values
        if any(name == goal or name.endswith(f" {goal}") for goal in goals)
        and values[name] > -1
        and f"{name} log se" in values
    ]
    return analysis.fit_prior([math.log1p(lift) for lift, _ in found], [se for _, se in found])
