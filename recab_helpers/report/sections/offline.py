"""Whether offline quality foretold the test."""

import math

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Effect
from recab_helpers.references import CONTROL
from recab_helpers.report.background import Background
from recab_helpers.report.kit import words
from recab_helpers.report.kit.figures import LiftRow, lifts_figure
from recab_helpers.report.kit.html import Number, joined, note, table

RANKING = ("ndcg_at_10", "recall_at_10", "precision_at_10")
SAME = 5e-4  # a lift that rounds to zero


def offline(found: Analysis, known: Background) -> HTML:
    """Offline metrics as lifts over control's model beside the goals' lifts, both as numbers, then every model."""
    if known.quality is None:
        return note("Offline quality of the models in this test is not known.")
    if CONTROL not in known.offline or len(known.offline) < 2:
        return joined(note("Offline quality of the models in this test is not known."), table(known.quality))
    figure = lifts_figure(_rows(found, known), title=_headline(found, known), valid=found.verdict.valid)
    return joined(figure, _table(found, known), table(known.quality))


def _treatments(known: Background) -> list[str]:
    return [v for v in known.offline if v != CONTROL]


def _offline_lift(known: Background, variant: str, metric: str) -> float:
    """Of the model of the variant over that of control; nan where control has nothing."""
    control, treatment = (float(known.quality.loc[known.offline[v], metric]) for v in (CONTROL, variant))
    return treatment / control - 1 if control > 0 else math.nan


def _goals_of(variant: str, found: Analysis) -> list[Effect]:
    return [e for e in found.goal_effects if e.comparison.variant == variant and e.defined]


def _rows(found: Analysis, known: Background) -> list[LiftRow]:
    rows = []
    for variant in _treatments(known):
        suffix = f", {variant}" if words.several(found) else ""
        for name in RANKING:
            label, lift = f"{formats.label_of(name)} offline{suffix}", _offline_lift(known, variant, name)
            rows += [LiftRow(label=label, lift=lift)] if math.isfinite(lift) else []
        rows += [LiftRow.of(e, f"{e.metric.label} in the test{suffix}") for e in _goals_of(variant, found)]
    return rows


def _headline(found: Analysis, known: Background) -> str:
    """Whether the offline ranking metric and the goals point the same way."""
    if not found.verdict.valid:
        return f"Offline quality and lift, {words.INVALID}"
    parts = []
    for variant in _treatments(known):
        before = _offline_lift(known, variant, RANKING[0])
        if not (goals := _goals_of(variant, found)):
            continue
        if not math.isfinite(before):
            parts.append("NDCG@10 of control was zero offline")
        elif abs(before) < SAME:
            parts.append(f"NDCG@10 of {variant} was that of control offline")
        else:
            said = ", ".join(_agreement(before, e, found) for e in goals)
            parts.append(f"NDCG@10 of {variant} was {formats.lift(before, 0)} offline; {said}")
    return ". ".join(parts) or "The lift of the test is not defined"


def _agreement(before: float, e: Effect, found: Analysis) -> str:
    good = e.metric.direction * before * e.lift > 0
    says = ("agrees" if good else "disagrees") if e.better or e.worse else "cannot tell"
    return f"{e.metric.label if len(found.goals) > 1 else 'the test'} {says} ({formats.lift(e.lift)})"


def _table(found: Analysis, known: Background) -> HTML:
    """Offline quality of the models in the test beside the goals in it, and the lift of each number."""
    columns = {v: f"{v}: {m}" for v, m in known.offline.items()}
    rows = []
    for name in [c for c in known.quality if not c.endswith("_s")]:
        values = {v: float(known.quality.loc[m, name]) for v, m in known.offline.items()}
        if any(map(math.isfinite, values.values())):
            write = formats.BY_COLUMN.get(name, formats.number)
            rows.append(_compared(formats.label_of(name), values, columns, write))
    for goal in found.goals:
        values = {v: found.test.users.statistics[v].gradient(goal.columns)[0] for v in columns}
        label = f"{goal.label} in the test"
        rows.append(_compared(label, values, columns, lambda number, goal=goal: words.value(goal, number)))
    frame = pd.DataFrame(rows).set_index("metric")
    return table(frame, as_named=list(frame))


def _compared(metric: str, values: dict[str, float], columns: dict[str, str], write) -> dict:
    """One row of numbers by variant, and the lift of each treatment over control."""
    row = {"metric": metric} | {columns[v]: Number(values[v], write(values[v])) for v in columns}
    for name in [v for v in columns if v != CONTROL]:
        lift = values[name] / values[CONTROL] - 1 if values[CONTROL] > 0 else math.nan
        row[f"lift of {name}"] = Number(lift, formats.lift(lift))
    return row
