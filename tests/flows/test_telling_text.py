"""What an article is judged by: its summary, or its page where the summary says little."""

from datetime import UTC, datetime

import pytest

from flows.judge import SHORT_SUMMARY, _telling_text
from tocsin.types import Article

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
    now = datetime(2026, 11, 20, tzinfo=UTC)
    article = Article(1, None, "Chips", summary, "Outlet", "http://f.example/", None, now, None, full_text)
    assert _telling_text(article) == told
