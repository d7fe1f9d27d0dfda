"""Each walk-through of CONTRIBUTING.md, done in a scratch copy: it touches the files that it says, and it works.

The functions named `a_...` run there, each in a process of its own: there `recab_helpers` is the extended copy.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("recab_helpers", "notebooks", "tests", "pyproject.toml", "CONTRIBUTING.md")
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WALKS = dict(re.findall(r"^## Add (.+?): (?:one|two) files?\n(.+?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^```(?:diff|python)\n(?:--- |# )(\S+)\n(.+?)^```$", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)


# The page, put into a copy


def changed(text: str, diff: str) -> str:
    """The text with every hunk of the diff applied; what a hunk changes stands in the text once."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        old = "".join(line[1:] for line in hunk.splitlines(keepends=True) if not line.startswith("+"))
        new = "".join(line[1:] for line in hunk.splitlines(keepends=True) if not line.startswith("-"))
        assert text.count(old) == 1, f"stands there {text.count(old)} times:\n{old}"
        text = text.replace(old, new)
    return text


def as_text(cells: list[dict]) -> str:
    """A notebook as editors write it in a file of Python."""
    kinds = {"markdown": "# %% [markdown]\n", "code": "# %%\n"}
    return "\n".join(f"{kinds[c['cell_type']]}{''.join(c['source'])}\n" for c in cells)


def as_cells(text: str, before: list[dict]) -> list[dict]:
    """The cells that the text writes; those of before keep what is known of them, changed or not."""
    _, *parts = CELL.split(text)
    made = [("markdown" if md else "code", src.strip("\n")) for md, src in zip(parts[::2], parts[1::2], strict=True)]
    known = [(c["cell_type"], "".join(c["source"])) for c in before]
    cells: list[dict] = []
    for what, i, j, k, m in SequenceMatcher(None, known, made, autojunk=False).get_opcodes():
        assert what in ("equal", "insert") or (what == "replace" and j - i == m - k), what
        for n, (kind, source) in enumerate(made[k:m]):
            new = {"cell_type": kind, "id": f"new-{k + n}", "metadata": {}}
            new |= {"execution_count": None, "outputs": []} if kind == "code" else {}
            cells.append((new if what == "insert" else before[i + n]) | {"source": source.splitlines(keepends=True)})
    return cells


def put(folder: Path, walk: str) -> set[str]:
    """Put the blocks of a walk-through into the folder; the names of the files that it touches."""
    blocks = BLOCK.findall(walk)
    for name, body in blocks:
        file = folder / name
        if f"--- {name}\n" not in walk:
            assert not file.exists(), f"{name} is there already"
            file.write_text(body, encoding="utf-8")
        elif file.suffix == ".ipynb":
            notebook = json.loads(file.read_text(encoding="utf-8"))
            notebook["cells"] = as_cells(changed(as_text(notebook["cells"]), body), notebook["cells"])
            file.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        else:
            file.write_text(changed(file.read_text(encoding="utf-8"), body), encoding="utf-8")
    return {name for name, _ in blocks}


def text_of(folder: Path) -> dict[str, bytes]:
    files = [
        f for name in COPIED for f in ((folder / name).rglob("*") if (folder / name).is_dir() else [folder / name])
    ]
    return {str(f.relative_to(folder)): f.read_bytes() for f in files if f.is_file() and "__pycache__" not in f.parts}


# What must hold in the copy


def a_metric() -> None:
    import numpy as np

    from recab_helpers.analysis import METRICS, columns_of, estimate_effects
    from recab_helpers.impressions import Users

    rng = np.random.default_rng(1)
    columns = {c: rng.random(90) for c in columns_of(METRICS, ())}
    effects = estimate_effects(Users.of(["control", "treatment"] * 45, columns), METRICS)
    (effect,) = [e for e in effects if e.metric.name == "impressions_per_session"]
    treated = {c: np.mean(columns[c][1::2]) for c in effect.metric.columns}
    assert effect.treatment == pytest.approx(treated["impressions"] / treated["sessions"])
    assert effect.metric.role == "secondary"
    assert 0 <= effect.adjusted_p_value <= 1


def a_recommender() -> None:
    """It keeps to the contract of the catalog, which is what the tests of the catalog hold every model to."""
    from recab_helpers.recommenders import MODELS

    for other in MODELS.keys() - {"neighbors"}:
        del MODELS[other]  # so that no other model is fitted for it
    passes("neighbors", "recommenders/test_catalog.py", least=8)


def a_data_source() -> None:
    from recab_helpers.data import load_dataset
    from recab_helpers.parameters import TrainParams

    folder = Path("some books")
    folder.mkdir()
    (folder / "books.csv").write_text("book_id,title,authors\n1,Emma,Jane Austen\n2,Ulysses,James Joyce\n")
    (folder / "ratings.csv").write_text("user_id,book_id,rating\na,1,5\na,2,2\nb,2,4\n")
    found = load_dataset(TrainParams(dataset=str(folder)))
    assert found.name == "goodbooks"
    assert found.interactions["rating"].tolist() == [5, 2, 4]
    assert dict(zip(found.catalog["item_id"], found.catalog["text"], strict=True))["1"] == "Emma Jane Austen"


def a_check() -> None:
    import numpy as np
    import pandas as pd

    from recab_helpers.analysis import run_checks
    from tests.made import HALVES, even_log, reduced

    log = even_log(np.random.default_rng(1), 1000)
    bot = pd.DataFrame([log.iloc[0]] * 200).assign(clicked=1, slate_id=range(10_000, 10_200))
    for clicks, state in ((log, "passed"), (pd.concat([log, bot]), "failed")):
        (check,) = [c for c in run_checks(reduced(clicks), HALVES) if c.name == "No user dominates"]
        assert (check.state, check.gate) == (state, False), check


def a_section_with_its_figure() -> None:
    """The section is in the notebook once, and whole, whatever is known; the notebook stays a good read."""
    passes(
        "attention or every_section_once or 03_analyze",
        "report/test_sections.py",
        "test_notebooks.py",
        least=11,
    )
    from recab_helpers.report import Background, sections
    from tests.report.drawn import an_analysis

    page = sections.attention(an_analysis(), Background()).data
    assert "Share of impressions that the most shown tenth of items takes" in page


def a_parameter() -> None:
    from recab_helpers.errors import ParameterError
    from recab_helpers.parameters import PlanParams

    with pytest.raises(ParameterError, match="test_days is 0; give a value from 1 to 366"):
        PlanParams(test_days=0)
    passes("plan and the_parameters_cell or 00_plan", "test_parameters.py", "test_notebooks.py", least=6)
    assert "28 days" in title_of_the_plan(28)


def title_of_the_plan(days: int) -> str:
    """Run the notebook of the plan for a test of so many days; the title of its figure of power."""
    names: dict = {}
    for cell in json.loads(Path("notebooks/00_plan.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            names["test_days"] = days
    return names["title"]


def passes(which: str, *files: str, least: int) -> None:
    """At least so many tests of these files are chosen in the copy, and all pass."""
    chosen = []
    spy = type("Spy", (), {"pytest_collection_finish": lambda self, session: chosen.extend(session.items)})()
    paths = [f"tests/{file}" for file in files]
    assert pytest.main(["-q", "-p", "no:cacheprovider", *paths, "-k", which], plugins=[spy]) == 0
    assert len(chosen) >= least, chosen


# The walk-throughs

FILES: dict[Callable[[], None], int] = {  # that each may touch, beside its test
    a_metric: 1,
    a_recommender: 2,
    a_data_source: 2,
    a_check: 1,
    a_section_with_its_figure: 2,
    a_parameter: 2,
}


def test_every_walk_through_is_run():
    assert [f.__name__.replace("_", " ") for f in FILES] == list(WALKS)


@pytest.mark.parametrize("works", FILES, ids=lambda f: f.__name__)
def test_a_walk_through_touches_few_files_and_works(works, tmp_path):
    name = works.__name__.replace("_", " ")
    for part in COPIED:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2  # both keep times, so bytecode stays good
        copy(ROOT / part, tmp_path / part)
    before = text_of(tmp_path)
    touched = put(tmp_path, WALKS[name])
    after = text_of(tmp_path)
    assert {file for file in after if after[file] != before.get(file)} == touched
    assert len(touched) == FILES[works]
    assert f"## Add {name}: {'one file' if len(touched) == 1 else 'two files'}\n" in PAGE
    style = (
        [sys.executable, "-m", "ruff", "check", *touched],
        [sys.executable, "-m", "ruff", "format", "--diff", *touched],
    )
    code = f"import recab_helpers; from tests import test_contributing as t; t.{works.__name__}()"
    here = os.environ | {"PYTHONPATH": str(tmp_path)}
    for command in (*style, [sys.executable, "-c", code]):
        done = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
