"""Article pages to text: what readers see comes out, and hostile pages cost only themselves."""

import asyncio
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.feeds.extract import Extractor, Page, extract_text
from flows.feeds.pool import Refusal

SENTENCES = [
    "The ministry widened its list of controlled chips on Thursday, naming twelve firms.",
    "Two laboratories are named as well, according to the text of the rule.",
    "Exporters will need a licence for each shipment from March onwards, officials said.",
    "Industry groups called the rule unexpected and asked for a longer transition.",
]


def page(html, *, content_type="text/html", limit=20_000):
    body = html.encode() if isinstance(html, str) else html
    return Page(body, content_type, limit)


def article(*paragraphs, head="", extra=""):
    text = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (
        f"<!doctype html><html><head>{head}<title>Chips</title></head>"
        "<body><nav>Home</nav>"
        f"<article><h1>Chip list grows</h1>{text}</article>{extra}<footer>Subscribe</footer></body></html>"
    )


def extract_all(pages, *, seconds=20.0):
    async def run():
        extractor = Extractor(workers=1, seconds=seconds)
        try:
            return await asyncio.gather(*[extractor.extract(each) for each in pages])
        finally:
            extractor.close()

    return asyncio.run(run())


def test_the_text_of_the_article_comes_out_a_paragraph_a_line_without_the_rest_of_the_page():
    text = extract_text(page(article(*SENTENCES, extra="<script>track()</script>")))
    lines = text.splitlines()
    assert [line for line in lines if line in SENTENCES] == SENTENCES
    assert not any(word in text for word in ("Home", "Subscribe", "track"))


def test_text_is_plain_visible_and_within_its_limit():
    odd = "The rule\u202e names twelve\u200b firms &lt;b&gt; in the capital, it says on page one of the text."
    text = extract_text(page(article(odd, *SENTENCES)))
    assert "The rule names twelve firms <b> in the capital" in text
    assert "\u202e" not in text
    many = [f"Paragraph {number}: {SENTENCES[0]}" for number in range(400)]
    cut = extract_text(page(article(*many), limit=1000))
    assert 900 < len(cut) <= 1000
    assert cut.endswith("…")


@pytest.mark.parametrize(
    ("encoding", "content_type", "head"),
    [
        ("utf-8", "text/html", ""),
        ("utf-8", "text/html; charset=iso-8859-1", ""),
        ("utf-16", "text/html", ""),
        ("windows-1251", "text/html; charset=windows-1251", ""),
        ("windows-1251", "text/html", "<meta charset='windows-1251'>"),
        ("windows-1251", "text/html; charset=nonsense", "<meta charset=windows-1251>"),
    ],
)
def test_text_is_decoded_as_header_or_page_says_unless_it_is_utf8(encoding, content_type, head):
    sentences = [f"Министерство расширило перечень микросхем, пункт {number}." for number in range(9)]
    body = article(*sentences, head=head).encode(encoding)
    assert "Министерство расширило" in extract_text(page(body, content_type=content_type))


@pytest.mark.parametrize(
    "html",
    ["", "<html></html>", "<html><body><p>Accept cookies</p></body></html>", "\x00" * 500, "{}", "%PDF-1.7"],
)
def test_a_page_without_an_article_is_refused(html):
    refused = extract_text(page(html))
    assert isinstance(refused, Refusal)
    assert refused.reason == "no_text"


def test_extraction_asks_the_network_for_nothing(server):
    outside = server.url("/outside")
    doctype = f'<!DOCTYPE html PUBLIC "-//X" "{outside}.dtd" [<!ENTITY x SYSTEM "{outside}.ent">]>'
    body = article(
        *SENTENCES,
        "&x; is named here, and so on and on.",
        head=f"<base href='{outside}'><link rel=canonical href='{outside}'>",
        extra=f"<iframe src='{outside}'></iframe><img src='{outside}'>",
    )
    assert SENTENCES[0] in extract_text(page(body.replace("<!doctype html>", doctype)))
    assert server.requests == []


def test_workers_say_nothing_and_give_what_they_would_give_here(capfd, caplog):
    pages = [page(article(*SENTENCES)), page("<html"), page(b"\xff\xfe\x00" * 1000), page("<p>" * 10_000)]
    with caplog.at_level(logging.DEBUG):
        results = extract_all(pages)
    assert results[0] == extract_text(pages[0])
    assert [result.reason for result in results[1:]] == ["no_text"] * 3
    assert capfd.readouterr() == ("", "")
    assert not [
        each for each in caplog.records if each.name.startswith(("trafilatura", "htmldate", "justext"))
    ]


def test_a_page_that_takes_too_long_is_given_up_and_the_next_is_read():
    endless = page("<html><body>" + "<b><p>" * 100_000)
    results = extract_all([endless, page(article(*SENTENCES))], seconds=3.0)
    assert results[0].reason == "extract_timeout"
    assert SENTENCES[0] in results[1]


def test_a_page_that_kills_its_worker_costs_only_itself(monkeypatch):
    class Killer(Page):
        __slots__ = ()

        def __reduce__(self):
            import os

            return os._exit, (1,)

    good = page(article(*SENTENCES))
    results = extract_all([good, Killer(b"", None, 1), good])
    assert results[1].reason == "extractor_crashed"
    assert SENTENCES[0] in results[0]
    assert results[2] == results[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300) | st.text(alphabet="<>/pdivbarticle \n&;\x00", max_size=300).map(str.encode))
def test_any_bytes_give_text_or_a_refusal(piece):
    body = b"<html><body><article>" + piece + b"</article>"
    result = extract_text(page(body, limit=200))
    assert isinstance(result, Refusal) or len(result) <= 200
