"""What the analysis of a test reads, simulated or real, and what it leaves in MLflow."""

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import pandas as pd

from recab_helpers import analysis, calibration, impressions, report, tracking
from recab_helpers.analysis import CTR, METRICS, Analysis, Effect, MetricSpec, Prior, Progress, Slates, Verdict
from recab_helpers.brief import Brief
from recab_helpers.errors import ParameterError
from recab_helpers.formats import count, lift, lift_interval
from recab_helpers.impressions import Aggregates, Reading, Sums, UserRows
from recab_helpers.impressions.aggregates import PRE
from recab_helpers.impressions.reduce import BASIC
from recab_helpers.parameters import AnalyzeParams, closest, nearest
from recab_helpers.references import CONTROL, POSITION_IN, ModelAddress
from recab_helpers.report import Background, Served
from recab_helpers.tables import digest_of

GRADED_TESTS = 200  # drawn for the grading that stands in every report
GRADED_LOOKS = 28  # in each at most: work and memory grow with looks, and the bands keep their error at any number
GRADED_USERS, FAST_USERS = 20_000, 4000  # users in each at most, and at most for that many tests


@dataclass(frozen=True, kw_only=True)
class Log(Brief):
    """Where the log of a test lies and what is known beside it; a real log knows no truth, models or interactions."""

    impressions: Path | None
    users: Path | None
    allocation: float | None  # planned share of users outside control, where no shares are known
    parameters: dict[str, Any]
    planned: dict[str, float] = field(default_factory=dict)  # share of users by variant
    clicks: Path | None = None  # a table of clicks, where they do not stand in the log
    reading: Reading = field(default_factory=Reading)
    run_ids: dict[str, str] = field(default_factory=dict)
    data_hash: str = ""
    models: dict[str, ModelAddress] = field(default_factory=dict)  # by variant
    offline: dict[str, str] = field(default_factory=dict)  # row of `quality` by variant
    served: dict[str, Served] = field(default_factory=dict)  # by variant, where a model is behind HTTP
    truth: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None
    yardsticks: dict[str, float] = field(default_factory=dict)
    recommendations: Path | None = None
    history: Path | None = None  # interactions that the models were trained on
    catalog: pd.DataFrame | None = None

    @property
    def identity(self) -> str:
        """What tells this test from others, whenever it is read: where its log lies, or how it was simulated."""
        made = {k: v for k, v in self.parameters.items() if k != "analyze"}
        lies = self.impressions or self.users
        what = json.dumps([made, self.data_hash], sort_keys=True) if made or lies is None else str(lies.resolve())
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    def planned_for(self, test: Aggregates) -> dict[str, float]:
        """The planned shares; treatments divide an allocation equally, and equal shares are assumed without one.

        Raises:
            ParameterError: they do not name the variants of the log.
        """
        variants = test.users.variants
        missing = [v for v in variants if self.planned and v not in self.planned]
        if missing and not self.run_ids:
            raise ParameterError(
                f"allocation plans {', '.join(self.planned)}, but the log also holds {missing[0]}."
                f"{closest(missing[0], self.planned)} Give the share of every variant."
            )
        if self.planned:
            return self.planned
        if self.allocation is None:
            return analysis.Assumed(dict.fromkeys(variants, 1 / len(variants)))
        treatments = [v for v in variants if v != CONTROL]
        return {CONTROL: 1 - self.allocation} | dict.fromkeys(treatments, self.allocation / len(treatments))


def _kind(log: Log) -> str:
    return "real" if log.truth is None else "simulated"


def find_log(params: AnalyzeParams) -> Log:
    """The log that the parameters name: a file, a simulate run, or the newest complete simulate run."""
    if params.reads:
        given = [Path(f) for f in (params.log_file, params.users_file, params.clicks_file) if f]
        shares = params.allocation if isinstance(params.allocation, dict) else {}
        return Log(
            impressions=Path(params.log_file) if params.log_file else None,
            users=Path(params.users_file) if params.users_file else None,
            clicks=Path(params.clicks_file) if params.clicks_file else None,
            reading=Reading.of(params),
            allocation=None if isinstance(params.allocation, dict) else params.allocation,
            planned={CONTROL if v == params.control and CONTROL not in shares else v: p for v, p in shares.items()},
            data_hash=digest_of(*given),
            models={"treatment": ModelAddress.parse(params.target)} if params.design == "off_policy" else {},
            parameters={"analyze": params.as_dict()},
        )
    simulate_run = tracking.find_stage("simulate", params.experiment, params.simulate_run_id)
    train_run = tracking.run_tags(simulate_run)["train_run_id"]
    plan = tracking.load_json(simulate_run, "simulate/plan")
    simulated = tracking.load_json(simulate_run, "simulate/parameters")
    quality, offline = tracking.load_table(train_run, "train/quality"), plan["offline"]
    if not set(offline.values()) <= set(quality.index):  # models of others, graded in the simulation
        quality = pd.concat([quality, tracking.load_table(simulate_run, "simulate/quality")])
    models = {variant: ModelAddress.parse(address) for variant, address in plan["models"].items()}
    if params.promote:
        tracking.check_promotable(models.values())
    return Log(
        impressions=tracking.artifact(simulate_run, "simulate/impressions.parquet"),
        reading=Reading.of(replace(params, design=_design_of(simulated))),
        users=tracking.artifact(simulate_run, "simulate/users.parquet"),
        allocation=simulated["allocation"],
        planned=plan["planned"],
        run_ids={"train": train_run, "simulate": simulate_run},
        data_hash=tracking.run_tags(train_run)["data_hash"],
        parameters={
            "train": tracking.load_json(train_run, "train/parameters"),
            "simulate": simulated,
            "analyze": params.as_dict(),
        },
        models=models,
        offline=offline,
        served={v: _answers_of(of) for v, of in plan.get("served", {}).items()},
        truth=tracking.load_table(simulate_run, "simulate/truth"),
        quality=quality,
        yardsticks=plan["yardsticks"],
        recommendations=tracking.artifact(simulate_run, "simulate/recommendations.parquet"),
        history=tracking.artifact(train_run, "train/train.parquet"),
        catalog=tracking.load_table(train_run, "train/catalog"),
    )


def _design_of(simulated: dict[str, Any]) -> str:
    return "off_policy" if simulated.get("exploration") else simulated.get("design", "users")


def _answers_of(plan: dict[str, Any]) -> Served:
    known: dict[str, Any] = {k: math.nan if v is None else v for k, v in plan.items()}
    return Served(**known)


def inputs_of(log: Log) -> dict[str, str]:
    """What an analysis builds on, for its tags."""
    return {f"{stage}_run_id": run_id for stage, run_id in log.run_ids.items()} | {"data_hash": log.data_hash}


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
    asked = [c for m in metrics for c in m.columns if m not in METRICS]
    if log.impressions is None:
        read = impressions.read_users(log.users, numbers=asked, how=log.reading, alone=True)
        return replace(impressions.users_alone(read.rows), notes=read.notes)
    if impressions.holds_sums(log.impressions, log.reading):
        if log.users is not None or log.clicks is not None:
            beside = "users_file" if log.users is not None else "clicks_file"
            raise ParameterError(f"{beside} is given, but {log.impressions.name} holds sums of users. Leave it out.")
        if log.reading.design != "users":
            raise ParameterError(
                f"design is {log.reading.design}, but {log.impressions.name} holds sums of users. Leave it out."
            )
        return impressions.read_sums(log.impressions, log.reading)
    known = None
    if log.users is not None:
        known = impressions.open_users(log.users, numbers=asked, how=log.reading)
    there = impressions.column_names(log.impressions, log.reading)
    own = () if known is None else known.collect_schema().names()
    numbers = impressions.summed_of([c for m in metrics for c in m.columns], there, own)
    read = impressions.read_log(log.impressions, numbers=numbers, how=log.reading, clicks=log.clicks)
    rows = impressions.user_rows(
        read.rows, known, numbers=numbers, before=read.before, counted=read.counted, design=log.reading.design
    )
    return replace(
        rows, notes=(*read.notes, *rows.notes), dropped=read.dropped, by_impression=log.reading.by_impression
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
            f"reading is both_slates, but {_named(log)} has no column {POSITION_IN}VARIANT, which tells where the "
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
    elif rows.design != "users":
        metrics = _of_sessions(metrics, rows)
    lacking = {m.name: c for m in metrics for c in m.columns if c not in rows.numeric}
    defaults = {m.columns for m in METRICS}
    for m in metrics:
        if m.name in lacking and m.columns not in defaults:
            raise ParameterError(
                f"metric {m.name} reads the column {lacking[m.name]}, which the users do not have. "
                f"{nearest(lacking[m.name], rows.numeric)}"
            )
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


def _of_sessions(metrics: tuple[MetricSpec, ...], rows: UserRows) -> tuple[MetricSpec, ...]:
    """The ratios: where every user meets both variants, a mean per user says how often, not what, a variant was."""
    if means := [m for m in metrics if m.role == "goal" and m.kind == "mean"]:
        raise ParameterError(
            f"The goal {means[0].name} is a mean per user, but by design={rows.design} every user meets both variants. "
            f"Name a ratio: metrics=[{{name: {means[0].name}_per_session, numerator: {means[0].numerator}, "
            "denominator: sessions, role: goal}]."
        )
    return tuple(m for m in metrics if m.kind == "ratio")


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
        targets = _targets(log, rows, size)
        return replace(test, off_policy={v: impressions.off_policy(rows.log, t, size) for v, t in targets.items()})
    goals = [m.columns for m in analysis.goals_of(metrics)]
    return impressions.reduce(rows, analysis.columns_of(metrics, rows.numeric), goals=goals)


def _targets(log: Log, rows: UserRows, size: int) -> dict[str, nw.LazyFrame]:
    """What each target would have shown to the users of the log, by variant: user_id, position, item_id."""
    if log.recommendations is not None:
        table = impressions.open_table(log.recommendations)
        variants = table.select("variant").unique().collect("pyarrow")["variant"].to_list()
        targets = [str(v) for v in variants if str(v) != CONTROL]
        return {v: table.filter(nw.col("variant").cast(nw.String) == v) for v in sorted(targets)}
    model = tracking.load_model(log.parameters["analyze"]["target"])
    users = rows.users.select(nw.col("user_id").cast(nw.String)).unique().sort("user_id").collect("pandas").to_native()
    lists = model.recommend(users["user_id"].to_numpy(dtype=object), size)
    return {"treatment": impressions.open_table(lists[["user_id", "position", "item_id"]])}


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
    there = [c for c in dict.fromkeys((*goal.columns, *BASIC)) if c in test.users.columns]
    daily = [c for c in dict.fromkeys(("clicks", "impressions", *goal.columns)) if c in rows.summed]
    people = impressions.sample(rows, [*there, *test.users.pre_columns], daily, most=GRADED_USERS, looks=GRADED_LOOKS)
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
        if tags.get("kind") == _kind(log) and tags.get("same_model_in_all") != "True" and tags["test"] != log.identity:
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


def background(
    log: Log, rows: UserRows | Sums, found: Analysis, run: tracking.Run, grading: pd.DataFrame
) -> Background:
    """What is known of the test beside its log, for the sections of the page."""
    return Background(
        models=log.models,
        offline=log.offline,
        served=log.served,
        quality=log.quality,
        truth=log.truth,
        yardsticks=log.yardsticks,
        slates=slates_of(log, rows, found),
        grading=None if grading.empty else grading,
        data=data_facts(log, rows, found),
        dataset=_named(log),
        days=(str(rows.day_labels[0]), str(rows.day_labels[-1])) if found.test.first_day is not None else (),
        hypothesis=log.parameters["analyze"].get("hypothesis", ""),
        dial=log.parameters.get("simulate", {}).get("effect_dial", 1.0),
        lineage=report.lineage(
            run_ids={**log.run_ids, "analyze": run.run_id},
            git_commit=tracking.git_commit(),
            data_hash=log.data_hash,
            parameters=log.parameters,
        ),
    )


def slates_of(log: Log, rows: UserRows | Sums, found: Analysis) -> Slates:
    """What each variant's model recommends, and a few users to look at."""
    if rows.log is None:
        return Slates()
    recommendations, history = (
        None if path is None else impressions.open_table(path) for path in (log.recommendations, log.history)
    )
    return Slates(
        shown=analysis.shown_table(found.test.items, _popularity(log, history)),
        overlap=None if recommendations is None else impressions.overlap(recommendations),
        examples=impressions.examples(
            rows, recommendations=recommendations, history=history, titles=titles_of(log, rows)
        )
        if rows.design == "users" and {"sessions", "weighted_clicks"} <= set(rows.numeric)
        else [],
    )


def titles_of(log: Log, rows: UserRows | Sums) -> pd.Series | None:
    """Item titles by item_id: the catalog's, else those of the log's own title column; None where there are none."""
    if log.catalog is not None:
        named = log.catalog[["item_id", "title"]].dropna()
    elif rows.log is not None and "title" in rows.log.collect_schema().names():
        titles = rows.log.group_by("item_id").agg(nw.col("title").cast(nw.String).min())
        titles = titles.with_columns(nw.col("item_id").cast(nw.String))
        named = titles.collect("pandas").to_native().dropna()
    else:
        return None
    return named[named["title"] != ""].drop_duplicates("item_id").set_index("item_id")["title"].astype(str)


def data_facts(log: Log, rows: UserRows | Sums, found: Analysis) -> dict[str, str]:
    """The size of the data behind the models and of the log."""
    facts = {"data hash": log.data_hash}
    if log.history is not None and log.catalog is not None:
        train, history = log.parameters["train"], impressions.open_table(log.history)
        sizes = history.select(rows=nw.len(), users=nw.col("user_id").n_unique()).collect("pyarrow").rows(named=True)[0]
        facts["data set"] = f"{_named(log)}, split {train['split'].replace('_', ' ')}"
        facts["training interactions"] = count(sizes["rows"])
        facts["users with a history"] = count(sizes["users"])
        facts["items in the catalog"] = count(len(log.catalog))
    else:
        facts["log file" if log.impressions else "table of users"] = _named(log)
    if found.test.n_impressions:
        facts["impressions in the log"] = count(found.test.n_impressions)
    facts |= {"how it was read" + (f" ({i})" if i > 1 else ""): note for i, note in enumerate(rows.notes, 1)}
    if found.test.first_day is not None:
        facts["days of the log"] = f"{rows.day_labels[0]} to {rows.day_labels[-1]}"
    return facts


def _named(log: Log) -> str:
    """The data set that the models learned from, or the log; without the folders that it lies in."""
    return (
        Path(log.parameters["train"]["dataset"]).name if log.history else Path(log.impressions or log.users or "").name
    )


def promote(log: Log, verdict: Verdict, *, wanted: bool) -> str:
    """Move the registry alias @champion to the winner's model when that is wanted; says what was done."""
    if not wanted:
        return "The alias @champion was left alone (promote is off)."
    if verdict.winner not in log.models:
        return f"The alias @champion was left alone: the verdict is {verdict.call} or the log names no model."
    tracking.set_champion(log.models[verdict.winner], log.models.values())
    return f"The alias @champion now points at {log.models[verdict.winner]}."


def log_analysis(run: tracking.Run, log: Log, found: Analysis, known: Background) -> None:
    """What the analysis leaves: the report as JSON, and its first lines where a reader of MLflow looks for them.

    The run is named by what it is, and carries verdict, lift and interval; a child run holds every effect, with the log
    and the models behind it as its inputs. Metrics are named in words: `ctr lift`, `ctr lift low`; of several
    treatments the variant comes first.
    """
    document = report.report_json(found, known)
    about, verdict = found.verdict.effect, document["verdict"]
    several = len(found.test.users.comparisons) > 1
    said = {"verdict": found.verdict.call, "kind": document["kind"], "sentence": verdict["sentence"]}
    if about is not None and about.defined:
        run.log_metrics(_numbers(about.metric.name, about))
        said |= {"lift": lift(about.lift), "interval": lift_interval(about.lift_ci), "goal": about.metric.label}
    with run.child("analysis") as child:
        child.log_inputs(_datasets(log, found), tracking.model_ids(log.models.values()))
        for effect in found.effects:
            of = f"{effect.comparison.variant} " if several else ""
            child.log_metrics(_numbers(f"{of}{effect.metric.name}", effect))
        states = [c.state for c in found.checks]
        child.log_metrics({f"checks {s}": states.count(s) for s in ("passed", "failed", "not tested")})
        child.tag(**said)
        if found.verdict.valid:
            child.tag(test=log.identity, same_model_in_all=str(known.same_in_all))
        child.log_json("ab_report", document)
    run.tag(analysis_run_id=child.run_id, **said)
    first_lines = _first_lines(document)
    child.name("analysis", first_lines)
    run.name(f"{document['title']} [{known.dataset}]", first_lines)


def _datasets(log: Log, found: Analysis) -> dict[str, Any]:
    """The log and what is known of its users as MLflow's data sets, by what they are."""
    if read := None if "simulate" in log.run_ids else log.impressions or log.users:
        n = found.test.n_impressions or found.test.users.n
        return {"log": tracking.file_as_dataset(read, log.data_hash, n)}
    logged = tracking.datasets_of(log.run_ids["simulate"])
    names = {"log": "simulate/impressions", "users": "simulate/users"}
    return {used: logged[name] for used, name in names.items() if name in logged}


def _numbers(name: str, effect: Effect) -> dict[str, float]:
    """Lift, interval, difference and p of an effect, by names in words."""
    low, high = effect.lift_ci
    return {
        f"{name} lift": effect.lift,
        f"{name} lift low": low,
        f"{name} lift high": high,
        f"{name} lift log se": effect.log_se,
        f"{name} difference": effect.difference,
        f"{name} p value": effect.p_value,
    }


def _first_lines(document: dict[str, Any]) -> str:
    """The head of the page as Markdown: what it is, the call, and what to do next."""
    verdict, expected = document["verdict"], document["hypothesis"]
    lines = [
        f"**{verdict['headline']}** {verdict['sentence']}",
        document["title"],
        f"Expected: {expected}" if expected else "",
        f"Next step: {verdict['next_step']}",
        "The page is ab_report.html, the first artifact of the run that this test's title names.",
    ]
    return "\n\n".join(filter(None, lines))


def _popularity(log: Log, history: nw.LazyFrame | None) -> pd.Series | None:
    """Training interactions by item_id, over the whole catalog."""
    if history is None or log.catalog is None:
        return None
    met = history.group_by("item_id").agg(nw.len().alias("met")).collect("pandas").to_native()
    return met.set_index("item_id")["met"].reindex(log.catalog["item_id"], fill_value=0)
