"""Whether offline quality foretold the test."""

import math
from collections.abc import Callable
from functools import partial

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
    unknown = note("Offline quality of the models in this test is not known.")
    if known.quality is None:
        return unknown
    if CONTROL not in known.offline or len(known.offline) < 2:
        return joined(unknown, table(known.quality))
    of = known.quality.loc[list(known.offline.values())].set_axis(list(known.offline))
    figure = lifts_figure(_rows(found, of), title=_headline(found, of), valid=found.verdict.valid)
    heads = {v: f"{v}: {model}" for v, model in known.offline.items()}
    return joined(figure, _table(found, of, heads), table(known.quality))


def _rows(found: Analysis, of: pd.DataFrame) -> list[LiftRow]:
    """Lifts of the ranking metrics, and of the goals, of each treatment; `of` is the quality by variant."""
    rows = []
    for variant in of.index.drop(CONTROL):
        suffix = f", {variant}" if words.several(found) else ""
        for name in RANKING:
            label, lift = f"{formats.label_of(name)} offline{suffix}", _lift(of[name].to_dict(), variant)
            rows += [LiftRow(label=label, lift=lift)] if math.isfinite(lift) else []
        rows += [LiftRow.of(e, f"{e.metric.label} in the test{suffix}") for e in _goals_of(variant, found)]
    return rows


def _lift(values: dict[str, float], variant: str) -> float:
    """Of the variant's value over control's; nan where control has nothing."""
    return float(values[variant] / values[CONTROL] - 1) if values[CONTROL] > 0 else math.nan


def _goals_of(variant: str, found: Analysis) -> list[Effect]:
    return [e for e in found.goal_effects if e.comparison.variant == variant and e.defined]


def _headline(found: Analysis, of: pd.DataFrame) -> str:
    """Whether the offline ranking metric and the goals point the same way."""
    if not found.verdict.valid:
        return f"Offline quality and lift, {words.INVALID}"
    parts = []
    for variant in of.index.drop(CONTROL):
        before = _lift(of[RANKING[0]].to_dict(), variant)
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


def _table(found: Analysis, of: pd.DataFrame, heads: dict[str, str]) -> HTML:
    """Offline quality of the models in the test beside the goals in it, and the lift of each number."""
    quality = of[[c for c in of if not c.endswith("_s")]].dropna(axis="columns", how="all")
    rows = [
        _compared(formats.label_of(name), quality[name].to_dict(), heads, formats.BY_COLUMN.get(name, formats.number))
        for name in quality
    ]
    for goal in found.goals:
        values = {v: found.test.users.statistics[v].gradient(goal.columns)[0] for v in heads}
        rows.append(_compared(f"{goal.label} in the test", values, heads, partial(words.value, goal)))
    frame = pd.DataFrame(rows).set_index("metric")
    return table(frame, as_named=list(frame))


def _compared(
    metric: str, values: dict[str, float], heads: dict[str, str], write: Callable[[float], str]
) -> dict[str, str | Number]:
    """One row of numbers by variant, and the lift of each treatment over control."""
    lifts = {v: _lift(values, v) for v in heads if v != CONTROL}
    numbers = {head: Number(values[v], write(values[v])) for v, head in heads.items()}
    return {"metric": metric} | numbers | {f"lift of {v}": Number(x, formats.lift(x)) for v, x in lifts.items()}
