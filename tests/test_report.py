"""The page: one file, no request, escaped strings, alt text on every figure; and numbers in one format."""

import base64
import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.figure import Figure

from recab_helpers import formats, report
from recab_helpers.report import plots, sentences
from recab_helpers.report.page import markdown
from tests.conftest import NASTY_TITLES


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
        assert not address or address.startswith(("data:", "#")), (tag, address)
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
    assert "<title>Invalid: " in page
    assert not WINNING.search(said(page))
    assert WINNING.search(said(text))  # the same words are there in a valid test
    assert page.index('id="can-the-numbers-be-trusted"') < page.index('id="by-how-much-did-each-metric-change"')
    assert text.index('id="can-the-numbers-be-trusted"') > text.index('id="by-how-much-did-each-metric-change"')
    assert "chance to be better" not in page


def test_the_page_goes_from_the_verdict_to_how_it_is_reproduced(text):
    headings = re.findall(r'<h2 id="([^"]*)"', text)
    assert text.index('class="recab verdict') < text.index("<nav") < text.index("<h2")
    assert headings == [
        "by-how-much-did-each-metric-change",
        "can-the-numbers-be-trusted",
        "what-could-this-test-find",
        "when-could-the-test-have-stopped",
        "how-are-clicks-spread-over-users",
        "where-and-when-were-the-clicks",
        "does-the-effect-differ-between-users",
        "what-does-each-model-recommend",
        "did-offline-quality-foretell-the-test",
        "was-the-analysis-right",
        "which-models-and-data-are-behind-it",
        "how-was-it-measured",
        "how-can-it-be-reproduced",
    ]


def test_the_page_says_what_it_takes_to_reproduce_it(small_run, text):
    lineage = json.loads((small_run / "ab_report.json").read_text())["lineage"]
    said_ = html.unescape(text)
    wanted = [*lineage["run_ids"].values(), lineage["data_hash"], lineage["git_commit"], *lineage["commands"]]
    wanted += [f"{name} {version}" for name, version in lineage["versions"].items()]
    wanted += [f"{k}={v}" for values in lineage["parameters"].values() for k, v in values.items()]
    assert not [fact for fact in wanted if fact not in said_]


def test_users_are_shown_with_history_both_slates_and_what_they_clicked(text):
    cards = re.findall(r'<section class="recab user">.*?</section>', text, re.DOTALL)
    assert len(cards) == 4
    for card in cards:
        assert all(part in card for part in ("<h4>History", "<h4>Slate of control", "<h4>Slate of treatment"))
        assert re.search(r'class="clicked"[^>]*><bdi>[^<]+</bdi> <small>clicked \d+ of \d+', card)
        assert card.count("what this user saw") == card.count("not shown to this user") == 1


@pytest.mark.parametrize(
    ("ndcg", "lift_ci", "says"),
    [(0.2, (0.05, 0.2), "agrees"), (0.05, (0.05, 0.2), "disagrees"), (0.2, (-0.05, 0.2), "cannot tell")],
)
def test_offline_quality_is_held_against_the_test(ndcg, lift_ci, says):
    goal = SimpleNamespace(role="goal", name="treatment", lift=0.1, lift_ci=lift_ci)
    found = SimpleNamespace(verdict=SimpleNamespace(valid=True), effects=[goal])
    quality = pd.DataFrame({"ndcg_at_10": [0.1, ndcg]}, index=["content", "collaborative"])
    title = sentences.offline_headline(found, quality, {"control": "content", "treatment": "collaborative"})
    assert f"the test {says} (+10.0%)" in title


def test_titles_of_a_log_reach_the_page_escaped_and_keep_their_direction(invalid_run):
    page = (invalid_run / "ab_report.html").read_text()
    for title in NASTY_TITLES:
        assert f"<bdi>{html.escape(title, quote=False)}</bdi>" in page
    assert "<script>alert" not in page
    assert page.count("<script>") == 1


def test_cells_of_every_kind_have_a_text_and_only_numbers_a_value():
    index = pd.Index(pd.cut([1.0, 2.0, 3.0, 4.0, 5.0], 2)[:5], name="bin")
    frame = pd.DataFrame({"a": [1, 2, 3, 4, math.nan], "b": [True, False] * 2 + [True], "c": list("vwxyz")}, index)
    page = report.table(frame).data
    assert page.count("data-value=") == 4
    assert page.count("<td>yes</td>") == 3
    assert "nan" not in page.replace("not defined", "")
    assert page.count("(0.996, 3.0]") == 3


def test_a_figure_of_many_marks_is_a_png():
    levels = range(2000)
    index = pd.MultiIndex.from_product([["control", "treatment"], levels], names=["variant", "position"])
    many = pd.DataFrame({"impressions": 10, "clicks": 1, "ctr": 0.1}, index)
    assert "data:image/png" in report.ctr_figure(many, title="many").data
    assert "data:image/svg+xml" in report.ctr_figure(many.groupby(level=0).head(5), title="few").data


def test_names_at_the_ends_of_lines_do_not_touch():
    with report.report_style():
        ax = Figure(figsize=(5, 2.8)).subplots()
        plots._label_ends(ax, [(0.5, "a", "k"), (0.501, "b", "k"), (0.99, "c", "k"), (1.0, "d", "k")])
    at = sorted(text.xy[1] for text in ax.texts)
    assert min(b - a for a, b in pairwise(at)) >= plots.LABEL_GAP - 1e-9
    assert at[-1] <= 1


def test_strings_from_data_are_escaped():
    nasty = "<script>alert(1)</script>"
    frame = pd.DataFrame({nasty: [nasty]}, index=pd.Index([nasty], name=nasty))
    html = report.table(frame, caption=nasty).data
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 6
    assert "<script>" not in markdown(f"text {nasty}")


def test_figures_leave_the_global_style_alone_and_repeat_byte_for_byte():
    before = dict(mpl.rcParams)
    daily = pd.DataFrame(
        {"ctr": [0.1, 0.11, 0.12, 0.1]},
        pd.MultiIndex.from_product([["control", "treatment"], [0, 1]], names=["variant", "day"]),
    )
    one, two = (report.ctr_figure(daily, title="t").data for _ in range(2))
    assert one == two
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("text_", "expected"),
    [
        (formats.lift(0.042), "+4.2%"),
        (formats.lift(-0.0001), "0.0%"),
        (formats.points(0.0127), "+1.27 pp"),
        (formats.confidence(0.025), "97.5%"),
        (formats.label_of("ndcg_at_10"), "NDCG@10"),
        (formats.lift(-0.042), "\N{MINUS SIGN}4.2%"),
        (formats.lift_interval((-0.021, 0.063)), "\N{MINUS SIGN}2.1% to +6.3%"),
        (formats.percent(0.0363), "3.63%"),
        (formats.count(20_000), "20,000"),
        (formats.p_value(0.0004), "< 0.001"),
        (formats.p_value(0.04), "0.040"),
        (formats.lift(math.nan), "not defined"),
        (formats.lift_interval((math.nan, math.nan)), "not defined"),
        (formats.count(math.inf), "not defined"),
    ],
)
def test_numbers_have_one_format(text_, expected):
    assert text_ == expected
