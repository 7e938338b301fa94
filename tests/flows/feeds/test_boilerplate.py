"""Tails of publishing software are cut from summaries; what reporters wrote stays."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.boilerplate import cut_boilerplate
from flows.feeds.entries import Draft, EntryList

NEWS = "The ministry widened its list of controlled chips."
TAILS = [
    "Read more",
    "Read More »",
    "[Read more...]",
    "Read more at Example News",
    "Read the full story on example.com",
    "— Read the rest",
    "Continue reading",
    "Continue reading →",
    "Continue reading “Chips: what the list says” →",
    "Continue reading at Example News.",
    "Click here to read the whole report.",
    "To read this article in full, please click here",
    "[…]",
    "[...]",
    "(…)",
    "[+2345 chars]",
    "The post Chip list grows appeared first on Example News.",
    "The post Chips vs. rules? A list appeared first on example.com.",
    "Share this: Facebook Twitter LinkedIn",
    "Like this: Like Loading…",
    "Sign up for our free morning newsletter here.",
    "Follow us on Facebook and elsewhere",
    "Weiterlesen",
    "Lesen Sie mehr …",
    "Der Beitrag Chipliste wächst erschien zuerst auf Beispielblatt.",
    "Lire la suite",
    "Cet article Des puces est apparu en premier sur Exemple.",
    "Seguir leyendo",
    "La entrada Más chips se publicó primero en Ejemplo.",
    "阅读全文",
    "submitted by /u/someone to r/chips [link] [comments]",
]


@pytest.mark.parametrize("tail", TAILS)
def test_a_tail_is_cut_and_the_news_before_it_stays(tail):
    assert cut_boilerplate(f"{NEWS} {tail}") == NEWS
    assert cut_boilerplate(tail) == ""


@pytest.mark.parametrize("tail", ["Read more", "Continue reading →", "Lire la suite", "Leer más", "[…]"])
def test_a_link_is_cut_from_a_sentence_that_the_feed_broke_off(tail):
    assert cut_boilerplate(f"The ministry widened its {tail}") == "The ministry widened its"


def test_several_tails_are_cut_one_after_the_other():
    text = f"{NEWS} […] Read more The post Chips appeared first on Example. Share this: Facebook X"
    assert cut_boilerplate(text) == NEWS


@pytest.mark.parametrize(
    "text",
    [
        NEWS,
        "Children read more",
        "Pupils are told to read the full story.",
        "Read more slowly, experts say, and remember what the chip list says.",
        "Continue reading is what the judge told the clerk. He did.",
        "The post office appeared first on the list.",
        "Der Roman lädt zum Weiterlesen",
        "Ministers want more",
        "The rest of this story is for another day.",
        "Read the bill. It names twelve firms.",
        "Users can share this: a link, a file or a photograph of it.",
        "He wrote that he (…) would resign.",
        "Click here, the fake message said. Thousands did.",
        "The bank asked clients to sign up for newsletters. Few did.",
        "Comments by the regulator moved markets",
        "",
    ],
)
def test_what_a_reporter_wrote_stays(text):
    assert cut_boilerplate(text) == text


pieces = st.sampled_from([*TAILS, NEWS, "The ministry", "more", "Read", "→", "…", "(", ". "]) | st.text()


@given(st.lists(pieces, max_size=8).map(" ".join))
def test_cutting_never_adds_and_is_done_the_first_time(text):
    once = cut_boilerplate(text)
    assert text.startswith(once)
    assert cut_boilerplate(once) == once


@pytest.mark.parametrize("piece", ["Read more ", "(…)", "Continue reading ", "The post a ", "Share this "])
def test_no_text_takes_long(piece):
    started = time.process_time()
    cut_boilerplate(piece * 500)
    assert time.process_time() - started < 0.2


def test_summaries_of_entries_lose_their_tails(now):
    entries = EntryList(now)
    entries.add(Draft("https://news.example/", title="Chips", summary=f"{NEWS} Read more"))
    entries.add(Draft("https://news.example/", summary=f"{NEWS} Continue reading →"))
    entries.add(Draft("https://news.example/", summary="Read more"))
    assert [(entry.title, entry.summary) for entry in entries.entries] == [("Chips", NEWS), (NEWS, NEWS)]
    assert entries.dropped == 1
