"""A small analysis for tests of its parts, the pages under test, and a browser that opens them."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from recab_helpers.analysis import Analysis
from recab_helpers.report import Background
from tests.report.drawn import a_background, an_analysis

PAGES = {
    "valid": "small_run",
    "invalid": "invalid_run",
}  # a name of a page, and the fixture of the folder that keeps it
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VIEWS = {
    "desktop": {"viewport": {"width": 1200, "height": 900}},
    "dark": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 400, "height": 800}, "device_scale_factor": 2},
    "print": {"viewport": {"width": 680, "height": 1009}},  # what the 15 mm margins leave of A4, at 96 dots an inch
}


@pytest.fixture(scope="session")
def found() -> Analysis:
    """The analysis of a small drawn test that ships its treatment."""
    return an_analysis()


@pytest.fixture(scope="session")
def known(found) -> Background:
    """All that can be known beside that test."""
    return a_background(found)


@pytest.fixture(scope="session", params=PAGES)
def page_name(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def page_file(request, page_name) -> Path:
    return request.getfixturevalue(PAGES[page_name]) / "ab_report.html"


@pytest.fixture(scope="module")
def browser():
    """The Chromium of this machine. It leaves with its module: an event loop runs in the process while it is here."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip("needs Chromium or Chrome: install one (apt-get install chromium), or name it in CHROMIUM=/path")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium has no sandbox for root
    with sync_playwright() as playwright:
        arguments = ["--disable-gpu", "--disable-quic"]
        chromium = playwright.chromium.launch(executable_path=found, chromium_sandbox=not root, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, page_file):
    """Open the page from its file, as a reader in one of the views does."""
    contexts = []

    def visit(view: str = "desktop", **options) -> Page:
        contexts.append(browser.new_context(**VIEWS[view], **options))
        contexts[-1].set_default_timeout(5000)  # milliseconds; nothing has to travel
        page = contexts[-1].new_page()
        if view == "print":
            page.emulate_media(media="print")
        page.goto(page_file.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
