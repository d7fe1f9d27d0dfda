"""The tables of the pages, each from what the analysis found."""

import math
from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import CONTROL, Analysis, Check, Effect
from recab_helpers.analysis.bayes import PRIOR_SD
from recab_helpers.report.kit.html import Number, facts, note, state, table

SHARES = ("ctr", "clicked_any")  # metrics that are shares, shown as percent
NO_RESULT = "The test is invalid: these numbers may show where its fault lies, and nothing else."
NOT_READ = "Not shown: the test is invalid."


def effects_table(found: Analysis) -> HTML:
    """Both values, difference, lift and p with their intervals, one row per effect.

    The adjusted p of a guardrail is that of its non-inferiority test. An invalid test has no p-values.
    """
    return _effects(found.effects, found, ["role", "p_value", "adjusted_p_value"])


def sensitivity_table(found: Analysis) -> HTML:
    """The goal by other methods, as `effects_table`, without adjusted p-values."""
    return _effects(found.sensitivity, found, ["p_value"])


def _effects(effects: list[Effect], found: Analysis, more: list[str]) -> HTML:
    several = len({e.comparison for e in effects}) > 1
    rows = [
        {
            "metric": f"{e.label}, {e.name}" if several else e.label,
            "role": e.role,
            "control": Number(e.control, _value(e, e.control)),
            "treatment": Number(e.treatment, _value(e, e.treatment)),
            "difference": Number(e.difference, _signed(e, e.difference)),
            "lift": Number(e.lift, formats.lift(e.lift)),
            "interval of the lift" if several else f"{formats.confidence(found.alpha)} interval": _interval(e.lift_ci),
            "p_value": e.p_value,
            "adjusted_p_value": e.adjusted_p_value if e.role != "guardrail" else e.noninferiority_p,
            "method": "; ".join([e.method, *([e.reason] if e.reason else [])]),
        }
        for e in effects
    ]
    hidden = {"role", "p_value", "adjusted_p_value"} - set(more)
    if not found.verdict.valid:
        hidden |= {"p_value", "adjusted_p_value"}
    caption = "" if found.verdict.valid else NO_RESULT
    return table(pd.DataFrame(rows).set_index("metric").drop(columns=sorted(hidden)), caption=caption)


def totals_table(found: Analysis, models: dict[str, str] | None = None) -> HTML:
    """Totals per variant with the model behind it."""
    frame = found.totals.copy()
    if models:
        frame.insert(0, "model", [models[v] for v in frame.index])
    return table(frame)


def checks_table(checks: list[Check]) -> HTML:
    """Every check with its state, p and the counts behind it, those that failed first."""
    rows = [
        {"check": c.name, "state": state(c), "p_value": c.p_value, "detail": c.detail}
        for c in sorted(checks, key=lambda c: (c.passed, not c.gate))
    ]
    return table(pd.DataFrame(rows).set_index("check"))


def bayes_table(found: Analysis) -> HTML:
    """Chance to be better and expected loss of every defined goal and secondary lift, with the prior stated."""
    if not found.verdict.valid:
        return note(NOT_READ)
    if found.bayes.empty:
        return note("No lift is defined, so there is nothing to read.")
    intervals = [_interval(ci) for ci in zip(found.bayes["low"], found.bayes["high"], strict=True)]
    frame = found.bayes.drop(columns=["low", "high"]).assign(**{"95% credible interval": intervals})
    prior = f"Prior of every log(1 + lift): normal, mean zero, standard deviation {PRIOR_SD:g}: mostly within 20%."
    return table(_short(frame).set_index("metric"), caption=prior)


def segments_table(found: Analysis) -> HTML:
    """The goal lift per segment level, exploratory."""
    if found.segments.empty:
        return note("No segments are known of these users.")
    rows = [
        {
            "segment": s.segment,
            "level": s.level,
            "comparison": s.comparison,
            "users": s.users,
            "lift": s.lift,
            "interval of the lift": _interval((s.low, s.high)),
            "adjusted_p_value": s.adjusted_p_value,
            "note": s.reason,
        }
        for s in found.segments.itertuples()
    ]
    hidden = [] if found.verdict.valid else ["adjusted_p_value"]
    caption = "" if found.verdict.valid else NO_RESULT
    return table(_short(pd.DataFrame(rows)).set_index("segment").drop(columns=hidden), caption=caption)


def heterogeneity_table(found: Analysis) -> HTML:
    """Whether lifts differ between the levels of each segment."""
    if not found.verdict.valid:
        return note(NOT_READ)
    tested = found.heterogeneity
    if tested.empty:
        return note("No segment has two levels with a defined lift.")
    unlike = (tested["adjusted_p_value"] < found.alpha).map({True: "lifts differ", False: "no difference shown"})
    return table(_short(tested.assign(reading=unlike)).set_index("segment"))


def power_table(found: Analysis) -> HTML:
    """The MDE of every metric and the users that its estimate would take."""
    return table(_short(found.power.reset_index()).set_index("metric"))


def overlap_table(overlap: pd.DataFrame | None) -> HTML:
    """How many items the slates of a user share; a plain sentence where each user's other slate is not known."""
    if overlap is None:
        return note("A real log holds one slate per user, so the overlap of slates is not known.")
    return table(overlap)


def offline_table(quality: pd.DataFrame | None, offline: dict[str, str], found: Analysis) -> HTML:
    """Offline quality of the models in the test beside their CTR in it, and the lift of each number.

    Empty where the quality of these models is not known.
    """
    if quality is None or CONTROL not in offline or len(offline) < 2:
        return HTML("")
    columns = {v: f"{v}: {m}" for v, m in offline.items()}
    rows = []
    for name in [c for c in quality if not c.endswith("_s")]:
        values = {v: float(quality.loc[m, name]) for v, m in offline.items()}
        if any(map(math.isfinite, values.values())):
            rows.append(_compared(formats.label_of(name), values, columns, formats.BY_COLUMN.get(name, formats.number)))
    ctr = found.totals["ctr"].to_dict()
    rows.append(_compared("CTR in the test", ctr, columns, formats.percent))
    return table(pd.DataFrame(rows).set_index("metric"))


def quality_table(quality: pd.DataFrame | None) -> HTML:
    """Offline quality and cost of every trained model; nothing for a real log."""
    return HTML("") if quality is None else table(quality)


def truth_table(truth: pd.DataFrame | None, effects: list[Effect]) -> HTML:
    """The true lift beside the estimate, per definition of truth; empty for a real log."""
    if truth is None:
        return HTML("")
    estimates = {e.name: e for e in effects if e.metric == "ctr"}
    drawn = truth["truth"].iloc[0]
    rows = []
    for row in truth[truth["variant"].isin(list(estimates))].itertuples():
        effect = estimates[row.variant]
        inside = effect.lift_ci[0] <= row.true_lift <= effect.lift_ci[1]
        rows.append(
            {
                "truth": formats.label_of(row.truth) + (", drawn from" if row.truth == drawn else ", for comparison"),
                "treatment": f"{row.variant} ({row.model})",
                "true_lift": row.true_lift,
                "estimate": effect.lift,
                "interval of the estimate": _interval(effect.lift_ci),
                "holds the truth": "yes" if inside else "no",
            }
        )
    return table(pd.DataFrame(rows).set_index("truth"))


def yardsticks_table(yardsticks: dict[str, float], truth: pd.DataFrame | None = None) -> HTML:
    """True CTR of policies that need no model under test, and of the variants where `truth` is given, lowest first."""
    if not yardsticks:
        return HTML("")
    rows = dict(yardsticks)
    if truth is not None:
        drawn = truth[truth["truth"] == truth["truth"].iloc[0]]
        rows |= {f"{r.variant} ({r.model})": r.true_ctr for r in drawn.itertuples()}
    frame = pd.DataFrame({"true_ctr": rows.values()}, index=pd.Index(rows, name="policy"))
    return table(frame.sort_values("true_ctr", kind="stable"))


def models_table(models: dict[str, str], run_ids: dict[str, str]) -> HTML:
    """The registered model of each variant with its MLflow address and the run that trained it."""
    if not models:
        return note("A real log names no models of MLflow; the variants stand for what was served.")
    rows = []
    for variant, model in models.items():
        name, _, version = model.rpartition(":")
        number = version.isdigit()
        address = f"models:/{name}/{version}" if number else version
        rows.append({"variant": variant, "model": name, "version": version, "MLflow address": address})
    return table(pd.DataFrame(rows).set_index("variant"), caption=f"Trained by run {run_ids.get('train', 'unknown')}.")


def commands_block(lineage: dict[str, Any]) -> HTML:
    """The commands that repeat the run, ready to copy."""
    return HTML(f'<pre class="recab">{escape(chr(10).join(lineage["commands"]))}</pre>')


def lineage_table(lineage: dict[str, Any]) -> HTML:
    """Run ids, commit, data hash, every parameter and version."""
    rows = {f"{stage} run": run_id for stage, run_id in lineage["run_ids"].items()}
    rows |= {"git commit": lineage["git_commit"] or "not a checkout", "data hash": lineage["data_hash"]}
    for stage, values in lineage["parameters"].items():
        rows[f"{stage} parameters"] = ", ".join(f"{k}={v}" for k, v in values.items())
    rows["versions"] = ", ".join(f"{k} {v}" for k, v in lineage["versions"].items())
    return facts(rows)


def _short(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the comparison where there is one only, and without notes where there are none."""
    said_once = [c for c in ("comparison", "note") if c in frame and len(frame[c].unique()) < 2]
    return frame.drop(columns=[c for c in said_once if c == "comparison" or not frame[c].iloc[0]])


def _compared(metric: str, values: dict[str, float], columns: dict[str, str], write) -> dict[str, Any]:
    """One row of numbers by variant, and the lift of each treatment over control."""
    control, *treatments = columns
    row = {"metric": metric} | {columns[v]: Number(values[v], write(values[v])) for v in columns}
    for name in treatments:
        lift = values[name] / values[control] - 1 if values[control] > 0 else math.nan
        row[f"lift of {name}"] = Number(lift, formats.lift(lift))
    return row


def _interval(ci: tuple[float, float]) -> Number:
    """An interval as one cell, which sorts by its low end."""
    return Number(ci[0], formats.lift_interval(ci))


def _value(e: Effect, value: float) -> str:
    return formats.percent(value) if e.metric in SHARES else formats.number(value)


def _signed(e: Effect, value: float) -> str:
    return formats.points(value) if e.metric in SHARES else ("+" if value > 0 else "") + formats.number(value)
