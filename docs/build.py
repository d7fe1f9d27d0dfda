"""Build the site in build/docs: guides from Markdown, pages made from the code, a sample report, the reference.

Pages and reference are by pdoc. What a page of the site shows of a report is cut out of a real one, made here.
"""

import pkgutil
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pdoc
from pygments.formatters import HtmlFormatter

PACKAGE = "recab_helpers"
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from made import errors_page, parameters_page, with_pictures  # noqa: E402  # beside this file

PAGES: dict[str, Path | Callable[[], str]] = {  # of the site: its Markdown, also read on a code host, or what makes it
    "index": ROOT / "README.md",
    "your_log": ROOT / "docs" / "your_log.md",
    "your_data": ROOT / "docs" / "your_data.md",
    "your_model": ROOT / "docs" / "your_model.md",
    "read_a_report": ROOT / "docs" / "read_a_report.md",
    "parameters": parameters_page,
    "errors": errors_page,
    "glossary": ROOT / "docs" / "glossary.md",
    "times_and_sizes": ROOT / "docs" / "times_and_sizes.md",
    "extend": ROOT / "CONTRIBUTING.md",
    "security": ROOT / "SECURITY.md",
    "changes": ROOT / "CHANGELOG.md",
}
SAMPLE = "sample_report.html"
LINK = re.compile(r"\]\((?:[\w.-]+/)*(\w+)\.md(#[\w-]*)?\)")


def page_of(name: str, made_from: Path | Callable[[], str], found, known) -> pdoc.doc.Module:
    """Markdown as pdoc sees a module: its text is the docstring, its links lead to pages of the site."""
    names = {path.stem: page for page, path in PAGES.items() if isinstance(path, Path)}
    text = made_from.read_text(encoding="utf-8") if isinstance(made_from, Path) else made_from()
    text = LINK.sub(lambda m: f"]({names[m[1]]}.html{m[2] or ''})", with_pictures(text, found, known))
    file = made_from if isinstance(made_from, Path) else ROOT / "docs" / f"{name}.md"
    module = ModuleType(name, pdoc.docstrings.embed_images(text, file))
    module.__docformat__ = "markdown"
    return pdoc.doc.Module(module)


def title_of(module: pdoc.doc.Module) -> str:
    """What the navigation calls a page: the first heading of a guide, the name of a module."""
    heading = re.search(r"^# (.+)$", module.docstring, re.MULTILINE)
    return heading[1] if module.modulename in PAGES and heading else module.modulename


def parts(name: str = PACKAGE) -> Iterator[str]:
    """The package and its public parts, loaded; a room that says what is public (`__all__`) has only that."""
    module = import_module(name)
    public = None if name == PACKAGE else getattr(module, "__all__", None)
    vars(module).update({n: getattr(module, n) for n in public or ()})  # names that are loaded when first used
    yield name
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ())):
        is_public = not inner.name.startswith("_") if public is None else inner.name in public
        if is_public and isinstance(vars(module).get(inner.name, module), ModuleType):
            yield from parts(f"{name}.{inner.name}")


def build(out: Path, found, known) -> Path:
    """Write the site to an emptied folder, with the report of an analysis as its sample; returns its first page."""
    pdoc.render.configure(docformat="google", template_directory=ROOT / "docs" / "template")
    pdoc.render.env.filters["title_of"] = title_of
    pdoc.render.env.globals["pages"] = tuple(PAGES)
    pdoc.render.env.globals["dark_code"] = HtmlFormatter(style="github-dark").get_style_defs(".pdoc-code")
    modules = {name: page_of(name, made_from, found, known) for name, made_from in PAGES.items()}
    modules |= {name: pdoc.doc.Module(sys.modules[name]) for name in list(parts())}
    shutil.rmtree(out, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as a name that pdoc does not find
        for name, module in modules.items():
            file = out / f"{name.replace('.', '/')}.html"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(pdoc.render.html_module(module, modules), encoding="utf-8")
        (out / "search.js").write_text(pdoc.render.search_index(modules), encoding="utf-8")
    from recab_helpers import report

    report.page({"found": found, "known": known}, out / SAMPLE)
    return out / "index.html"


if __name__ == "__main__":
    from sample import sample

    print(build(ROOT / "build" / "docs", *sample()))
