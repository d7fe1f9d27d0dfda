"""The pieces that every page is made of: tables, facts, notes, figures with alt text. Strings from data are escaped."""

import base64
import io
import math
from collections.abc import Callable, Collection
from html import escape
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from recab_helpers import formats
from recab_helpers.report.kit.plot import report_style

TEMPLATE = Path(__file__).parents[1] / "template"
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
    """The figure as an image with alt text, which its title begins, and caption; works in Jupyter and in the report.

    SVG, or PNG where so much is drawn that the SVG has more than LARGEST_SVG bytes and the PNG fewer than it.
    """
    mime, image = "image/svg+xml", _drawn(fig, "svg", metadata={"Date": None, "Creator": None})
    if len(image) > LARGEST_SVG:
        png = _drawn(fig, "png", dpi=PNG_DPI)
        mime, image = ("image/png", png) if len(png) < len(image) else (mime, image)
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    source = f"data:{mime};base64,{base64.b64encode(image).decode()}"
    said = escape(f"{fig.get_suptitle()}. {alt}".removeprefix(". "), quote=True)
    return HTML(f'<figure class="recab"><img src="{source}" alt="{said}">{note}</figure>')


def table(frame: pd.DataFrame, *, caption: str = "", as_named: Collection[str] = ()) -> HTML:
    """A table whose index, or first column where rows are only numbered, is the row header.

    Numbers are formatted by column name and right-aligned. Heads are put in words, but for columns in `as_named`,
    whose names come from data.
    """
    if isinstance(frame.index, pd.RangeIndex) and frame.index.name is None:
        frame = frame.set_index(frame.columns[0])
    heads = {c: str(c) if c in as_named else formats.label_of(str(c)) for c in frame}
    head = "".join(_cell("th", text, _is_number(frame[c])) for c, text in heads.items())
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


def joined(*pieces: HTML) -> HTML:
    """The pieces one under another, as one output of a cell."""
    return HTML("\n".join(piece.data for piece in pieces if piece.data))


def interval(ci: tuple[float, float]) -> Number:
    """An interval of a lift as one cell, which sorts by its low end."""
    return Number(ci[0], formats.lift_interval(ci))


def said_once(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Without those of the columns that hold one value only, which the text around the table has said."""
    return frame.drop(columns=[c for c in columns if c in frame and frame[c].nunique(dropna=False) < 2])


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


def _drawn(fig: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with report_style():
        fig.savefig(buffer, format=kind, **options)
    return buffer.getvalue()
