"""Markup to plain text."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.text import plain_text, tidy


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("Chip <b>controls</b> tightened", "Chip controls tightened"),
        ("<p>One</p><p>Two<br>Three</p>", "One Two Three"),
        ("AT&amp;T &lt;b&gt; rises", "AT&T <b> rises"),
        ("&amp;amp;", "&amp;"),
        ("FCC &amp;#8216;jokes&amp;#8217;", "FCC \u2018jokes\u2019"),
        ("a<script>alert('x')</script><style>p{}</style>b", "ab"),
        ("<img src=x onerror=alert(1)>Text", "Text"),
        ("un<b>closed", "unclosed"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a\u00a0\t\n b", "a b"),
        ("\u202eevil\u2066 zero\u200bwidth\ufeff soft\u00adhyphen nul\x00", "evil zerowidth softhyphen nul"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("lone\ud800surrogate", "lonesurrogate"),
        ("", ""),
    ],
)
def test_html_becomes_the_text_that_a_reader_sees(markup, text):
    assert plain_text(markup, limit=500) == text


def test_text_is_cut_at_a_word():
    assert tidy("export controls tighten", limit=18) == "export controls\u2026"
    assert tidy("x" * 30, limit=10) == "x" * 9 + "\u2026"
    assert tidy("exactly ten", limit=11) == "exactly ten"


@given(st.text() | st.text(alphabet="<>&;#abp/ \"'=\u202e"), st.integers(2, 60))
def test_no_markup_gives_hidden_characters_line_breaks_or_more_than_the_limit(markup, limit):
    text = plain_text(markup, limit=limit)
    assert len(text) <= limit
    assert text == " ".join(text.split())
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)
    assert not set(text) & set("\u200b\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


@pytest.mark.parametrize("piece", ["<div>", "<b><p>", "<table><td>", "<a><div>", "<!--", "&lt;", "<"])
def test_hostile_nesting_takes_no_longer_than_a_page(piece):
    started = time.process_time()
    plain_text(piece * 100_000, limit=500)
    assert time.process_time() - started < 1.0
