"""Metrics are the caller's: what is given replaces and extends our list, and what does not fit is refused."""

import pytest

from recab_helpers.analysis.metrics import (
    CLICKS_PER_USER,
    CTR,
    METRICS,
    MetricSpec,
    columns_of,
    covariates_of,
    goals_of,
    mean_of,
    metrics_from,
    ratio_of,
)
from recab_helpers.errors import ParameterError
from recab_helpers.impressions.counting import COUNTS

NAMES = [m.name for m in METRICS]


def by_name(*given) -> dict[str, MetricSpec]:
    return {m.name: m for m in metrics_from(given)}


# Ours


def test_our_metrics_read_what_every_log_counts_and_ctr_decides():
    assert {c for m in METRICS for c in m.columns} <= set(COUNTS)
    assert goals_of(METRICS) == (CTR,)
    assert len(set(NAMES)) == len(METRICS)


def test_a_ratio_and_a_mean_have_the_same_of_before_as_covariate():
    ratio, mean = ratio_of("clicks", "sessions"), mean_of("spent")
    assert (ratio.name, ratio.label, ratio.covariate) == (
        "clicks_per_session",
        "Clicks per session",
        ("pre_clicks", "pre_sessions"),
    )
    assert (mean.name, mean.label, mean.covariate) == ("spent", "Spent", ("pre_spent",))
    assert (ratio.columns, mean.columns) == (("clicks", "sessions"), ("spent",))
    assert ratio_of("a", "b", name="share_of_a", covariate=()).label == "Share of a"


# The caller's


def test_nothing_given_is_our_list():
    assert metrics_from([]) == METRICS


def test_a_name_alone_is_the_secondary_mean_of_that_column():
    metrics = by_name("dwell_time")
    assert list(metrics) == [*NAMES, "dwell_time"]
    assert metrics["dwell_time"] == mean_of("dwell_time")
    assert metrics["dwell_time"].role == "secondary"


def test_fields_of_one_of_ours_replace_its_own_and_leave_the_others():
    metrics = by_name({"name": "clicked_any", "margin": 0.1})
    assert metrics["clicked_any"].margin == 0.1
    assert metrics["clicked_any"].label == "Users with a click"
    assert list(metrics) == NAMES
    assert {n: m for n, m in metrics.items() if n != "clicked_any"} == {
        m.name: m for m in METRICS if m.name != "clicked_any"
    }


def test_the_name_of_one_of_ours_alone_changes_nothing():
    assert metrics_from(["clicks_per_user"]) == METRICS


def test_whoever_names_a_goal_replaces_ctr_which_stays_as_a_secondary_metric():
    metrics = metrics_from([{"name": "clicks_per_session", "role": "goal"}])
    assert [m.name for m in goals_of(metrics)] == ["clicks_per_session"]
    assert metrics[0].name == "clicks_per_session"  # goals come first
    assert next(m for m in metrics if m.name == "ctr").role == "secondary"
    assert sorted(m.name for m in metrics) == sorted(NAMES)


def test_several_goals_are_those_that_are_named():
    given = [{"name": "ctr", "role": "goal"}, {"name": "spent", "role": "goal"}, "other"]
    assert [m.name for m in goals_of(metrics_from(given))] == ["ctr", "spent"]
    assert goals_of(metrics_from([{"name": "ctr", "label": "Click rate"}]))[0].label == "Click rate"


def test_a_new_metric_is_a_ratio_where_it_has_a_denominator():
    metrics = by_name(
        {"name": "profit", "numerator": "margin_eur", "denominator": "sessions", "direction": -1, "share": True},
        {"name": "spend", "numerator": "spent_eur", "label": "Spend", "covariate": ["pre_spend"]},
        {"name": "plain", "kind": "ratio", "denominator": "sessions"},
    )
    profit, spend, plain = metrics["profit"], metrics["spend"], metrics["plain"]
    assert (profit.kind, profit.columns, profit.direction) == ("ratio", ("margin_eur", "sessions"), -1)
    assert profit.covariate == ("pre_margin_eur", "pre_sessions")
    assert (spend.kind, spend.columns, spend.label, spend.covariate) == (
        "mean",
        ("spent_eur",),
        "Spend",
        ("pre_spend",),
    )
    assert plain.columns == ("plain", "sessions")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "x", "numeratr": "y"}, r"metrics has the field 'numeratr'\. Did you mean numerator"),
        ({"label": "x"}, r"metrics has \{'label': 'x'\} without a name"),
        ({"name": ""}, "without a name"),
        ({"name": "x", "role": "main"}, "metric x: role is 'main'; give goal or secondary or guardrail"),
        ({"name": "x", "kind": "ratio"}, "metric x: kind is ratio, but there is no denominator"),
        ({"name": "x", "kind": "mean", "denominator": "y"}, "metric x: kind is"),
        ({"name": "x", "role": "guardrail"}, "metric x: margin is 0; a guardrail needs"),
        ({"name": "x", "role": "guardrail", "margin": 5}, "metric x: margin is 5; a guardrail needs .* such as 0.05"),
        ({"name": "x", "direction": 0}, "metric x: direction is 0; give 1 or -1"),
        ({"name": "ctr", "covariate": ["pre_clicks"]}, "metric ctr: covariate names 1 columns; give 2"),
        ({"name": "x", "kind": "quantile"}, "metric x: kind is quantile, but there is no quantile"),
        ({"name": "x", "quantile": 95}, "metric x: quantile is 95; give a share between 0 and 1"),
        ({"name": "x", "quantile": 0.95, "role": "goal"}, "metric x: a quantile is no goal"),
        ({"name": "x", "quantile": 0.95, "denominator": "clicks"}, "metric x: a ratio has a denominator"),
        ({"name": "ctr", "kind": "mean"}, "metric ctr: a ratio has a denominator and a mean has none"),
        ({"name": "ctr", "kind": "median"}, "metric ctr: kind is 'median'; give mean or ratio or quantile"),
        ({"name": "ctr", "role": "secondary"}, None),
    ],
)
def test_what_does_not_fit_is_refused(given, words):
    if words is None:
        with pytest.raises(ParameterError, match="No metric has the role goal; give one"):
            goals_of(metrics_from([given]))
        return
    with pytest.raises(ParameterError, match=words):
        metrics_from([given])


def test_columns_are_named_once_and_covariates_where_they_are_there():
    metrics = (CTR, CLICKS_PER_USER, mean_of("spent"))
    assert columns_of(metrics, ["clicks"]) == ("clicks", "impressions", "spent")
    some = columns_of(metrics, ["pre_clicks", "pre_spent"])
    assert some == ("clicks", "impressions", "pre_clicks", "spent", "pre_spent")  # half a ratio of before is none
    assert set(columns_of(metrics, ["pre_clicks", "pre_impressions"])) == {
        "clicks",
        "impressions",
        "pre_clicks",
        "pre_impressions",
        "spent",
    }


def test_latency_is_the_mean_of_the_requests_that_were_timed_and_less_is_better():
    asked = {m.name: m for m in metrics_from([{"name": "request_latency", "role": "guardrail", "margin": 0.2}])}
    latency = asked["request_latency"]
    assert latency.columns == ("latency_ms", "timed_requests")
    assert (latency.kind, latency.direction, latency.role) == ("ratio", -1, "guardrail")
    assert "request_latency" not in {m.name for m in metrics_from([])}


def test_a_column_called_by_a_number_is_called_a_metric():
    assert mean_of("2").label == "Metric 2"


def test_covariates_adjust_every_metric_and_are_no_part_of_what_it_is():
    metrics = metrics_from(["spend"], ["age", "pre_sessions"])
    assert {m.further for m in metrics} == {("pre_age", "pre_sessions")}
    assert set(metrics) == set(metrics_from(["spend"]))
    (sessions,) = (m for m in metrics if m.name == "sessions_per_user")
    available = ["pre_sessions", "pre_age", "pre_known", "sessions"]
    assert covariates_of(sessions, available) == [("pre_sessions",), ("pre_age",), ("pre_known",)]
    assert covariates_of(sessions, ["sessions", "pre_known"]) == []
    assert "pre_age" in columns_of(metrics, available)


@pytest.mark.parametrize("column", ["spend", "clicks"])
def test_what_the_test_can_change_is_no_covariate(column):
    with pytest.raises(ParameterError, match=f"covariates names {column}, which the metric .* reads.*: pre_{column}"):
        metrics_from(["spend"], [column])


def test_who_came_back_is_a_share_with_a_name_of_its_own():
    retained = by_name("retained_7", {"name": "back", "numerator": "retained_1", "role": "goal"})
    assert (retained["retained_7"].label, retained["retained_7"].share) == ("Users back within 7 days", True)
    assert (retained["back"].columns, retained["back"].role) == (("retained_1",), "goal")
    assert by_name("retained_x")["retained_x"].label == "Retained x"


def test_a_quantile_reads_a_column_of_the_impressions():
    metric = by_name({"name": "slow", "numerator": "latency_ms", "quantile": 0.95, "direction": -1})["slow"]
    assert (metric.kind, metric.columns, metric.covariate, metric.role) == (
        "quantile",
        ("latency_ms",),
        (),
        "secondary",
    )
