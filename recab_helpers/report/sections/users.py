"""A few users side by side: what they met before, what each variant recommends, what they clicked."""

from html import escape
from typing import Any

import pandas as pd
from IPython.display import HTML

from recab_helpers import formats
from recab_helpers.analysis import Analysis, Example
from recab_helpers.report.background import Background


def users(found: Analysis, known: Background) -> HTML:
    """One card per user with lists of titles; titles are escaped and keep their own writing direction."""
    return HTML("".join(_card(e) for e in known.slates.examples))


def _card(e: Example) -> str:
    visits = f"{formats.count(e.sessions)} {'session' if e.sessions == 1 else 'sessions'}"
    clicks = f"{formats.count(e.clicks)} {'click' if e.clicks == 1 else 'clicks'}"
    columns = [_history(e)] if e.n_history else []
    common = "in both" if len(e.slates) == 2 else "in another slate too"
    columns += [_slate(name, slate, common, served=name == e.variant) for name, slate in e.slates.items()]
    return (
        f'<section class="recab user"><h3>User <bdi>{escape(e.user_id)}</bdi>, in {escape(e.variant)}</h3>'
        f'<p>{visits}, {clicks}.</p><div class="columns">{"".join(columns)}</div></section>'
    )


def _history(e: Example) -> str:
    n = len(e.history)
    rows = "".join(f"<li>{_title(h.title)} <small>{h.rating:g}</small></li>" for h in e.history.itertuples())
    shown = f"best {n} of {formats.count(e.n_history)}" if n < e.n_history else "all"
    return f"<div><h4>History <small>{shown}, with ratings</small></h4><ul>{rows}</ul></div>"


def _slate(name: str, slate: pd.DataFrame, common: str, *, served: bool) -> str:
    rows = "".join(_item(row, common) for row in slate.itertuples())
    what = "what this user saw" if served else "not shown to this user"
    return f"<div><h4>Slate of {escape(name)} <small>{what}</small></h4><ol>{rows}</ol></div>"


def _item(row: Any, common: str) -> str:
    clicked = int(getattr(row, "clicked", 0))
    notes = [f"clicked {clicked} of {formats.count(row.shown)}"] if clicked else []
    notes += [common] if row.common else []
    kind = ' class="clicked"' if clicked else ""
    return f'<li value="{int(row.position)}"{kind}>{_title(row.title)} <small>{", ".join(notes)}</small></li>'


def _title(title: str) -> str:
    return f"<bdi>{escape(title)}</bdi>"
