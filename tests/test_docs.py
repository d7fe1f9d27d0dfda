"""The guides say what the code does, the site holds together and loads nothing, and the skin of the project agrees."""

import importlib.util
import itertools
import json
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
from recab_helpers import analysis, impressions, tracking
from recab_helpers.analysis.decision import Call
from recab_helpers.analysis.metrics import Role
from recab_helpers.errors import DataError
from recab_helpers.impressions import contract
from recab_helpers.parameters import STAGES
from recab_helpers.pipeline import command_line, values
from tests.conftest import SMALL
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
        assert values.check_values(door, values.read_values(typed.get("PARAMS", ""), shlex.split(typed.get("SET", ""))))


def commands_from_an_export() -> list[tuple[str, dict[str, str]]]:
    """Doors with what is given to them, as the guide types them."""
    section = YOUR_LOG.partition("## From a warehouse export to a verdict")[2].partition("\n## ")[0]
    typed = [shlex.split(command) for command in re.findall(r"^make (.+)$", section, re.MULTILINE)]
    return [(door, dict(word.split("=", 1) for word in given)) for door, *given in typed]


@pytest.fixture
def exports(rng, tmp_path, monkeypatch) -> None:
    """The files that the guide names, in the folder where its commands are typed."""
    monkeypatch.chdir(tmp_path)
    log = log_of(rng)
    log["shown_at"] = pd.to_datetime(log["day"], unit="D", origin="2026-04-29").astype(str)
    theirs = {"user_id": "uid", "slate_id": "request_id", "variant": "grp", "item_id": "sku", "clicked": "n_clicks"}
    export = log.drop(columns="day").rename(columns=theirs)
    export.replace({"grp": {"control": "A", "treatment": "B"}}).to_csv("export.csv", index=False)
    came_back = rng.random(900) < 0.3
    players = pd.DataFrame({"userid": range(900), "version": ["gate_30", "gate_40"] * 450, "retention_7": came_back})
    players.to_csv("players.csv", index=False)
    looks = [
        {"test_id": test, "arm": arm, "metric": metric, "date": f"2026-05-0{day}", "users": 100 * day, "mean": mean}
        for test, arm, (metric, mean), day in itertools.product(
            (7, 8), ("control", "new"), (("orders", 2.0), ("returns", 1.0)), range(1, 6)
        )
    ]
    pd.DataFrame(looks).assign(variance=3.0).to_csv("sums.csv", index=False)


def test_the_commands_from_an_export_to_a_verdict_read_what_they_say(exports, monkeypatch, capsys):
    monkeypatch.setattr("recab_helpers.pipeline.notebooks.run", lambda *_, **__: print("reads it"))
    said = []
    for door, given in commands_from_an_export():
        with monkeypatch.context() as typed:
            for name, value in given.items():
                typed.setenv(f"RECAB_{name}", value)
            assert command_line.main([door]) == 0
        said.append(capsys.readouterr().out)
    assert "columns={user_id: uid, slate_id: request_id, variant: grp, item_id: sku" in said[0]
    assert "control: 300 users, 900 impressions" in said[1]
    assert said[2:4] == ["reads it\n"] * 2
    assert "columns={variant: arm, n: users, look: date, experiment: test_id}" in said[4]
    assert said[5:] == ["reads it\n"]


@pytest.mark.slow
def test_the_commands_from_an_export_end_in_the_pages_of_their_tests(exports, run_pipeline, monkeypatch):
    pages = []
    for door, given in commands_from_an_export():
        if door == "analyze":
            with monkeypatch.context() as typed:
                for name, value in given.items():
                    typed.setenv(f"RECAB_{name}", value)
                code, reports = run_pipeline(door)
            assert code == 0
            pages.append(json.loads((reports / "ab_report.json").read_text(encoding="utf-8")))
    assert [page["kind"] for page in pages] == ["real"] * 3
    goals = [{e["metric"] for e in page["effects"] if e["role"] == "goal"} for page in pages]
    assert goals == [{"ctr"}, {"retention_7"}, {"orders"}]
    assert [{v["name"]: v["users"] for v in page["variants"]} for page in pages] == [
        {"control": 300, "B": 300}, {"control": 450, "gate_40": 450}, {"control": 500, "new": 500},
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("page", "control"), [("lastfm", "popularity"), ("books", "content")])
def test_a_file_of_parameters_of_the_guide_ends_in_the_page_of_its_data(
    page, control, world_data, rng, tmp_path, monkeypatch, run_pipeline
):
    """Play counts without a text to read, in tabs; grades from 0 to 10 in the encoding and quotes of their time."""
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs" / "your_data.md").read_text(encoding="utf-8")
    [parameters] = re.findall(rf"^```yaml\n(# {page}\.yaml\n.+?)^```$", guide, re.MULTILINE | re.DOTALL)
    Path(f"{page}.yaml").write_text(parameters, encoding="utf-8")
    met, catalog = world_data.interactions, world_data.catalog
    user, known = pd.factorize(met["user_id"])[0], np.arange(len(catalog)) + 2
    item = known[pd.Index(catalog["item_id"]).get_indexer(met["item_id"])]
    files = yaml.safe_load(parameters)
    Path(files["dataset"]).parent.mkdir()
    if page == "lastfm":
        plays = rng.geometric(0.5 ** met["rating"])
        given = pd.DataFrame({"userID": user, "artistID": item, "weight": plays})
        items = pd.DataFrame({"id": known, "name": catalog["title"], "url": "http://x"})
        kind = {"sep": "\t"}
    else:
        given = pd.DataFrame({"User-ID": user, "ISBN": item, "Book-Rating": 2 * met["rating"].astype(int)})
        items = pd.DataFrame({"ISBN": known, "Book-Title": "Caf\u00e9 " + catalog["title"].str.replace('"', "'")})
        items = items.assign(**{"Book-Author": "Someone", "Publisher": catalog["text"]})
        given["ISBN"], items["ISBN"] = (c["ISBN"].map("{:010}".format) for c in (given, items))
        kind = {"sep": ";", "quoting": 1, "encoding": "latin-1"}
    for table, file in ((given, files["dataset"]), (items, files["catalog_file"])):
        table.to_csv(file, index=False, **kind)
    monkeypatch.setenv("RECAB_PARAMS", f"{page}.yaml")
    code, reports = run_pipeline("report", "horizon_days=5", f"experiment={page}")
    assert code == 0
    document = json.loads((reports / "ab_report.json").read_text(encoding="utf-8"))
    assert [v["model"].rpartition("-")[2].partition(":")[0] for v in document["variants"]] == [control, "collaborative"]
    train = tracking.load_table(document["lineage"]["run_ids"]["train"], "train/train")
    held_out = tracking.load_table(document["lineage"]["run_ids"]["train"], "train/held_out")
    assert len(train) + len(held_out) == len(met)
    assert set(train["item_id"].astype(str)) <= set(items.iloc[:, 0].astype(str))


@pytest.mark.slow
def test_the_model_of_the_guide_becomes_a_variant_by_its_commands(run_pipeline, monkeypatch):
    guide = (ROOT / "docs" / "your_model.md").read_text(encoding="utf-8")
    assert run_pipeline("train", *SMALL[:3])[0] == 0
    names: dict = {}
    for block in re.findall(r"^```python\n(.+?)^```$", guide, re.MULTILINE | re.DOTALL):
        exec(block, names)
    section = guide.partition("Now it is a variant:")[2].partition("\n## ")[0]
    for _, door, *given in map(shlex.split, re.findall(r"^make .+$", section, re.MULTILINE)):
        code, reports = run_pipeline(door, *(word.removeprefix("SET=") for word in given))
        assert code == 0
    document = json.loads((reports / "ab_report.json").read_text(encoding="utf-8"))
    assert document["variants"][1]["model"] == "neighbors:1"
    assert document["variants"][1]["clicks"] > 0


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
