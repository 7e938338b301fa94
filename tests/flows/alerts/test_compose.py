"""Slack messages: what they show, and what no headline can do to them."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.compose import compose_message
from flows.alerts.safe_text import clean_text, cut_text, escape_text, read_link
from flows.alerts.words import age_in_words, score_in_words, topic_in_words
from tocsin.types import Reason

SIGNS = "<>&@#!|*_~`:\\\"'/ \n\t\r\x00\x1b\u202e\u2066\u200b\u200d\ufeff\u2028\ud800\U0001f600\U000e0041אب"
hostile = st.text(st.one_of(st.sampled_from(SIGNS), st.characters(exclude_categories=[])), max_size=40)
long_hostile = st.builds(lambda text, times: text * times, hostile, st.sampled_from([1, 60]))
reasons = st.lists(
    st.builds(Reason, topic=long_hostile, score=st.floats(0, 1), sentence=long_hostile), max_size=12
)
urls = st.one_of(
    st.none(), hostile, hostile.map("https://{}".format), long_hostile.map("https://a.example/{}".format)
)
INVISIBLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def units(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def elements_of(message):
    """Return every text or link element, having checked that the blocks hold nothing else."""
    assert len(message.blocks) <= 50
    found = []
    for block in message.blocks[:1]:
        assert block["type"] == "rich_text"
        for part in block["elements"]:
            assert part["type"] in {"rich_text_section", "rich_text_quote"}
            assert part["elements"]
            found += part["elements"]
    assert all(set(element) <= {"type", "text", "url", "style"} for element in found)
    assert all(element["type"] in {"text", "link"} for element in found)
    return found


def footer_of(message):
    """Return the texts of the small print, having checked that it keeps to what Slack allows there."""
    if len(message.blocks) == 1:
        return []
    (footer,) = message.blocks[1:]
    assert footer["type"] == "context"
    assert 1 <= len(footer["elements"]) <= 10
    assert all(set(element) == {"type", "text", "verbatim"} for element in footer["elements"])
    return [element["text"] for element in footer["elements"]]


def shown(message):
    return "".join(element["text"] for element in elements_of(message))


@given(title=long_hostile, outlet=long_hostile, url=urls, why=reasons)
def test_any_alert_makes_a_message_within_slacks_limits(make_alert, now, title, outlet, url, why):
    alert = make_alert(title=title, outlet=outlet, url=url, reasons=tuple(why))
    message = compose_message(alert, now=now)
    texts = [element["text"] for element in elements_of(message)]
    assert all(0 < units(text) <= 3000 for text in texts)
    assert units("".join(texts)) <= 4000
    assert 0 < units(message.text) <= 3000
    assert len(json.dumps(message.blocks)) < 40_000
    assert not any(INVISIBLE.search(text) for text in [*texts, message.text])
    json.dumps(message.blocks, ensure_ascii=False).encode()


@given(title=long_hostile, url=urls, why=reasons, tune_url=urls)
def test_the_small_print_holds_only_the_command_and_plain_links(make_alert, now, title, url, why, tune_url):
    template = tune_url and f"{tune_url}{{topic}}"
    alert = make_alert(title=title, url=url, reasons=tuple(why))
    message = compose_message(alert, now=now, tune_url=template)
    texts = footer_of(message)
    assert bool(texts) == bool(why)
    assert texts[:1] == ["Why this? `tocsin why 1`"][: len(texts)]
    assert all(re.fullmatch(r"<https?://[!#-;=?-\[\]_a-z~]+\|Tune [\w ]+>", text) for text in texts[1:])
    assert all(units(text) <= 3000 for text in texts)
    assert len(json.dumps(message.blocks)) < 40_000


def test_a_topic_with_half_a_character_is_still_linked(make_alert, now):
    alert = make_alert(reasons=(Reason("odd\ud800", 0.9, ""),))
    message = compose_message(alert, now=now, tune_url="https://prefect.example/{topic}")
    assert any("https://prefect.example/odd" in text for text in footer_of(message))


def test_an_alert_says_how_to_ask_why_and_where_to_tune(make_alert, now):
    why = (Reason("export_controls", 0.93, ""), Reason("us_china_rivalry", 0.61, ""))
    alert = make_alert(reasons=why)
    assert footer_of(compose_message(alert, now=now)) == ["Why this? `tocsin why 1`"]
    tuned = compose_message(alert, now=now, tune_url="https://prefect.example/topics?name={topic}")
    assert footer_of(tuned)[1:] == [
        "<https://prefect.example/topics?name=export_controls|Tune Export controls>",
        "<https://prefect.example/topics?name=us_china_rivalry|Tune US China rivalry>",
    ]
    plain = compose_message(alert, now=now, tune_url="https://prefect.example/deployments/1")
    assert footer_of(plain)[1:] == ["<https://prefect.example/deployments/1|Mute or tune topics>"]


def test_a_warning_is_no_article_and_has_no_small_print(make_alert, now):
    assert footer_of(compose_message(make_alert(reasons=()), now=now, tune_url="https://x.example")) == []


def test_many_outlets_are_counted(make_alert, now):
    named = ("A", "B", "C", "D", "E", "F")
    assert "\nalso in A, B, C and 3 more, 7 outlets" in shown(
        compose_message(make_alert(also_in=named), now=now)
    )
    assert "\nalso in A and B" in shown(compose_message(make_alert(also_in=named[:2]), now=now))


@given(title=long_hostile, outlet=hostile, why=reasons)
def test_no_text_can_ping_or_format_in_the_fallback(make_alert, now, title, outlet, why):
    text = compose_message(make_alert(title=title, outlet=outlet, reasons=tuple(why)), now=now).text
    assert not set(text) & set("<>")
    assert all(re.match(r"&(amp|lt|gt);", text[found.start() :]) for found in re.finditer("&", text))


@given(url=urls)
def test_a_link_leads_to_a_web_address_whose_host_is_shown(make_alert, now, url):
    message = compose_message(make_alert(url=url, outlet="Somewhere Else"), now=now)
    for link in [element for element in elements_of(message) if element["type"] == "link"]:
        assert re.fullmatch(r"https?://[!#-;=?-\[\]_a-z~]+", link["url"])
        assert re.match(r"https?://(\[[^/]*\]|[^/:?#]+)", link["url"])[1].strip("[]") in shown(message)


def test_a_headline_full_of_markup_is_shown_as_it_is(make_alert, now):
    title = "<!channel> <@U123> <https://evil.example|bank.example> *bold* `code` & :skull:"
    message = compose_message(make_alert(title=title), now=now)
    assert {
        "type": "link",
        "url": "https://news.example/1",
        "text": title,
        "style": {"bold": True},
    } in elements_of(message)
    assert "&lt;!channel&gt; &lt;@U123&gt;" in message.text


def test_a_message_says_topic_score_headline_outlet_age_and_reason(make_alert, now):
    why = (
        Reason("export_controls", 0.93, "Exporters now need a licence."),
        Reason("us_china_rivalry", 0.61, "Beijing answered within hours."),
    )
    message = compose_message(make_alert(reasons=why), now=now)
    assert shown(message) == (
        "Export controls  very likely (0.93)\nUS China rivalry  likely (0.61)\n"
        "Ministry widens chip licence rules (1)"
        "\nThe Example · news.example · 3 h ago"
        "Exporters now need a licence.\nBeijing answered within hours."
    )
    assert message.text == (
        "Export controls, US China rivalry: Ministry widens chip licence rules (1) "
        "(The Example · news.example · 3 h ago)"
    )


def test_a_message_carries_its_alert_id_for_reconciliation(make_alert, now):
    alert = make_alert()
    assert compose_message(alert, now=now).metadata == {
        "event_type": "tocsin_alert",
        "event_payload": {"alert_id": alert.alert_id},
    }


def test_a_sentence_that_is_the_headline_is_not_repeated(make_alert, now):
    alert = make_alert()
    alert = replace(alert, reasons=(Reason("export_controls", 0.9, f" {alert.title}\n"),))
    assert shown(compose_message(alert, now=now)).count(alert.title) == 1


def test_many_topics_are_summed_up(make_alert, now):
    why = tuple(Reason(f"topic_{number}", 0.9, "") for number in range(11))
    text = shown(compose_message(make_alert(reasons=why), now=now))
    assert "Topic 7  very likely (0.90)\nand 3 more topics\n" in text
    assert "Topic 8" not in text


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://news.example/a?b=1#c", ("https://news.example/a?b=1#c", "news.example")),
        ("http://news.example", ("http://news.example", "news.example")),
        ("HTTPS://News.Example:8443/x", ("https://news.example:8443/x", "news.example")),
        ("https://news.example/a|b<c>\"d'", ("https://news.example/a%7Cb%3Cc%3E%22d'", "news.example")),
        ("https://news.example/%7Ca", ("https://news.example/%7Ca", "news.example")),
        ("https://news.example/é", ("https://news.example/%C3%A9", "news.example")),
        ("https://bänk.example/", ("https://xn--bnk-qla.example/", "xn--bnk-qla.example")),
        ("https://[::1]:80/x", ("https://[::1]:80/x", "::1")),
        ("https://news.example//twice", ("https://news.example//twice", "news.example")),
        ("https://bank.example@evil.example/", None),
        ("https://evil.example\\.bank.example/", None),
        ("https://news.example/a b", None),
        ("https://news.example/\u202egnp.exe", None),
        ("https://news.example:port/", None),
        ("https:///nohost", None),
        ("javascript:alert(1)", None),
        ("slack://open?team=1", None),
        ("//news.example/x", None),
        ("https://a<b>.example/", None),
        ("https://" + "x" * 70 + "é.example/", None),
        ("https://news.example/" + "x" * 3000, None),
        ("", None),
        (None, None),
    ],
)
def test_only_plain_web_addresses_become_links(url, link):
    assert read_link(url) == link


@given(hostile)
def test_cleaning_is_one_line_and_changes_nothing_twice(text):
    clean = clean_text(text)
    assert clean == clean_text(clean)
    assert clean.splitlines() in ([], [clean])


def test_cleaning_keeps_what_scripts_and_emoji_need():
    text = "نمی\u200cشود 👩\u200d💻 नमस्ते"
    assert clean_text(text) == text


@given(hostile, st.integers(1, 60))
def test_cut_text_fits_and_is_a_beginning(text, limit):
    cut = cut_text(text, limit)
    assert units(cut) <= limit
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))


@given(st.text("<>&a😀", max_size=40), st.integers(1, 60))
def test_escaped_text_never_ends_inside_an_escape(text, limit):
    escaped = escape_text(text, limit)
    assert units(escaped) <= limit
    plain = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert plain == text or text.startswith(plain.removesuffix("…"))


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (None, "date unknown"),
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=-50), "just now"),
        (timedelta(minutes=59), "59 min ago"),
        (timedelta(minutes=60), "1 h ago"),
        (timedelta(hours=47, minutes=59), "47 h ago"),
        (timedelta(hours=48), "2 days ago"),
        (timedelta(days=61), "on 2025-12-31"),
        (timedelta(days=-2), "dated ahead: 2026-03-04"),
    ],
)
def test_ages_are_said_in_words(now, age, words):
    assert age_in_words(None if age is None else now - age, now) == words


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (1.0, "almost certain (1.00)"),
        (0.8, "very likely (0.80)"),
        (0.6, "likely (0.60)"),
        (0.4, "possible (0.40)"),
        (0.1, "uncertain (0.10)"),
    ],
)
def test_scores_are_said_in_words_and_numbers(score, words):
    assert score_in_words(score) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("export_controls", "Export controls"),
        ("ai_regulation", "AI regulation"),
        ("us_china_rivalry", "US China rivalry"),
        ("", "Unnamed topic"),
    ],
)
def test_topics_are_said_in_words(name, words):
    assert topic_in_words(name) == words
