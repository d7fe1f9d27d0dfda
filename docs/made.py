"""Pages of the site that are made from the code, so that nothing is typed twice, and pictures cut out of a report."""

import base64
import json
import re
from dataclasses import fields
from itertools import count
from typing import Any

from recab_helpers import errors, paths, report
from recab_helpers.errors import RecabError
from recab_helpers.parameters import PRESETS, STAGES
from recab_helpers.pipeline.doors import DOORS
from recab_helpers.pipeline.values import check_values, read_values

PICTURE = re.compile(r"^<!-- picture: (\S+?)((?: \| [\d.]+ [\d.]+)*) -->$", re.MULTILINE)
SHOWN = re.compile(r'<figure class="recab">.*?</figure>|<table.*?</table>', re.DOTALL)
SETTING = re.compile(r"^(\w+): [^#]*?(?:#\s*(.*))?$")
REFUSED: list[tuple[str, str, dict[str, Any]]] = [  # what is typed, its door, the values that it means
    ('make report SET="n_user=500"', "report", {"n_user": 500}),
    ('make report SET="n_users=5"', "report", {"n_users": 5}),
    ('make report SET="n_users=many"', "report", {"n_users": "many"}),
    ('make report SET="variants=[contnt,ease]"', "report", {"variants": ["contnt", "ease"]}),
    ('make report SET="dataset=nowhere"', "report", {"dataset": "nowhere"}),
    ("make analyze LOG=absent.parquet", "analyze", {"log_file": "absent.parquet"}),
    ('make analyze SET="allocation=0.4"', "analyze", {"allocation": 0.4}),
    ('make plan SET="seed=7"', "plan", {"seed": 7}),
    ('make report SET="n_items=20 slate_size=50"', "report", {"n_items": 20, "slate_size": 50}),
]


def with_pictures(text: str, found, known) -> str:
    """The Markdown with pictures where a comment names them: a file of docs/, or a section's figure or else its table.

    What is numbered in the text has its number on the picture: on the heads of a table, and on an image at the places
    that the comment gives, each as its distance from the left and from the top in percent.
    """

    def picture(match: re.Match) -> str:
        if (file := paths.ROOT / "docs" / match[1]).is_file():
            data = base64.b64encode(file.read_bytes()).decode()
            shown = f'<figure class="recab"><img alt="The top of a report" src="data:image/png;base64,{data}"></figure>'
        elif section := SHOWN.search(getattr(report.sections, match[1])(found, known).data):
            shown = section[0]
        else:
            raise ValueError(f"The section {match[1]} has neither figure nor table, so it has no picture.")
        places = [place.split() for place in match[2].split(" | ")[1:]]
        marks = [f'<b class="mark" style="left:{x}%;top:{y}%">{n}</b>' for n, (x, y) in enumerate(places, 1)]
        numbers = count(1)
        shown = re.sub(r"<th\b[^>]*scope=.col.[^>]*>", lambda m: f'{m[0]}<b class="mark">{next(numbers)}</b> ', shown)
        shown = re.sub(r"<img[^>]*>", lambda m: f'<span class="marked">{m[0]}{"".join(marks)}</span>', shown)
        return f"\n<div>{shown}</div>\n"

    return PICTURE.sub(picture, text)


def parameters_page() -> str:
    """Every parameter with its default and its meaning: the classes say which, the notebooks' cells what for."""
    lines = [
        "# All parameters",
        "",
        'Given as `SET="name=value ..."` or in a file, `PARAMS=my.yaml`. A preset sets several: '
        + "; ".join(f"`preset={p}` {_preset(values)}" for p, values in PRESETS.items() if values)
        + ".",
    ]
    for stage, kind in STAGES.items():
        doors = ", ".join(f"`make {name}`" for name, door in DOORS.items() if stage in door.stages)
        meanings = meanings_of(stage)
        rows = [f"| `{f.name}` | `{_default(kind, f.name)}` | {meanings[f.name]} |" for f in fields(kind)]
        lines += ["", f"## {stage}", "", f"Of {doors}.", "", "| name | default | meaning |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def meanings_of(stage: str) -> dict[str, str]:
    """What the cell of settings of a stage's notebook says behind each parameter; empty where its name is enough."""
    [notebook] = paths.NOTEBOOKS.glob(f"[0-9][0-9]_{stage}.ipynb")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    [cell] = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    found = [SETTING.match(line.strip()) for line in cell["source"]]
    return {m[1]: m[2] or "" for m in found if m}


def errors_page() -> str:
    """What each kind of error means, and what recab answers to common mistakes, asked here and now."""
    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, RecabError)]
    rows = [f"| `{e.__name__}` | {' '.join((e.__doc__ or '').split())} |" for e in kinds]
    lines = [
        "# What an error means",
        "",
        "recab refuses before long work, in one line that names the value, the limit and the way out. The traceback is "
        "shown by `V=1`. Exit codes: 1 refused or not possible here, 2 a line that cannot be read, 70 a defect of "
        "recab (please report it), 130 and 143 stopped.",
        "",
        "| class | means |",
        "|---|---|",
        *rows,
        "",
        "## Common refusals",
        "",
        "| typed | answer |",
        "|---|---|",
        *(f"| `{typed}` | {answer_to(door, values)} |" for typed, door, values in REFUSED),
    ]
    return "\n".join(lines) + "\n"


def answer_to(door: str, values: dict[str, Any]) -> str:
    """What the command line says to these values.

    Raises:
        AssertionError: it takes them.
    """
    try:
        check_values(door, read_values("", []) | values)
    except RecabError as refused:
        return str(refused).replace("|", "\\|")
    raise AssertionError(f"make {door} takes {values}, which this page says it refuses.")


def _preset(values: dict[str, Any]) -> str:
    return "(" + ", ".join(f"{k}={_written(v)}" for k, v in values.items()) + ")"


def _default(kind: type, name: str) -> str:
    return _written(getattr(kind(), name)) or "empty"


def _written(value: Any) -> str:
    return f"[{','.join(value)}]" if isinstance(value, list) else "empty" if value in ({}, None) else str(value)
