"""The page is valid HTML."""

import html5lib


def test_a_strict_parser_finds_no_error(page_file):
    parser = html5lib.HTMLParser()
    parser.parse(page_file.read_text())
    assert not [f"line {line}: {error} {about}" for (line, _), error, about in parser.errors]
