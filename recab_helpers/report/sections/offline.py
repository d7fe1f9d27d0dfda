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
from recab_helpers.report.kit.html import Number, answered, folded, note, table

RANKING = ("ndcg_at_10", "recall_at_10", "precision_at_10")
SAME = 5e-4  # a lift that rounds to zero


def offline(found: Analysis, known: Background) -> HTML:
    """Offline metrics as lifts over control's model beside the goals' lifts, both as numbers, then every model."""
    if known.quality is None or CONTROL not in known.offline or len(set(known.offline.values())) < 2:
        return HTML("")
    of = known.quality.loc[list(known.offline.values())].set_axis(list(known.offline))
    title = _headline(found, of, known)
    figure = lifts_figure(_rows(found, of, known), title=title, valid=found.verdict.valid)
    heads = {v: known.called(v) for v in known.offline}
    every = folded("Every model that was trained", table(known.quality))
    return answered(title, figure, _dilution(known), _table(found, of, heads), every)


def _dilution(known: Background) -> HTML:
    """That a diluted test shows a part of the effect only, which offline quality knows nothing of."""
    if not known.diluted:
        return HTML("")
    share = formats.percent(known.dial, 0)
    return note(
        f"The test is diluted: {share} of treatment's sessions were served its model, so its lift is about that part."
    )


def _rows(found: Analysis, of: pd.DataFrame, known: Background) -> list[LiftRow]:
    """Lifts of the ranking metrics, and of the goals, of each treatment; `of` is the quality by variant."""
    rows = []
    for variant in of.index.drop(CONTROL):
        suffix = f", {known.called(variant)}" if words.several(found) else ""
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


def _headline(found: Analysis, of: pd.DataFrame, known: Background) -> str:
    """Whether the offline ranking metric and the goals point the same way, and how far apart their sizes are."""
    if not found.verdict.valid:
        return f"Offline quality and lift, {words.INVALID}"
    parts = []
    for variant in of.index.drop(CONTROL):
        before = _lift(of[RANKING[0]].to_dict(), variant)
        if not (goals := _goals_of(variant, found)):
            continue
        unknown = [v for v in (CONTROL, variant) if math.isnan(of.loc[v, RANKING[0]])]
        if unknown:
            parts.append(f"NDCG@10 of {known.called(unknown[0])} was not measured: it did not answer")
        elif not math.isfinite(before):
            parts.append("NDCG@10 of control was zero offline")
        elif abs(before) < SAME:
            parts.append(f"NDCG@10 of {known.called(variant)} was that of control offline")
        else:
            said = ", ".join(_agreement(before, e, found) for e in goals)
            parts.append(f"NDCG@10 of {known.called(variant)} was {formats.lift(before, 0)} offline; {said}")
    return ". ".join(parts) or ("The lift of the test is not defined" if found.effects else "The test gives no lift")


def _agreement(before: float, e: Effect, found: Analysis) -> str:
    name, size = e.metric.label if len(found.goals) > 1 else "the test", formats.lift(e.lift)
    if not (e.better or e.worse):
        return f"{name} cannot tell ({size})"
    if e.metric.direction * before * e.lift < 0:
        return f"{name} disagrees ({size})"
    alike = e.lift_ci[0] <= before <= e.lift_ci[1]
    return f"{name} agrees ({size})" if alike else f"{name} agrees in sign only ({size})"


def _table(found: Analysis, of: pd.DataFrame, heads: dict[str, str]) -> HTML:
    """Offline quality of the models in the test beside the goals in it, and the lift of each number."""
    quality = of[[c for c in of if not c.endswith("_s")]].dropna(axis="columns", how="all")
    rows = [
        _compared(formats.label_of(name), quality[name].to_dict(), heads, formats.BY_COLUMN.get(name, formats.number))
        for name in quality
    ]
    for goal in found.goals if found.effects else ():  # CTR of interleaved picks is of neither model
        values = {v: found.test.users.counted_by(goal.columns)[v].gradient(goal.columns)[0] for v in heads}
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
