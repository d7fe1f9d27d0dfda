"""The pieces that every page is made of: verdict box, tables, figures with alt text. Strings from data are escaped."""

import base64
import io
import math
from collections.abc import Callable
from html import escape
from numbers import Real
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from recab_helpers import formats
from recab_helpers.analysis import RULE, Analysis, Check
from recab_helpers.report.kit.plot import report_style

TEMPLATE = Path(__file__).parent / "template"
LONG_TEXT = 40  # letters, from which a cell keeps a width that reads well on a phone
LARGEST_SVG, PNG_DPI = 100_000, 144  # bytes; a figure with more to draw is smaller and faster as PNG


class Number(NamedTuple):
    """A number of a table with its text, where the column alone does not tell the format."""

    value: float
    text: str


def style() -> HTML:
    """The look of the fragments, for a notebook; the page brings the same."""
    return HTML(f"<style>{(TEMPLATE / 'fragments.css').read_text()}</style>")


def show(fig: Figure, *, alt: str, caption: str = "") -> HTML:
    """The figure as an image with alt text and caption; works in Jupyter and in the report.

    SVG, or PNG where so much is drawn that the SVG has more than LARGEST_SVG bytes and the PNG fewer than it.
    """
    mime, image = "image/svg+xml", _drawn(fig, "svg", metadata={"Date": None, "Creator": None})
    if len(image) > LARGEST_SVG:
        png = _drawn(fig, "png", dpi=PNG_DPI)
        mime, image = ("image/png", png) if len(png) < len(image) else (mime, image)
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    source = f"data:{mime};base64,{base64.b64encode(image).decode()}"
    return HTML(f'<figure class="recab"><img src="{source}" alt="{escape(alt, quote=True)}">{note}</figure>')


def table(frame: pd.DataFrame, *, caption: str = "") -> HTML:
    """A table whose index is the row header; numbers are formatted by column name and right-aligned."""
    head = "".join(_cell("th", formats.label_of(str(c)), _is_number(frame[c])) for c in frame)
    writers = [formats.BY_COLUMN.get(str(c), formats.number_or_count) for c in (frame.index.name, *frame)]
    rows = [
        _value_cell(row[0], writers[0], tag="th") + "".join(map(_value_cell, row[1:], writers[1:]))
        for row in frame.itertuples(name=None)
    ]
    first = formats.label_of(frame.index.name or "name")
    top = f"<thead><tr>{_cell('th', first, pd.api.types.is_numeric_dtype(frame.index))}{head}</tr></thead>"
    return _table(top, rows, caption, label=f"Table by {first}")


def facts(values: dict[str, Any]) -> HTML:
    """A table of names and values, without a head."""
    rows = [_cell("th", str(k), False, scope="row") + _cell("td", str(v), False) for k, v in values.items()]
    return _table("", rows, "", label="Table of facts")


def note(text: str) -> HTML:
    """A plain sentence in the place of a figure or table that cannot be."""
    return HTML(f'<p class="recab">{escape(text)}</p>')


def verdict_box(found: Analysis, models: dict[str, str] | None = None) -> HTML:
    """The call, its sentence and reasons, every check with its state, and what was compared."""
    verdict, checks = found.verdict, found.checks
    reasons = "".join(f"<li>{escape(r)}</li>" for r in verdict.reasons)
    states = "".join(
        f'<li class="{state(c)}">{escape(c.name)}: {state(c)}</li>' for c in sorted(checks, key=lambda c: c.passed)
    )
    parts = [_compared(name, row, models or {}) for name, row in found.totals.iterrows()]
    days = found.by_day.index.get_level_values("day").nunique()
    parts.append(f"{formats.count(days)} {'day' if days == 1 else 'days'}")
    if models and len(set(models.values())) == 1:
        parts.append("the same model in every variant (A/A test)")
    mark = verdict.call.replace(" ", "-")
    change = f"<p>{escape(verdict.would_change)}</p>" if verdict.would_change else ""
    return HTML(
        f'<div class="recab verdict {mark}" role="group" aria-label="Verdict"><p class="call">{escape(verdict.call)}'
        f'</p><p class="sentence">{escape(verdict.sentence)}</p><ul class="reasons">{reasons}</ul>{change}'
        f'<ul class="checks" aria-label="Checks">{states}</ul><p class="compared">{"; ".join(parts)}</p></div>'
    )


def method_notes(found: Analysis) -> HTML:
    """How the numbers were made, in plain words, with the settings of this analysis and the sources."""
    text = Template((TEMPLATE / "method.html").read_text(encoding="utf-8"))
    level, power = formats.confidence(found.alpha), formats.percent(found.wanted_power, 0)
    return HTML(text.substitute(level=level, rule=escape(RULE), alpha=f"{found.alpha:g}", power=power))


def state(check: Check) -> str:
    """A check's state in one word: a failed check that is no gate is a warning."""
    return "passed" if check.passed else "failed" if check.gate else "warning"


def _compared(name: str, row: pd.Series, models: dict[str, str]) -> str:
    model = f" is {models[name]}" if name in models else ""
    return f"{escape(str(name))}{escape(model)} ({formats.count(row['users'])} users)"


def _table(head: str, rows: list[str], caption: str, *, label: str) -> HTML:
    """The table in a box that scrolls sideways where it must, also by keyboard."""
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    box = f'<div class="recab scroll" tabindex="0" role="group" aria-label="{escape(label)}">'
    return HTML(f'{box}<table class="recab">{title}{head}<tbody>{body}</tbody></table></div>')


def _cell(tag: str, text: str, is_number: bool, *, scope: str = "col", value: float = math.nan) -> str:
    kind = ' class="number"' if is_number else ' class="long"' if len(text) > LONG_TEXT else ""
    kind += f' scope="{scope}"' if tag == "th" else ""
    kind += f' data-value="{value!r}"' if math.isfinite(value) else ""
    kind += "" if text.isascii() else ' dir="auto"'  # text of another script keeps to its own cell
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def _value_cell(value: Any, write: Callable[[Any], str], tag: str = "td") -> str:
    if isinstance(value, Number):
        return _cell(tag, value.text, True, scope="row", value=float(value.value))
    if isinstance(value, (bool, np.bool_)):
        return _cell(tag, "yes" if value else "no", False, scope="row")
    if isinstance(value, Real):
        return _cell(tag, write(value), True, scope="row", value=float(value))
    return _cell(tag, str(value), False, scope="row")


def _is_number(column: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(column):
        return False
    return pd.api.types.is_numeric_dtype(column) or any(isinstance(v, Number) for v in column)


def _drawn(fig: Figure, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    with report_style():
        fig.savefig(buffer, format=kind, **options)
    return buffer.getvalue()
