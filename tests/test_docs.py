"""The guides say what the code does, the site holds together and loads nothing, and the skin of the project agrees."""

import importlib.util
import re
import shlex
import tomllib
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urldefrag

import numpy as np
import pandas as pd
import pytest
import yaml

import recab_helpers
from recab_helpers import analysis, impressions
from recab_helpers.analysis.decision import Call
from recab_helpers.analysis.metrics import Role
from recab_helpers.errors import DataError
from recab_helpers.impressions import contract
from recab_helpers.parameters import STAGES
from recab_helpers.pipeline import command_line
from tests.report.drawn import a_background, an_analysis

ROOT = Path(__file__).resolve().parents[1]
GUIDES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
YOUR_LOG = (ROOT / "docs" / "your_log.md").read_text(encoding="utf-8")
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page of the site links to, what it loads, and the anchors that it has."""

    def __init__(self, file: Path):
        super().__init__()
        self.links, self.loads, self.anchors = set(), set(), {""}
        text = file.read_text(encoding="utf-8")
        self.feed(text)
        self.loads |= set(re.findall(r"url\([\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", text))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        if found := values.get(LOADING.get(tag, "")):
            self.loads.add((found, ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, Page]:
    """Every page of the site, by its file."""
    spec = importlib.util.spec_from_file_location("build_docs", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = an_analysis()
    folder = module.build(tmp_path_factory.mktemp("a site"), found, a_background(found)).parent
    return {file: Page(file) for file in folder.rglob("*.html")}


def text_of(site: dict[Path, Page], name: str) -> str:
    """A page of the top of the site."""
    return min((f for f in site if f.stem == name), key=lambda f: len(f.parts)).read_text(encoding="utf-8")


def log_of(rng: np.random.Generator, n_users: int = 600) -> pd.DataFrame:
    """A log of slates of three, in which a tenth is clicked."""
    user, position = np.repeat(np.arange(n_users), 6), np.tile([1, 2, 3], 2 * n_users)
    return pd.DataFrame(
        {
            "user_id": user.astype(str),
            "slate_id": np.repeat(np.arange(2 * n_users), 3),
            "position": position,
            "variant": np.where(user % 2, "treatment", "control"),
            "item_id": rng.integers(0, 40, len(user)).astype(str),
            "clicked": (rng.random(len(user)) < 0.1).astype(int),
            "day": np.tile(np.repeat([1, 2], 3), n_users),
        }
    )


# Guides


def test_the_guide_lists_the_columns_of_the_contract():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", YOUR_LOG, re.MULTILINE)
    columns = (*contract.IMPRESSIONS, *contract.TIMES, contract.TITLE)
    assert rows == [(c.name, c.kind, c.meaning) for c in columns]


def test_the_guide_quotes_the_error_that_a_bad_cell_gets(rng, tmp_path):
    log = log_of(rng)
    log.loc[1:41, "clicked"] = 3
    log.to_csv(tmp_path / "impressions.csv", index=False)
    with pytest.raises(DataError) as refused:
        impressions.open_log(tmp_path / "impressions.csv")
    assert str(refused.value) in " ".join(YOUR_LOG.split())


def test_the_python_of_the_guide_runs(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = log_of(rng)
    log.to_parquet("impressions.parquet")
    users = pd.DataFrame({"user_id": log["user_id"].unique()})
    users.assign(pre_clicks=1, pre_impressions=20, country="NL").to_parquet("users.parquet")
    [block] = re.findall(r"^```python\n(.+?)^```$", YOUR_LOG, re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(block, names)
    assert names["found"].test.n_impressions == len(log)
    assert names["found"].verdict.call in ("ship", "keep control", "inconclusive", "invalid")


def test_the_metrics_of_the_guide_are_metrics():
    [block] = re.findall(r"^```yaml\n(.+?)^```$", YOUR_LOG, re.MULTILINE | re.DOTALL)
    metrics = {m.name: m for m in analysis.metrics_from(yaml.safe_load(block)["metrics"])}
    assert [m.name for m in analysis.goals_of(metrics.values())] == ["revenue_per_session"]
    assert (metrics["ctr"].role, metrics["ctr"].margin) == ("guardrail", 0.03)
    assert metrics["dwell_seconds"].kind == "mean"


@pytest.mark.parametrize("page", ["your_data", "your_model"])
def test_every_command_of_a_guide_is_understood(page, tmp_path, monkeypatch):
    """Each is read and checked as when it is typed, with files of the names that it gives."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "path" / "to" / "folder").mkdir(parents=True)
    (tmp_path / "path" / "to" / "folder" / "interactions.csv").touch()
    (tmp_path / "mine.yaml").touch()
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    commands = re.findall(r"(?:^|`)(make [a-z]+(?: [A-Z]+=(?:\"[^\"]*\"|[^\s`]+))*)", text, re.MULTILINE)
    assert len(commands) > 1
    for command in commands:
        _, door, *given = shlex.split(command)
        typed = dict(word.split("=", 1) for word in given)
        assert set(typed) <= {"SET", "PARAMS"}
        assert command_line.check_values(
            door, command_line.read_values(typed.get("PARAMS", ""), shlex.split(typed.get("SET", "")))
        )


def test_the_commands_from_an_export_to_a_verdict_read_what_they_say(rng, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recab_helpers.pipeline.notebooks.run", lambda *_, **__: print("reads it"))
    log = log_of(rng)
    log["shown_at"] = pd.to_datetime(log["day"], unit="D", origin="2026-04-29").astype(str)
    theirs = {"user_id": "uid", "slate_id": "request_id", "variant": "grp", "item_id": "sku", "clicked": "n_clicks"}
    export = log.drop(columns="day").rename(columns=theirs)
    export.replace({"grp": {"control": "A", "treatment": "B"}}).to_csv("export.csv", index=False)
    players = pd.DataFrame({"userid": range(4), "version": ["gate_30", "gate_40"] * 2, "retention_7": True})
    players.to_csv("players.csv", index=False)
    section = YOUR_LOG.partition("## From a warehouse export to a verdict")[2].partition("\n## ")[0]
    said = []
    for command in re.findall(r"^make (.+)$", section, re.MULTILINE):
        door, *given = shlex.split(command)
        for name, value in (word.split("=", 1) for word in given):
            monkeypatch.setenv(f"RECAB_{name}", value)
        assert command_line.main([door]) == 0
        said.append(capsys.readouterr().out)
        for name in ("LOG", "USERS", "SET"):
            monkeypatch.delenv(f"RECAB_{name}", raising=False)
    assert "columns={user_id: uid, slate_id: request_id, variant: grp, item_id: sku" in said[0]
    assert "control: 300 users, 900 impressions" in said[1]
    assert said[2:] == ["reads it\n"] * 2


@pytest.mark.parametrize("guide", GUIDES, ids=lambda p: p.name)
def test_a_guide_links_to_files_that_are_there(guide):
    links = [urldefrag(link)[0] for link in re.findall(r"\]\(([^)]+)\)", guide.read_text(encoding="utf-8"))]
    assert [link for link in links if link and "://" not in link and not (guide.parent / link).is_file()] == []


def test_every_door_in_the_guides_is_a_target_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        t for g in GUIDES for t in re.findall(r"(?:^|`)make ([a-z-]+)", g.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named <= targets


# The site


def test_the_site_asks_nothing_of_any_host(site):
    loads = {found for page in site.values() for pair in page.loads for found in pair if found}
    assert {found for found in loads if not found.startswith("data:")} == set()
    assert all("search.js" in f.read_text(encoding="utf-8") for f in site if f.name != "sample_report.html")


def test_every_link_of_the_site_leads_somewhere(site):
    broken = set()
    for file, page in site.items():
        for link in page.links:
            path, anchor = urldefrag(link)
            if "://" in path:
                continue
            target = (file.parent / unquote(path)).resolve() if path else file
            if target not in site or unquote(anchor) not in site[target].anchors:
                broken.add((file.name, link))
    assert broken == set()


def test_the_reference_holds_every_public_name_of_every_room(site):
    folder = next(file for file in site if file.name == "recab_helpers.html").parent / "recab_helpers"
    for room in ("analysis", "calibration", "data", "impressions", "recommenders", "report", "simulation", "tracking"):
        public = set(getattr(recab_helpers, room).__all__)
        pages = {file.stem for file in site if file.parent == folder / room}
        assert public
        assert public <= site[folder / f"{room}.html"].anchors | pages, room


def test_every_guide_is_a_page(site):
    guides = {"index", "your_log", "read_a_report", "glossary", "times_and_sizes", "extend", "security", "changes"}
    assert guides | {"parameters", "errors", "sample_report"} <= {file.stem for file in site}


def test_the_page_of_parameters_has_each_with_its_default_and_the_meaning_that_its_cell_gives(site):
    text = text_of(site, "parameters")
    for params in STAGES.values():
        for field in fields(params):
            assert f"<code>{field.name}</code>" in text
    assert "<td>items shown per session</td>" in text
    assert "<code>[content,collaborative]</code>" in text


def test_the_page_of_errors_has_every_class_and_what_recab_says_now(site):
    text = text_of(site, "errors")
    for name in ("ParameterError", "DataError", "TrackingError", "PipelineError", "DefectError"):
        assert f"<code>{name}</code>" in text
    assert "Did you mean content?" in text
    assert "give a value from 10 to" in text


def test_the_guide_to_a_report_shows_sections_of_a_real_one(site):
    text = text_of(site, "read_a_report")
    assert text.count('<figure class="recab">') >= 4
    assert "<!-- picture" not in text
    report = text_of(site, "sample_report")
    assert "Can the numbers be trusted?" in report


def test_the_glossary_has_the_words_of_the_house():
    words = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").lower()
    named = {*get_args(Role), *get_args(Call)} | {"slate", "examination", "propensity", "lift", "mde", "srm", "cuped"}
    assert {word for word in named if word not in words} == set()


# The skin


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    [newest, *_] = re.findall(
        r"^## (\d\S*) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert (citation["version"], str(citation["date-released"])) == newest
    assert PROJECT["version"] == recab_helpers.__version__ == newest[0]
    assert citation["license"] == PROJECT["license"]


def test_the_types_travel_with_the_package():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    assert "py.typed" in data["recab_helpers"]
    assert (ROOT / "recab_helpers" / "py.typed").is_file()


def test_the_workflow_runs_every_python_that_the_project_allows():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    versions = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    assert versions == [f"3.{minor}" for minor in range(int(low), int(high))]
    [tests] = [s["run"] for s in workflow["jobs"]["windows"]["steps"] if "pytest" in s.get("run", "")]
    assert [p for p in shlex.split(tests) if p.startswith("tests") and not (ROOT / p).exists()] == []


def test_hooks_and_lint_strip_notebooks_alike():
    [hook] = [
        h["entry"]
        for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
        for h in repo["hooks"]
        if h["id"] == "nbstripout"
    ]
    [lint] = re.findall(r"nbstripout --verify (.+) notebooks/", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert shlex.split(hook)[3:] == shlex.split(lint)
