"""The page: one file, no request, escaped strings, alt text on every figure; and numbers in one format."""

import base64
import hashlib
import math
import re
from html.parser import HTMLParser

import matplotlib as mpl
import pandas as pd
import pytest

from recab_helpers import formats, report
from recab_helpers.report.page import markdown


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


def test_strings_from_data_are_escaped():
    nasty = "<script>alert(1)</script>"
    frame = pd.DataFrame({nasty: [nasty]}, index=pd.Index([nasty], name=nasty))
    html = report.table(frame, caption=nasty).data
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 5
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
