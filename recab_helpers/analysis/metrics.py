"""The metrics as data: the caller's list decides what is compared, and which of it is the goal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from recab_helpers.errors import ParameterError, nearest
from recab_helpers.impressions.counting import days_to_return
from recab_helpers.impressions.statistics import KNOWN, PRE, name_before

Role = Literal["goal", "secondary", "guardrail", "deterioration"]
Kind = Literal["mean", "ratio", "quantile"]
CHOICES: dict[str, tuple] = {"role": get_args(Role), "kind": get_args(Kind), "direction": (1, -1)}
COUNT_MARGIN = 0.05  # of what the goal counts, per user


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A mean of one column of the users, a ratio of two column means, or a quantile of a column of the impressions.

    `direction` is 1 when more is better and -1 when less is. A guardrail's `margin` is the worst relative change
    that we accept, a fraction; it must be shown to be inside. A `deterioration` metric has none: nothing ships that is
    shown to make it worse (Schultzberg, Ankargren and Franberg 2024). `covariate` names pre-experiment columns for
    CUPED, of the same kind as the metric: one for a mean, numerator and denominator for a ratio; it is used where the
    users have them. `further` names columns from before whose means CUPED adjusts for too; they are no part of what the
    metric is. A `share` lies between 0 and 1 and is shown in percent.

    Raises:
        ParameterError: a field that does not fit the others.
    """

    name: str
    label: str
    kind: Kind
    numerator: str
    denominator: str = ""
    role: Role = "secondary"
    direction: Literal[1, -1] = 1
    margin: float = 0.0
    covariate: tuple[str, ...] = ()
    further: tuple[str, ...] = field(default=(), compare=False)
    share: bool = False
    quantile: float = 0.0

    def __post_init__(self):
        where = f"metric {self.name}"
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ParameterError(f"{where}: {name} is {value!r}; give {' or '.join(map(str, choices))}.")
        if (self.kind == "ratio") != bool(self.denominator):
            raise ParameterError(f"{where}: a ratio has a denominator and a mean has none; it is {self.denominator!r}.")
        if (self.kind == "quantile") != (self.quantile != 0) or not 0 <= self.quantile < 1:
            raise ParameterError(f"{where}: quantile is {self.quantile:g}; give a share between 0 and 1, such as 0.95.")
        if self.kind == "quantile" and self.role == "goal":
            raise ParameterError(f"{where}: a quantile is no goal. Give it the role guardrail, with a margin, or none.")
        if self.role == "guardrail" and not 0 < self.margin < 1:
            raise ParameterError(
                f"{where}: margin is {self.margin:g}; a guardrail needs the worst relative change that is accepted, "
                "between 0 and 1, such as 0.05."
            )
        if self.covariate and len(self.covariate) != len(self.columns):
            raise ParameterError(f"{where}: covariate names {len(self.covariate)} columns; give {len(self.columns)}.")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the users that the metric reads, without its covariate."""
        return (self.numerator, self.denominator) if self.kind == "ratio" else (self.numerator,)


def _in_words(name: str) -> str:
    return f"Metric {name}" if name.isdigit() else name.replace("_", " ").capitalize()


def ratio_of(numerator: str, denominator: str, **more: Any) -> MetricSpec:
    """A ratio of two columns' means, with the same of the period before as covariate.

    >>> ratio_of("clicks", "sessions").name
    'clicks_per_session'
    """
    name = f"{numerator}_per_{denominator.removesuffix('s')}"
    made: dict[str, Any] = {"name": name, "label": _in_words(more.get("name", name))}
    made["covariate"] = (f"pre_{numerator}", f"pre_{denominator}")
    return MetricSpec(**made | {"kind": "ratio", "numerator": numerator, "denominator": denominator} | more)


def mean_of(column: str, **more: Any) -> MetricSpec:
    """The mean of a column, with the same of the period before as covariate.

    >>> mean_of("spend", role="goal").covariate
    ('pre_spend',)
    """
    made = {"name": column, "label": _in_words(more.get("name", column)), "covariate": (f"pre_{column}",)}
    return MetricSpec(**made | {"kind": "mean", "numerator": column} | more)


def quantile_of(column: str, quantile: float, **more: Any) -> MetricSpec:
    """A quantile of a column of the impressions, such as the latency that 95% of them do not exceed.

    >>> quantile_of("latency_ms", 0.95).name
    'latency_ms_p95'
    """
    name = f"{column}_p{100 * quantile:g}"
    made: dict[str, Any] = {"name": name, "label": f"{_in_words(column)}, {100 * quantile:g}th percentile"}
    return MetricSpec(**made | {"kind": "quantile", "numerator": column, "quantile": quantile} | more)


CTR = ratio_of("clicks", "impressions", name="ctr", label="CTR", role="goal", share=True)
CLICKS_PER_USER = mean_of("clicks", name="clicks_per_user")
METRICS = (
    CTR,
    mean_of(
        "clicked_any",
        label="Users with a click",
        role="guardrail",
        margin=COUNT_MARGIN,
        covariate=("pre_clicks",),
        share=True,
    ),
    replace(CLICKS_PER_USER, role="guardrail", margin=COUNT_MARGIN),
    mean_of("sessions", name="sessions_per_user", role="deterioration"),  # a margin would take more users than the goal
    mean_of("impressions", name="impressions_per_user", role="deterioration"),
    ratio_of("clicks", "sessions", covariate=("pre_clicks", "pre_impressions")),  # adjusted as CTR is
    ratio_of(
        "weighted_clicks",
        "sessions",
        name="weighted_clicks",
        label="Rank-weighted clicks per session",
        covariate=(),
    ),
    ratio_of("novelty_bits", "impressions", name="novelty", label="Novelty of what was shown (bits)", covariate=()),
)
# Read where it is asked for: a log's users have its columns where a variant is a served model.
LATENCY = ratio_of(
    "latency_ms", "timed_requests", name="request_latency", label="Latency (ms per request)", direction=-1, covariate=()
)


def metrics_from(given: Sequence[str | Mapping[str, Any]], covariates: Sequence[str] = ()) -> tuple[MetricSpec, ...]:
    """METRICS, changed and extended by what is given: names of columns, or fields of metrics by name.

    A name alone is the mean of that column, as a secondary metric; `request_latency` is LATENCY, and `retained_7` the
    share of users who came back within 7 days of their first (`counting.days_to_return`). Fields given for a
    metric of METRICS, or for LATENCY, replace its own. Whoever names a goal replaces CTR as the goal, which then is a
    secondary metric. What a ratio goal divides is compared per user too. All of them are adjusted for `covariates`
    too, columns that were known before the test.

    Raises:
        ParameterError: an unknown field, or one that does not fit the others; a covariate that the test can change.

    >>> metrics = metrics_from([{"name": "spend", "role": "goal"}])
    >>> [m.name for m in metrics if m.role == "goal"]
    ['spend']
    >>> metrics[1].name, metrics[1].role
    ('ctr', 'secondary')
    """
    metrics = {m.name: m for m in METRICS}
    known = {f.name for f in fields(MetricSpec)}
    named: dict[str, dict[str, Any]] = {}
    for one in given:
        values: dict[str, Any] = {"name": one} if isinstance(one, str) else dict(one)
        if unknown := sorted(set(map(str, values)) - known):
            raise ParameterError(f"metrics has the field {unknown[0]!r}. {nearest(unknown[0], known)}")
        if not values.get("name"):
            raise ParameterError(f"metrics has {values!r} without a name; give name: and the column to read.")
        if "covariate" in values:
            values["covariate"] = tuple(values["covariate"])
        named[values["name"]] = values
    if any(v.get("role") == "goal" for v in named.values()):
        metrics = {n: replace(m, role="secondary") if m.role == "goal" else m for n, m in metrics.items()}
    for name, values in named.items():
        if name == LATENCY.name:
            metrics[name] = LATENCY
        if name in metrics:
            metrics[name] = replace(metrics[name], **values)
        else:
            rest = {k: v for k, v in values.items() if k not in ("numerator", "denominator", "kind")}
            column = values.get("numerator", name)
            bottom = values.get("denominator")
            rest = _of_return(column) | rest if not bottom else rest
            if q := rest.pop("quantile", 0.0):
                metrics[name] = quantile_of(column, q, **rest | {"denominator": bottom or ""})
            else:
                metrics[name] = ratio_of(column, bottom, **rest) if bottom else mean_of(column, **rest)
            if (kind := values.get("kind", metrics[name].kind)) != metrics[name].kind:
                lacks = "denominator. Name its column" if kind == "ratio" else "quantile. Give a share, such as 0.95"
                raise ParameterError(f"metric {name}: kind is {kind}, but there is no {lacks}.")
    metrics |= {m.name: m for m in _parts_of_ratios(metrics)}
    if covariates:
        metrics = {n: replace(m, further=_further(covariates, metrics.values())) for n, m in metrics.items()}
    return tuple(sorted(metrics.values(), key=lambda m: m.role != "goal"))


def _of_return(column: str) -> dict[str, Any]:
    """What a metric of who came back is called, shown as, and adjusted for; nothing of another column."""
    if not (n := days_to_return(column)):
        return {}
    days = "a day" if n == 1 else f"{n} days"
    return {"label": f"Users back within {days}", "share": True, "covariate": (f"{PRE}sessions",)}


def _further(covariates: Sequence[str], metrics: Iterable[MetricSpec]) -> tuple[str, ...]:
    """The columns of before that covariates name, none of which a metric reads."""
    for column in covariates:
        if readers := [m.name for m in metrics if column in m.columns]:
            before = "" if column.startswith(PRE) else f" Name what was counted before it: {PRE}{column}."
            raise ParameterError(
                f"covariates names {column}, which the metric {readers[0]} reads: what the test can change is no "
                f"covariate.{before}"
            )
    return tuple(map(name_before, covariates))


def _parts_of_ratios(metrics: Mapping[str, MetricSpec]) -> list[MetricSpec]:
    """What a ratio goal divides, per user, where no metric reads it: a ratio rises when users leave.

    What it counts is a guardrail; what it divides by must not be shown to fall.
    """
    read, parts = {m.numerator for m in metrics.values() if m.kind == "mean"}, []
    for goal in [m for m in metrics.values() if m.kind == "ratio" and m.role == "goal"]:
        count: dict[str, Any] = {"role": "guardrail", "margin": COUNT_MARGIN, "direction": goal.direction}
        for column, more in zip(goal.columns, (count, {"role": "deterioration"}), strict=True):
            if column not in read:
                parts.append(mean_of(column, name=f"{column}_per_user", **more))
                read.add(column)
    return parts


def covariates_of(metric: MetricSpec, available: Iterable[str]) -> list[tuple[str, ...]]:
    """What CUPED adjusts a metric for, of these columns: its own covariate, the further ones, and who was known before.

    The last tells zeros for want of knowledge from those of users who did nothing.
    """
    there = set(available)
    wanted = dict.fromkeys((metric.covariate, *((c,) for c in metric.further)))
    found = [c for c in wanted if c and set(c) <= there]
    return found + [(KNOWN,)] * (bool(found) and KNOWN in there and (KNOWN,) not in found)


def goals_of(metrics: Iterable[MetricSpec]) -> tuple[MetricSpec, ...]:
    """The metrics that decide.

    Raises:
        ParameterError: there is none.
    """
    goals = tuple(m for m in metrics if m.role == "goal")
    if not goals:
        raise ParameterError("No metric has the role goal; give one: metrics: [{name: ctr, role: goal}].")
    return goals


def columns_of(metrics: Iterable[MetricSpec], available: Iterable[str]) -> tuple[str, ...]:
    """Columns that the metrics read, each once, with those covariates that are available."""
    there = set(available)
    wanted = [c for m in metrics for of in (m.columns, *covariates_of(m, there)) for c in of]
    return tuple(dict.fromkeys(wanted))
