"""Pieces of the page: verdict box, tables, figures with alt text. Strings from data are escaped."""

import base64
import io
import math
from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from recab_helpers import formats
from recab_helpers.experiment import Check, Effect, Verdict, posterior_of
from recab_helpers.experiment.bayes import PRIOR_SD
from recab_helpers.report.plots import report_style

Format = Callable[[Any], str]
FORMATS: dict[str, Format] = {
    "ctr": formats.percent,
    "true_ctr": formats.percent,
    "true_lift": formats.lift,
    "coverage": lambda v: formats.percent(v, 1),
    "adjusted_p_value": formats.p_value,
    "variance_reduction": lambda v: formats.percent(v, 1) if math.isfinite(v) else "no CUPED",
    "rate": lambda v: formats.percent(v, 1),
    "error": lambda v: f"\N{PLUS-MINUS SIGN}{formats.percent(v, 1)}",
    "stated": lambda v: formats.percent(v, 0),
    "true": lambda v: formats.percent(v, 0),
    "mde_with_cuped": lambda v: formats.percent(v, 1),
    "days": formats.count,
    "mde": lambda v: formats.percent(v, 1),
    "p_value": formats.p_value,
    "lift": formats.lift,
    "users_for_estimate": formats.count,
}


def show(fig: Figure, *, alt: str, caption: str = "") -> HTML:
    """The figure as an inline SVG image with alt text and caption; works in Jupyter and in the report."""
    buffer = io.BytesIO()
    with report_style():
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return HTML(f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{escape(alt, quote=True)}">{note}</figure>')


def table(frame: pd.DataFrame, *, caption: str = "") -> HTML:
    """A table whose index is the row header; numbers are formatted by column name and right-aligned."""
    head = "".join(_cell("th", _label(c), _is_number(frame[c])) for c in frame)
    body = "".join(
        f"<tr>{_cell('th', str(index), False, 'row')}"
        + "".join(_cell("td", _text(c, v), _is_number(frame[c])) for c, v in zip(frame, row, strict=True))
        + "</tr>"
        for index, row in zip(frame.index, frame.itertuples(index=False), strict=True)
    )
    corner = _cell("th", _label(frame.index.name or ""), False)
    note = f"<caption>{escape(caption)}</caption>" if caption else ""
    return HTML(
        f'<div class="scroll"><table class="recab">{note}<thead><tr>{corner}{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def verdict_box(verdict: Verdict, checks: list[Check]) -> HTML:
    """The call, its sentence and reasons, and the checks as words."""
    reasons = "".join(f"<li>{escape(r)}</li>" for r in verdict.reasons)
    states = "".join(f'<li class="{_state(c)}">{escape(c.name)}: {_state(c)}</li>' for c in checks)
    return HTML(
        f'<section class="verdict {verdict.call.replace(" ", "-")}"><p class="call">{escape(verdict.call)}</p>'
        f"<p><strong>{escape(verdict.sentence)}</strong></p><ul>{reasons}</ul>"
        f"{f'<p>{escape(verdict.would_change)}</p>' if verdict.would_change else ''}"
        f'<ul class="checks">{states}</ul></section>'
    )


def effects_table(effects: list[Effect]) -> HTML:
    """Both values, difference, lift and p with their intervals, one row per effect."""
    several = len({e.comparison for e in effects}) > 1
    rows = [
        {
            "metric": f"{e.label}, {e.name}" if several else e.label,
            "role": e.role if e.role != "guardrail" else f"guardrail, margin {formats.percent(e.margin, 0)}",
            "control": _value(e, e.control),
            "treatment": _value(e, e.treatment),
            "difference": _signed(e, e.difference),
            "lift": formats.lift(e.lift) if math.isfinite(e.lift) else f"not defined: {e.reason}",
            "interval": formats.lift_interval(e.lift_ci) if math.isfinite(e.lift) else "",
            "p": formats.p_value(e.p_value),
            "adjusted p": _adjusted(e),
            "method": e.method,
        }
        for e in effects
    ]
    return table(pd.DataFrame(rows).set_index("metric"))


def checks_table(checks: list[Check]) -> HTML:
    """Every check with its state, p and the counts behind it."""
    rows = [
        {
            "check": c.name,
            "state": _state(c),
            "p": formats.p_value(c.p_value) if math.isfinite(c.p_value) else "none",
            "detail": c.detail,
        }
        for c in checks
    ]
    return table(pd.DataFrame(rows).set_index("check"))


def facts(values: dict[str, Any], *, caption: str = "") -> HTML:
    """A two-column table of names and values."""
    frame = pd.DataFrame({"value": [str(v) for v in values.values()]}, index=pd.Index(values, name="name"))
    return table(frame, caption=caption)


def bayes_table(effects: list[Effect]) -> HTML:
    """Chance to be better and expected loss of every defined goal and secondary lift, with the prior stated."""
    rows = []
    for e in effects:
        if e.role in ("goal", "secondary") and (found := posterior_of(e)):
            rows.append(
                {
                    "metric": e.label,
                    "comparison": e.comparison,
                    "chance to be better": formats.percent(found.chance_to_be_better, 1),
                    "expected loss if shipped": formats.percent(found.expected_loss(ship=True), 2),
                    "expected loss if kept": formats.percent(found.expected_loss(ship=False), 2),
                    "95% credible interval": formats.lift_interval(found.interval()),
                }
            )
    if not rows:
        return HTML("<p>No lift is defined, so there is nothing to read.</p>")
    note = f"Prior of every log(1 + lift): normal, mean zero, standard deviation {PRIOR_SD:g}: mostly within 20%."
    return table(pd.DataFrame(rows).set_index("metric"), caption=note)


def segments_table(segments: pd.DataFrame) -> HTML:
    """The goal lift per segment level, exploratory."""
    if segments.empty:
        return HTML("<p>No segments are known of these users.</p>")
    rows = [
        {
            "segment": s.segment,
            "level": s.level,
            "comparison": s.comparison,
            "users": s.users,
            "lift (interval)": f"{formats.lift(s.lift)} ({formats.lift_interval((s.low, s.high))})"
            if math.isfinite(s.lift)
            else f"not defined: {s.reason}",
            "adjusted p": formats.p_value(s.adjusted_p_value),
        }
        for s in segments.itertuples()
    ]
    return table(pd.DataFrame(rows).set_index("segment"))


def heterogeneity_table(tested: pd.DataFrame) -> HTML:
    """Whether lifts differ between the levels of each segment."""
    if tested.empty:
        return HTML("<p>No segment has two levels with a defined lift.</p>")
    unlike = (tested["adjusted_p_value"] < 0.05).map({True: "lifts differ", False: "no difference shown"})
    return table(tested.assign(reading=unlike).set_index("segment"))


def truth_table(truth: pd.DataFrame | None, effects: list[Effect]) -> HTML:
    """The true lift beside the estimate, per definition of truth; a plain sentence where no truth is known."""
    if truth is None:
        return HTML("<p>This log comes from a real system: its truth is not known.</p>")
    estimates = {e.comparison.split(" vs ")[0]: e for e in effects if e.metric == "ctr"}
    drawn = truth["truth"].iloc[0]
    rows = []
    for row in truth[truth["variant"].isin(list(estimates))].itertuples():
        effect = estimates[row.variant]
        inside = effect.lift_ci[0] <= row.true_lift <= effect.lift_ci[1]
        rows.append(
            {
                "truth": row.truth + (", drawn from" if row.truth == drawn else ", for comparison"),
                "treatment": f"{row.variant} ({row.model})",
                "true_lift": row.true_lift,
                "estimated_lift": f"{formats.lift(effect.lift)} ({formats.lift_interval(effect.lift_ci)})",
                "interval holds the truth": "yes" if inside else "no",
            }
        )
    return table(pd.DataFrame(rows).set_index("truth"))


def yardsticks_table(yardsticks: dict[str, float]) -> HTML:
    """True CTR of policies that need no model under test."""
    frame = pd.DataFrame({"true_ctr": yardsticks.values()}, index=pd.Index(yardsticks, name="policy"))
    return table(frame)


def totals_table(totals: pd.DataFrame, models: dict[str, str]) -> HTML:
    """Totals per variant with the model behind it."""
    frame = totals.copy()
    if models:
        frame.insert(0, "model", [models[v] for v in frame.index])
    return table(frame)


def quality_table(quality: pd.DataFrame | None) -> HTML:
    """Offline quality per model; a plain sentence for a real log."""
    if quality is None:
        return HTML("<p>This log comes from a real system: offline quality is not known.</p>")
    return table(quality)


def lineage_table(lineage: dict[str, Any]) -> HTML:
    """Run ids, commit, data hash, every parameter and version."""
    rows = {f"{stage} run": run_id for stage, run_id in lineage["run_ids"].items()}
    rows |= {"git commit": lineage["git_commit"] or "not a checkout", "data hash": lineage["data_hash"]}
    for stage, values in lineage["parameters"].items():
        rows[f"{stage} parameters"] = ", ".join(f"{k}={v}" for k, v in values.items())
    rows["versions"] = ", ".join(f"{k} {v}" for k, v in lineage["versions"].items())
    return facts(rows)


def _value(e: Effect, value: float) -> str:
    return formats.percent(value) if e.metric in ("ctr", "clicked_any") else formats.number(value)


def _adjusted(e: Effect) -> str:
    if math.isfinite(e.noninferiority_p):
        return f"{formats.p_value(e.noninferiority_p)} (non-inferiority)"
    return formats.p_value(e.adjusted_p_value) if math.isfinite(e.adjusted_p_value) else "none"


def _signed(e: Effect, value: float) -> str:
    return ("+" if value > 0 else "") + _value(e, value)


def _state(check: Check) -> str:
    return "passed" if check.passed else "failed" if check.gate else "warning"


def _cell(tag: str, text: str, is_number: bool, scope: str = "col") -> str:
    kind = ' class="number"' if is_number else ""
    return f"<{tag}{f' scope={scope!r}' if tag == 'th' else ''}{kind}>{escape(text)}</{tag}>"


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column)


def _label(name: Any) -> str:
    return str(name).replace("_", " ").replace(" at ", "@")


def _text(column: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if column in FORMATS:
        return FORMATS[column](value)
    return formats.count(value) if float(value).is_integer() and abs(value) >= 1 else formats.number(value)
