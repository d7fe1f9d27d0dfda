"""Every section is reached from one place, takes the same two things, and copes with what is not known."""

import html
import inspect
import json
import re

import pytest

from recab_helpers.analysis import CTR, analyze, mean_of, ratio_of
from recab_helpers.impressions import Aggregates, Users
from recab_helpers.paths import NOTEBOOKS
from recab_helpers.report import Background, sections
from tests.report.drawn import a_background, an_analysis

TWO_GOALS = (CTR, mean_of("hides", role="goal", direction=-1, covariate=()))
# where nothing is known beside one column of the users
EMPTY = set("among clicks days grading looks models offline positions reproduce segments slates truth users".split())
OTHER_DESIGNS = {"interleaved", "off_policy"}  # than users with a variant each; graded in files of their own
ALWAYS = {"bayes", "checks", "lifts", "method", "power", "sensitivity", "totals", "verdict"}


def text_of(page: str) -> str:
    """What a reader reads or hears: texts and alt texts."""
    alts = re.sub(r'<img[^>]*alt="([^"]*)"[^>]*>', r"\1 ", page)
    return html.unescape(re.sub(r"<[^>]+>", " ", alts))


@pytest.fixture(scope="module")
def two_goals():
    return an_analysis(metrics=TWO_GOALS)


@pytest.fixture(scope="module")
def other_goal():
    return an_analysis(metrics=(ratio_of("clicks", "sessions", role="goal", covariate=()),))


@pytest.fixture(scope="module")
def odd_names():
    return an_analysis({"new vs old": 0.5, "b vs c vs d": 0.4})


def shown(name: str, found, known) -> str:
    return text_of(getattr(sections, name)(found, known).data)


def test_a_section_is_found_by_its_file_alone(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "def mine(found, known): ...\ndef _not(found, known): ...\ndef other(found): ...\n"
    )
    monkeypatch.setattr(sections, "__path__", [str(tmp_path)])
    exec(inspect.getsource(sections), gathered := {"__path__": [str(tmp_path)], "__name__": sections.__name__})
    assert gathered["__all__"] == ["mine"]


def test_the_notebook_shows_every_section_once():
    cells = json.loads((NOTEBOOKS / "03_analyze.ipynb").read_text())["cells"]
    called = re.findall(r"report\.sections\.(\w+)\(found, known\)", "".join("".join(c["source"]) for c in cells))
    assert sorted(called) == sorted(sections.__all__)


@pytest.mark.parametrize("name", sorted({*sections.__all__} - OTHER_DESIGNS))
def test_a_section_is_whole_where_all_is_known(name, odd_names):
    text = shown(name, odd_names, a_background(odd_names))
    assert text.strip()
    assert not re.search(r"\b(nan|None|inf)\b", text)


@pytest.mark.parametrize("name", sections.__all__)
def test_a_section_without_content_is_not_there(name):
    """Of a users table that counts neither clicks nor days, and nothing known beside it."""
    spent = mean_of("spent", role="goal")
    users = Users.of(["control", "treatment"] * 300, {"spent": [*range(600)]})
    bare = analyze(Aggregates(users=users), planned={"control": 0.5, "treatment": 0.5}, metrics=(spent,))
    page = getattr(sections, name)(bare, Background()).data
    assert not re.search(r"\b(nan|None|inf)\b", text_of(page))
    assert (page == "") == (name in EMPTY) or name not in EMPTY | ALWAYS  # a new section may be either


@pytest.mark.parametrize("name", ["lifts", "sensitivity", "bayes", "power", "looks", "segments", "offline", "truth"])
def test_a_variant_is_shown_by_its_whole_name(name, odd_names):
    names = {v: v for v in odd_names.test.users.variants}
    quality = a_background(odd_names).quality.set_axis(list(names))
    text = shown(name, odd_names, a_background(odd_names, models={}, offline=names, quality=quality))
    for variant in ("new vs old", "b vs c vs d"):
        assert text.count(variant) == text.count(variant.split(" vs")[0] + " vs") > 0


@pytest.mark.parametrize("name", ["lifts", "sensitivity", "bayes", "power", "looks", "segments", "offline", "truth"])
def test_every_goal_is_spoken_of_by_its_label(name, two_goals):
    text = shown(name, two_goals, a_background(two_goals))
    assert "CTR" in text
    assert "Hides" in text


@pytest.mark.parametrize("name", ["lifts", "sensitivity", "power", "looks", "segments", "offline", "verdict"])
def test_a_test_whose_goal_is_another_does_not_speak_of_ctr(name, other_goal):
    assert not re.search("ctr", shown(name, other_goal, a_background(other_goal)), re.IGNORECASE)
