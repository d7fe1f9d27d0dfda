"""How the numbers were made, in plain words, with the settings of this analysis and the sources."""

from html import escape
from string import Template

from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis
from recab_helpers.report.background import Background
from recab_helpers.report.kit.html import TEMPLATE
from recab_helpers.report.verdict import RULE


def method(found: Analysis, known: Background) -> HTML:
    """A list of terms: unit, CTR, CUPED, lift, verdict, power, looks and the others."""
    text = Template((TEMPLATE / "method.html").read_text(encoding="utf-8"))
    level, power = formats.confidence(found.alpha), formats.percent(found.wanted_power, 0)
    return HTML(text.substitute(level=level, rule=escape(RULE), alpha=f"{found.alpha:g}", power=power))
