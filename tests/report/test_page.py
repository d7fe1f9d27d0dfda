"""The page: one file, valid HTML, no request, escaped strings, alt text on every figure."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import html5lib
import nbformat
import pandas as pd
import pytest

from recab_helpers.report.page import markdown, render, render_index
from tests.conftest import NASTY_TITLES

BESIDE = ("ab_report.json", "ab_report_effects.csv", "ab_report.schema.json")  # files that the foot links


class Page(HTMLParser):
    """Tags with attributes, and whether every opened tag was closed."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.open, self.faults = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


@pytest.fixture(scope="module")
def text(small_run) -> str:
    return (small_run / "ab_report.html").read_text()


def test_the_page_makes_no_request_and_runs_no_code_but_its_own(text):
    page = Page(text)
    for tag, attributes in page.tags:
        address = attributes.get("src") or attributes.get("href") or ""
        assert not address or address.startswith(("data:", "#")) or (tag == "a" and address in BESIDE), (tag, address)
        assert tag not in ("iframe", "object", "embed", "base")
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not re.search(r"@import|url\(\s*['\"]?http", text)
    assert len(text) < 1_000_000


def test_tags_nest_and_ids_are_unique(text):
    page = Page(text)
    assert not page.faults
    assert not page.open
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_every_figure_says_what_it_shows_and_every_contents_link_has_its_heading(text):
    page = Page(text)
    alts = [a["alt"] for t, a in page.tags if t == "img"]
    assert len(alts) >= 3
    assert all(len(alt) > 40 for alt in alts)
    ids = {a["id"] for _, a in page.tags if "id" in a}
    links = [a["href"][1:] for t, a in page.tags if t == "a" and a["href"].startswith("#")]
    assert len(links) > 5
    assert set(links) <= ids


def test_no_cell_and_no_bare_nan_reach_the_page(text):
    words = re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]+>", " ", text, flags=re.DOTALL)
    assert "AnalyzeParams.of" not in words
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", words)


WINNING = re.compile(
    r"\b(better|worse|ahead|the higher CTR|is [\d.]+% (higher|lower)|could have stopped on|agrees|ship)\b",
    re.IGNORECASE,
)


def said(page: str) -> str:
    """What a page says of its own test: the verdict, tables and alt texts; not the prose that every report has."""
    alts = " ".join(re.findall(r'alt="([^"]*)"', page))
    rest = re.sub(r"<(style|script|dl|main|nav)\b.*?</\1>", " ", page, flags=re.DOTALL)
    tables = " ".join(re.findall(r"<table.*?</table>", page, re.DOTALL))
    return html.unescape(re.sub(r"<[^>]+>", " ", f"{alts} {rest} {tables}"))


def test_an_invalid_test_names_nothing_better_or_worse(invalid_run, text):
    page = (invalid_run / "ab_report.html").read_text()
    document = json.loads((invalid_run / "ab_report.json").read_text())
    assert document["verdict"]["call"] == "invalid"
    assert document["verdict"]["winner"] == ""
    assert re.search("<title>(.*)</title>", page)[1] == "Real: invalid, test of treatment against control"
    assert "<title>Simulated: " in text
    assert not WINNING.search(said(page))
    assert WINNING.search(said(text))  # the same words are there in a valid test
    assert page.index('id="can-the-numbers-be-trusted"') < page.index('id="how-much-did-each-metric-change"')
    assert text.index('id="can-the-numbers-be-trusted"') > text.index('id="how-much-did-each-metric-change"')
    assert "chance to be better" not in page


def test_the_page_goes_from_the_verdict_to_how_it_is_reproduced(text):
    headings = re.findall(r'<h2 id="([^"]*)"', text)
    assert text.index('class="recab verdict') < text.index("<nav") < text.index('<details class="section"')
    assert headings == [
        "how-much-did-each-metric-change",
        "who-gains-and-who-loses",
        "what-does-each-model-recommend",
        "can-the-numbers-be-trusted",
        "could-the-test-have-stopped-earlier",
        "what-if-both-slates-are-known",
        "did-offline-quality-foretell-the-test",
        "was-the-analysis-right",
        "how-are-clicks-spread",
        "how-can-it-be-reproduced",
        "how-was-it-measured-and-how-good-is-the-method",
    ]


def test_a_section_without_content_is_not_on_the_page_of_a_real_log(invalid_run):
    page = (invalid_run / "ab_report.html").read_text()
    assert "was-the-analysis-right" not in page
    assert "did-offline-quality-foretell-the-test" not in page
    assert "Simulated test" not in page


def test_what_lies_beside_the_page_is_linked_and_there(small_run, text):
    linked = [a["href"] for t, a in Page(text).tags if t == "a" and not a["href"].startswith("#")]
    assert linked == list(BESIDE)
    assert all((small_run / name).stat().st_size for name in linked)
    rows = pd.read_csv(small_run / "ab_report_effects.csv")
    assert rows["metric"].iloc[0] == "ctr"


def test_a_page_that_is_passed_on_names_no_folder_of_this_machine(invalid_run):
    for name in ("ab_report.html", "ab_report.json"):
        text = (invalid_run / name).read_text()
        assert "lost.parquet" in text
        assert "/lost.parquet" not in text


def test_the_page_says_what_it_takes_to_reproduce_it(small_run, text):
    lineage = json.loads((small_run / "ab_report.json").read_text())["lineage"]
    said_ = html.unescape(text)
    wanted = [*lineage["run_ids"].values(), lineage["data_hash"], lineage["git_commit"], *lineage["commands"]]
    wanted += [f"{name} {version}" for name, version in lineage["versions"].items()]
    wanted += [
        f"{k}={'not set' if v is None else v}" for values in lineage["parameters"].values() for k, v in values.items()
    ]
    assert not [fact for fact in wanted if fact not in said_]


def test_users_are_shown_with_history_both_slates_and_what_they_clicked(text):
    cards = re.findall(r'<section class="recab user">.*?</section>', text, re.DOTALL)
    assert [re.search("<h3>User (.*?), served", card)[1] for card in cards] == list("1234")
    for card in cards:
        assert all(part in card for part in ("<h4>History", "<h4>content", "<h4>collaborative"))
        assert re.search(r'class="clicked"[^>]*><bdi>[^<]+</bdi> <small>clicked \d+ of \d+', card)
        assert card.count("what this user saw") == card.count("not shown to this user") == 1


def test_titles_of_a_log_reach_the_page_escaped_and_keep_their_direction(invalid_run):
    page = (invalid_run / "ab_report.html").read_text()
    for title in NASTY_TITLES:
        assert f"<bdi>{html.escape(title, quote=False)}</bdi>" in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_prose_is_escaped():
    assert "<script>" not in markdown("text <script>alert(1)</script>")


def test_a_strict_parser_finds_no_error(page_file):
    parser = html5lib.HTMLParser()
    parser.parse(page_file.read_text())
    assert not [f"line {line}: {error} {about}" for (line, _), error, about in parser.errors]


def test_prose_stays_but_for_that_above_an_output_that_is_empty(tmp_path):
    def code(text: str):
        return nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("display_data", {"text/html": text})])

    prose = nbformat.v4.new_markdown_cell
    cells = [prose("# T"), prose("## Prose alone\n\none"), prose("## Empty\n\ntwo"), code("")]
    cells += [prose("## Mixed\n\nthree"), prose("four"), code(""), code("<p>five</p>"), prose("six")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "x.ipynb")
    page = render(tmp_path / "x.ipynb")
    body = page[page.index("<main") :]
    assert [word for word in ("one", "two", "three", "four", "five", "six") if re.search(rf"\b{word}\b", body)] == [
        "one",
        "three",
        "five",
        "six",
    ]
    assert "<title>T</title>" in page


def test_the_index_passes_over_what_is_no_whole_report_and_says_so(tmp_path, capsys):
    """One that was cut made every later report fail."""
    whole = {"created_at": "2026-01-02T03:04:05+00:00", "experiment": "x", "variants": [], "effects": []}
    whole = json.dumps(whole | {"verdict": {"call": "ship", "sentence": "It won."}})
    broken = {"cut": whole[:70], "empty": "", "other": "{}", "list": "[1]", "deep": "[" * 10_000, "bytes": "\udcff"}
    for name, content in {"whole": whole, **broken}.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "ab_report.json").write_bytes(content.encode(errors="surrogateescape"))
    page = render_index(tmp_path)
    assert "It won." in page
    said = capsys.readouterr().err
    assert all(f"passed over runs/{name}/ab_report.json" in said for name in broken)
    assert not any(f"runs/{name}/" in page for name in broken)
    assert "runs/whole/" in page
