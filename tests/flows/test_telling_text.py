"""What an article is judged by: its summary, or its page where the summary says little."""

import pytest

from flows.labels import SHORT_SUMMARY, telling_text

LONG, PAGE = "s" * SHORT_SUMMARY, "p" * 3000


@pytest.mark.parametrize(
    ("summary", "full_text", "told"),
    [
        ("short", PAGE, PAGE),
        ("", PAGE, PAGE),
        (LONG, PAGE, LONG),
        (LONG[1:], PAGE, PAGE),
        ("short", None, "short"),
        ("", None, ""),
    ],
)
def test_the_page_stands_in_for_a_short_summary_only(summary, full_text, told):
    assert telling_text(summary, full_text) == told
