"""The page in a real browser: silent, reachable by keyboard, sortable, legible on every screen and on paper."""

import io
import math
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from recab_helpers.paths import ROOT

SMALLEST_FIGURE = 340  # CSS pixels; below it the letters of a figure are too small to read
ROWS = """table => [...table.tBodies].flatMap(body => [...body.rows])
  .map(row => [...row.cells].map(cell => [cell.innerText.trim(), cell.dataset.value ?? null]))"""
GLYPHS = """parts => parts.flatMap(part => ['::before', '::after'].map(end => getComputedStyle(part, end)))
  .filter(style => style.display !== 'none' && style.visibility !== 'hidden').map(style => style.content)
  .filter(content => !['none', 'normal', '""'].includes(content))"""
ARROWS = re.compile(r"[\u2190-\u21ff\u25a0-\u25ff\u2b00-\u2bff]")
UNCOVERED = """part => { const box = part.getBoundingClientRect();
  return part.contains(document.elementFromPoint(box.left + 5, box.top + box.height / 2)) }"""
FOCUS = "() => [document.activeElement.getAttribute('href'), getComputedStyle(document.activeElement).outlineStyle]"


def open_all(page: Page) -> Page:
    """Everything that is folded, opened."""
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return page


def rows_of(table: Locator) -> list[list[list[str | None]]]:
    """Text and machine value of every cell of the body, row by row."""
    return table.evaluate(ROWS)


def column(table: Locator, index: int) -> tuple[bool, list]:
    """Whether the column holds numbers; and the numbers from top to bottom with nan for none, or else the texts."""
    cells = [row[index] for row in rows_of(table)]
    if any(value is not None for _, value in cells):
        return True, [math.nan if value is None else float(value) for _, value in cells]
    return False, [text for text, _ in cells]


def in_order(page: Page, numbers: bool, values: list, descending: bool) -> bool:
    """Numbers as Python sorts them, nan last; texts as the browser's language does, blanks last."""
    if numbers:
        wanted = sorted((v for v in values if not math.isnan(v)), reverse=descending)
        return wanted == values[: len(wanted)] and all(map(math.isnan, values[len(wanted) :]))
    texts = [v for v in values if v]
    if values[: len(texts)] != texts:
        return False
    texts = texts[::-1] if descending else texts
    return page.evaluate(
        "t => [false, true].some(n => t.every((v, i) => !i || t[i-1].localeCompare(v, 'en', {numeric: n}) <= 0))", texts
    )


def luminance(page: Page, attribute: str) -> float:
    """Relative luminance of a color of the body, from 0 (black) to 1 (white), as WCAG defines it."""
    color = page.evaluate("name => getComputedStyle(document.body)[name]", attribute)
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_no_request_leaves_and_the_console_stays_empty(visit, page_file):
    page = visit()
    requests, said = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.reload(wait_until="networkidle")
    for button in page.locator("thead button").all()[:3]:
        button.click()
    assert page_file.as_uri() in requests
    assert not [url[:200] for url in requests if url != page_file.as_uri() and not url.startswith("data:")]
    assert not said


def test_tab_goes_to_the_skip_link_then_through_the_contents_and_shows_where_it_is(visit):
    page = visit()
    links = [link.get_attribute("href") for link in page.locator('nav a[href^="#"]').all()]
    assert links
    for wanted in (page.locator("a.skip").get_attribute("href"), *links):
        page.keyboard.press("Tab")
        reached, outline = page.evaluate(FOCUS)
        assert reached == wanted
        assert outline != "none", f"no focus ring on {wanted}"
        expect(page.locator(":focus")).to_be_in_viewport(ratio=1)


def test_enter_on_a_contents_link_goes_to_its_heading(visit):
    page = visit()
    for link in page.locator('nav a[href^="#"]').all():
        link.press("Enter")
        wanted = link.get_attribute("href")
        assert page.evaluate("location.hash") == wanted
        heading = page.locator(wanted).locator("xpath=descendant-or-self::h2")
        expect(heading).to_be_in_viewport(ratio=0.9)
        assert heading.evaluate(UNCOVERED), wanted


def test_a_heading_sorts_its_table_up_by_mouse_then_down_by_keyboard_and_no_row_is_lost(visit):
    page = open_all(visit())
    tables = page.locator("table.recab").all()
    assert tables
    for table in tables:
        headings, before = table.locator("thead th"), sorted(map(str, rows_of(table)))
        for index, heading in enumerate(headings.all()):
            button = heading.get_by_role("button")
            for direction in ("ascending", "descending"):
                button.click() if direction == "ascending" else button.press("Enter")
                states = headings.evaluate_all("all => all.map(th => th.getAttribute('aria-sort'))")
                assert states == [direction if i == index else None for i in range(len(states))]
                numbers, values = column(table, index)
                assert in_order(page, numbers, values, direction == "descending"), (direction, values)
                assert sorted(map(str, rows_of(table))) == before
            expect(button).to_be_focused()


def test_a_cell_without_a_number_stays_last_in_both_orders(visit):
    page = open_all(visit())
    table = page.locator("table.recab").filter(has=page.locator("tbody tr:nth-child(3) [data-value]")).first
    cell = table.locator("tbody tr").first.locator("[data-value]").first
    index = cell.evaluate("cell => { delete cell.dataset.value; return cell.cellIndex }")
    for _ in range(2):
        table.locator("thead th").nth(index).get_by_role("button").click()
        numbers, values = column(table, index)
        assert numbers
        assert math.isnan(values[-1])


def test_numbers_stand_under_each_other(visit):
    numbers = open_all(visit()).locator("table.recab .number")
    assert numbers.count() > 20
    looks = "all => all.map(n => { const s = getComputedStyle(n); return s.textAlign + ' ' + s.fontVariantNumeric })"
    assert set(numbers.evaluate_all(looks)) == {"right tabular-nums"}


def test_without_script_every_row_and_heading_is_there_and_no_button(visit):
    full, plain = visit(), visit(java_script_enabled=False)
    open_all(full)
    assert plain.locator("button").count() == 0
    for parts in ("h1", "h2", "table.recab", "table.recab tr", "figure img"):
        assert plain.locator(parts).count() == full.locator(parts).count() > 0
        assert all(part.is_visible() for part in plain.locator(parts).all()), parts


def test_what_is_folded_is_open_on_paper_and_where_a_link_leads(visit):
    page = visit()
    closed = page.locator("details.section:not([open])")
    assert closed.count() >= 3
    wanted = closed.last.locator("h2").get_attribute("id")
    page.locator(f'nav a[href="#{wanted}"]').click()
    assert page.locator(f"details:has(#{wanted})").get_attribute("open") is not None
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0


@pytest.mark.parametrize("width", [1280, 1920])
def test_no_table_loses_a_column_on_a_desk(visit, width):
    page = open_all(visit())
    page.set_viewport_size({"width": width, "height": 900})
    lost = "all => all.filter(b => b.scrollWidth > b.clientWidth + 1).map(b => b.innerText.slice(0, 80))"
    assert page.locator(".recab.scroll").evaluate_all(lost) == []


def test_the_first_number_on_a_phone_is_the_lift(visit, page_name):
    if page_name == "invalid":
        pytest.skip("an invalid test shows no lift")
    page = visit("phone")
    lift = page.locator(".verdict .lift").bounding_box()
    assert lift["y"] + lift["height"] < page.viewport_size["height"]


@pytest.mark.parametrize("view", ["desktop", "dark", "phone"])
def test_axe_finds_no_barrier(visit, view):
    found = Axe().run(open_all(visit(view, bypass_csp=True))).response["violations"]
    barriers = [f"{v['id']} ({v['help']}): {', '.join(str(n['target']) for n in v['nodes'])}" for v in found]
    assert not barriers, "\n".join(barriers)


def test_a_phone_scrolls_down_only_and_its_figures_keep_a_legible_width(visit):
    page = open_all(visit("phone"))
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window
    cut_off = """all => all.filter(part => { for (let box = part.parentElement; box; box = box.parentElement)
      if (box.scrollWidth > box.clientWidth + 1) return !['auto', 'scroll'].includes(getComputedStyle(box).overflowX) })
      .map(part => part.outerHTML.slice(0, 200))"""
    assert page.locator("figure img, table").evaluate_all(cut_off) == []
    widths = page.locator("figure img").evaluate_all("all => all.map(img => img.getBoundingClientRect().width)")
    assert min(widths) >= SMALLEST_FIGURE


def test_dark_turns_the_page_and_its_figures_dark(visit):
    page = open_all(visit("dark"))
    ground, ink = luminance(page, "backgroundColor"), luminance(page, "color")
    assert ground < 0.05
    assert (ink + 0.05) / (ground + 0.05) >= 7
    for figure in page.locator("figure img").all():
        with Image.open(io.BytesIO(figure.screenshot())) as image:
            picture = image.convert("RGB")
        _, commonest = max(picture.getcolors(picture.width * picture.height))
        assert max(commonest) < 60


def test_on_paper_nothing_is_cut_off_or_broken_across_pages_and_no_control_is_printed(visit):
    page = open_all(visit("print"))  # as the page does before it is printed
    breaks = "all => all.map(part => getComputedStyle(part).breakInside)"
    for parts in ("figure", "table tr", ".verdict"):
        assert set(page.locator(parts).evaluate_all(breaks)) <= {"avoid"}, parts
    heights = page.locator("figure").evaluate_all("all => all.map(figure => figure.getBoundingClientRect().height)")
    assert max(heights) < page.viewport_size["height"]
    cut_off = """parts => parts.filter(part => part.getBoundingClientRect().right > innerWidth + 1)
      .map(part => part.textContent.slice(0, 80))"""
    assert page.locator("figure img, td, th").evaluate_all(cut_off) == []
    expect(page.locator("nav")).to_be_hidden()
    page.locator("thead button").first.click()
    assert page.locator("thead th, thead th *").evaluate_all(GLYPHS) == []
    assert not ARROWS.search("".join(page.locator("thead").all_inner_texts()))


@pytest.mark.parametrize("view", ["desktop", "phone", "dark", "print"])
def test_pictures_for_people_to_look_at(visit, page_name, view):
    """They are build/screenshots/<page>/<view>.png, and print.pdf beside them."""
    folder = ROOT / "build" / "screenshots" / page_name
    page = visit(view)
    if view == "print":
        open_all(page)
        assert page.pdf(format="A4", prefer_css_page_size=True, path=folder / "print.pdf").startswith(b"%PDF")
        page.set_viewport_size({"width": 794, "height": 1123})  # the whole sheet, margins too
    with Image.open(io.BytesIO(page.screenshot(path=folder / f"{view}.png", full_page=True))) as image:
        assert image.height > image.width
        assert len(image.convert("RGB").resize((300, 300)).getcolors(90_000)) > 50, "the page is blank"


def test_the_index_opens_every_report_and_has_no_barrier(browser, page_file):
    with browser.new_context(bypass_csp=True) as context:
        page = context.new_page()
        page.goto((page_file.parents[2] / "index.html").as_uri())
        assert not Axe().run(page).response["violations"]
        links = page.locator("td a").evaluate_all("all => all.map(a => a.href)")
        assert page_file.as_uri() in links
        for link in links:
            assert page.goto(link).ok
