"""What this test could find: power by true lift, and the smallest lift of every metric."""

import math

from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.figures import power_figure
from recab_helpers.report.kit.html import joined, said_once, table


def power(found: Analysis, known: Background) -> HTML:
    """The chance that this test finds each true lift of the goal with its MDE marked; then every metric's MDE."""
    goals = found.power[found.power["metric"].isin([g.label for g in found.goals])]
    smallest = goals.groupby("metric", sort=False)["mde"].max().dropna()
    at = (smallest.max(), found.wanted_power) if len(smallest) else None
    worst = goals.sort_values("mde").tail(1).to_dict("records")
    caption = f"Of several, the least precise: {worst[0]['metric']} of {worst[0]['variant']}." if len(goals) > 1 else ""
    figure = power_figure(found.power_curve, title=_headline(found, smallest.to_dict()), at=at, caption=caption)
    return joined(figure, table(said_once(found.power, "variant", "against").set_index("metric")))


def _headline(found: Analysis, smallest: dict[str, float]) -> str:
    """The smallest lift of each goal that this test finds, in the comparison that finds least."""
    if not any(map(math.isfinite, smallest.values())):
        return "What this test finds is not defined"
    lifts = " and ".join(f"a {label} lift of {formats.percent(mde, 1)}" for label, mde in smallest.items())
    return f"This test finds {lifts} with power {formats.percent(found.wanted_power, 0)}"
