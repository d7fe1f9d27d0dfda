"""The cards of example users."""

from recab_helpers.report.sections.users import users


def test_titles_are_escaped_keep_their_direction_and_show_what_was_clicked(found, known):
    page = users(found, known).data
    assert "<bdi>&lt;b&gt;x&lt;/b&gt;</bdi> <small>clicked 1 of 2</small>" in page
    assert "<b>" not in page
    assert "1 session, 1 click." in page
