"""Tables and figures: numbers keep their value, strings from data are escaped, a figure says what it shows."""

import math

import pandas as pd
from matplotlib.figure import Figure

from recab_helpers.report.kit.html import TEMPLATE, Number, facts, joined, note, said_once, show, table


def test_cells_of_every_kind_have_a_text_and_only_numbers_a_value():
    index = pd.Index(pd.cut([1.0, 2.0, 3.0, 4.0, 5.0], 2)[:5], name="bin")
    frame = pd.DataFrame({"a": [1, 2, 3, 4, math.nan], "b": [True, False] * 2 + [True], "c": list("vwxyz")}, index)
    page = table(frame).data
    assert page.count("data-value=") == 4
    assert page.count("<td>yes</td>") == 3
    assert "nan" not in page.replace("not defined", "")
    assert page.count("(0.996, 3.0]") == 3


def test_a_number_with_its_own_text_sorts_by_its_value():
    page = table(pd.DataFrame({"a": [Number(0.5, "a half")]}, pd.Index(["x"], name="n"))).data
    assert 'data-value="0.5">a half<' in page


def test_the_first_column_heads_the_rows_where_they_are_only_numbered():
    page = table(pd.DataFrame({"kind": ["rejects"], "rate": [0.05]})).data
    assert '<th scope="row">rejects</th>' in page
    assert ">0<" not in page


def test_strings_from_data_are_escaped():
    nasty = "<script>alert(1)</script>"
    frame = pd.DataFrame({nasty: [nasty]}, index=pd.Index([nasty], name=nasty))
    page = table(frame, caption=nasty).data
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 6
    assert "<script>" not in facts({nasty: nasty}).data + note(nasty).data


def test_a_figure_says_its_title_and_what_it_shows_in_its_alt_text():
    fig = Figure()
    fig.suptitle('It is "up" & away')
    page = show(fig, alt="A line.", caption="Dot: <estimate>.").data
    assert 'alt="It is &quot;up&quot; &amp; away. A line."' in page
    assert "<figcaption>Dot: &lt;estimate&gt;.</figcaption>" in page


def test_a_column_is_left_out_only_where_it_holds_one_value():
    frame = pd.DataFrame({"variant": ["a", "b"], "against": ["control"] * 2, "lift": [1, 1]})
    assert list(said_once(frame, "variant", "against", "metric")) == ["variant", "lift"]


def test_pieces_are_joined_in_order_and_nothing_leaves_no_line():
    assert joined(note("a"), note("b")).data == note("a").data + "\n" + note("b").data
    assert joined(note("a"), joined()).data == note("a").data


def test_only_what_passed_has_a_tick():
    rules = [line for line in (TEMPLATE / "fragments.css").read_text().splitlines() if "2713" in line]
    assert [rule.split("{")[0].strip() for rule in rules] == [".recab.verdict .checks .passed::before"]
