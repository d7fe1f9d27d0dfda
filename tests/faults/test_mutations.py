"""Mutated logs and parameters: the doors' checks read them rightly or say one clear line, never a library's traceback.

Each mutation is seeded, so that one that fails can be done again by its number.
"""

import os
import random

import numpy as np
import pandas as pd
import pytest

from recab_helpers.pipeline import command_line, notebooks

pytestmark = pytest.mark.slow
MUTATIONS = int(
    os.environ.get("RECAB_MUTATIONS", "2000")
)  # a fifth each of log, users, interactions, parameters, bytes
ODD = [
    "",
    " ",
    "NA",
    "nan",
    "inf",
    "-1",
    "0",
    "1e308",
    "1e-320",
    "9" * 30,
    "True",
    "é",
    "😀",
    "\u202e",
    "a,b",
    'a"b',
    "a\nb",
]
ODD += [
    "2026-02-30",
    "2026-01-05T00:00:00+14:00",
    "1767571200000",
    "[1]",
    "{}",
    "null",
    "'",
    "../x",
    "=1+1",
    "<b>",
    "%s",
]
SETTINGS = {  # what a person may set at each door
    "report": [
        *(
            "n_users",
            "n_items",
            "mean_history",
            "text_share",
            "horizon_days",
            "slate_size",
            "alpha",
            "allocation",
            "seed",
        ),
        *(
            "variants",
            "experiment",
            "truth",
            "split",
            "relevant_rating",
            "hybrid_of",
            "models_from",
            "metrics",
            "looks",
        ),
    ],
    "plan": ["ctr", "lift", "alpha", "power", "n_treatments", "sessions_per_user", "users_per_day", "allocation"],
    "calibrate": ["n_tests", "n_users", "ctr", "lift", "seed"],
    "analyze": [
        "columns",
        "control",
        "click",
        "time_unit",
        "time_zone",
        "date_order",
        "starts",
        "bad_rows",
        "only",
        "unit",
    ],
}


def log_of(draw: random.Random) -> pd.DataFrame:
    """Forty users with two slates of three each."""
    user, rank = np.repeat(np.arange(40), 6), np.tile([1, 2, 3], 80)
    return pd.DataFrame(
        {
            "user_id": [f"u{u:02d}" for u in user],
            "slate_id": np.repeat(np.arange(80), 3),
            "position": rank,
            "variant": np.where(user % 2, "treatment", "control"),
            "item_id": [f"i{draw.randrange(9)}" for _ in user],
            "clicked": [int(draw.random() < 0.2) for _ in user],
            "day": np.tile(np.repeat([1, 2], 3), 40),
        }
    ).astype(str)


def users_of(draw: random.Random) -> pd.DataFrame:
    ids = [f"u{u:02d}" for u in range(40)]
    return pd.DataFrame({"user_id": ids, "pre_clicks": [str(draw.randrange(9)) for _ in ids], "country": "NL"})


def mutated(table: pd.DataFrame, draw: random.Random) -> pd.DataFrame:
    """One to three changes of cells, rows or columns."""
    for _ in range(draw.randint(1, 3)):
        row, column = draw.randrange(max(len(table), 1)), draw.randrange(max(table.shape[1], 1))
        what = draw.choice(["cell", "column", "drop", "twice", "rename", "rows", "shuffle", "none"])
        if table.empty:
            break
        if what == "cell":
            table.iloc[row, column] = draw.choice(ODD)
        elif what == "column":
            table = table.assign(**{table.columns[column]: draw.choice(ODD)})
        elif what == "drop":
            table = table.drop(columns=table.columns[column])
        elif what == "twice":
            table = pd.concat([table, table.iloc[[row]]])
        elif what == "rename":
            table = table.rename(columns={table.columns[column]: draw.choice([*ODD, *table.columns])})
            table = table.loc[:, ~table.columns.duplicated()]
        elif what == "rows":
            table = table.iloc[: draw.randrange(3)]
        elif what == "shuffle":
            table = table.sample(frac=1, random_state=draw.randrange(99))
        else:
            table.iloc[row:, column] = None
    return table


def written(table: pd.DataFrame, file, draw: random.Random) -> str:
    sep, encoding = draw.choice([",", ";", "\t", "|"]), draw.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    file.write_bytes(table.to_csv(index=False, sep=sep).encode(encoding, errors="replace"))
    return str(file)


def damaged(file, draw: random.Random) -> str:
    """The file with some bytes changed, cut or doubled."""
    content = bytearray(file.read_bytes())
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(max(len(content), 1))
        part = draw.choice([b"", b"\x00", b"\xff\xfe", b'"', b"\n", b"\r", content[at : at + 50] * 2])
        content[at : at + draw.choice([0, 1, 100])] = part
    file.write_bytes(content)
    return str(file)


def arguments(number: int, folder) -> list[str]:
    """What is typed in this mutation."""
    draw, kind = random.Random(number), number % 5
    log = folder / f"{number}.csv"
    if kind == 0:
        return ["analyze", "--log", written(mutated(log_of(draw), draw), log, draw)]
    if kind == 1:
        good = written(log_of(draw), log, random.Random(0))
        return [
            "analyze",
            "--log",
            good,
            "--users",
            written(mutated(users_of(draw), draw), folder / f"u{number}.csv", draw),
        ]
    if kind == 2:
        written(log_of(draw), log, draw)
        return [draw.choice(["analyze", "plan"]), "--log", damaged(log, draw)]
    door = draw.choice(list(SETTINGS))
    more = ["--log", written(log_of(draw), log, random.Random(0))] if door == "analyze" else []
    values = [
        *ODD,
        "[a, b]",
        "{a: b}",
        "[content, content]",
        "0.5",
        "7",
        "1_000",
        ".5",
        "-.inf",
        "yes",
        "day_first",
        "s",
    ]
    chosen = {name: draw.choice(values) for name in draw.sample(SETTINGS[door], draw.randint(1, 3))}
    if kind == 3:
        return [door, *more, "--set", *(f"{name}={value}" for name, value in chosen.items())]
    file = folder / f"{number}.yaml"
    file.write_text("\n".join(f"{name}: {value}" for name, value in chosen.items()), encoding="utf-8")
    return [door, *more, "--params", damaged(file, draw) if draw.random() < 0.5 else str(file)]


@pytest.mark.parametrize("part", range(20))
def test_mutated_data_and_parameters_are_read_or_refused_in_one_clear_line(part, tmp_path, monkeypatch, capsys):
    ran: list[dict] = []
    monkeypatch.setattr(notebooks, "run", lambda door, params, **_: ran.append(params))
    wrong = []
    for number in range(part, MUTATIONS, 20):
        ran.clear()
        typed = arguments(number, tmp_path)
        try:
            code = command_line.main(typed)
        except BaseException as error:
            wrong.append((number, typed, repr(error)))
            continue
        said = capsys.readouterr().err
        refused = code == 1 and said.startswith("recab: ") and said.count("\n") == 1 and not ran
        if not (refused or (code == 0 and ran and not said)):
            wrong.append((number, typed, code, said))
    assert not wrong, wrong[:5]
