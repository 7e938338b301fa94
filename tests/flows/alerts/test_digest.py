"""Digests as messages: which period, what they say, and that they stay within Slack's limits."""

import json
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.chart import draw_week
from flows.alerts.digest import (
    DIGEST_SIZE,
    alt_text_of,
    compose_digest,
    digest_id_of,
    digest_lines,
    last_period,
)
from flows.alerts.slack import alert_ids_of, ids_of
from tocsin.errors import SettingsError
from tocsin.telling import Digest, TopicDigest, TopStory

WEEK = last_period("weekly", datetime(2026, 11, 25, 9, tzinfo=UTC))
DAYS = tuple(date(2026, 11, 16) + timedelta(days=number) for number in range(7))
TEXT = st.text(max_size=300)


def make_digest(*topics):
    return Digest(digest_id_of("policy", WEEK), "policy", WEEK, topics, DAYS)


def story(number=1, *, outlets=5, **changes):
    made = TopStory(
        number, f"Ministry widens rules ({number})", f"https://news.example/{number}", "Alpha", outlets, 0.97
    )
    return replace(made, **changes)


BUSY = TopicDigest("export_controls", 12, 7, 34, (story(1), story(2, outlets=1)), (1, 2, 0, 5, 3, 1, 0))
QUIET = TopicDigest("data_privacy", 0, 2, 0, (), (0,) * 7)


def texts_of(value):
    """Every piece of text in blocks."""
    if isinstance(value, dict):
        own = [value[key] for key in ("text", "alt_text") if isinstance(value.get(key), str)]
        return own + [text for inner in value.values() for text in texts_of(inner)]
    return [text for inner in value for text in texts_of(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    ("kind", "at", "name", "since", "until"),
    [
        ("daily", (2026, 11, 22, 7), "2026-11-21", (2026, 11, 21), (2026, 11, 22)),
        ("daily", (2026, 1, 1, 0), "2025-12-31", (2025, 12, 31), (2026, 1, 1)),
        ("weekly", (2026, 11, 22, 23), "2026-W46", (2026, 11, 9), (2026, 11, 16)),  # a Sunday
        ("weekly", (2026, 11, 23, 0), "2026-W47", (2026, 11, 16), (2026, 11, 23)),  # the Monday after
        ("weekly", (2027, 1, 5, 12), "2026-W53", (2026, 12, 28), (2027, 1, 4)),
    ],
)
def test_a_digest_is_about_the_last_whole_day_or_week(kind, at, name, since, until):
    period = last_period(kind, datetime(*at, tzinfo=UTC))
    assert (period.name, period.since, period.until) == (
        name,
        datetime(*since, tzinfo=UTC),
        datetime(*until, tzinfo=UTC),
    )


def test_a_digest_says_counts_against_the_week_before_and_the_foremost_stories(make_alert, now):
    message = compose_digest(make_digest(QUIET, BUSY), make_alert(), now=now, image_id="F012345678")
    assert "".join(texts_of(message.blocks[:-1])) == (
        "Weekly digest: 16 to 22 November 2026"
        "Export controls  12 stories in 34 articles, 5 more than the week before"
        "Ministry widens rules (1)\nAlpha and 4 more outlets · almost certain (0.97)"
        "Ministry widens rules (2)\nAlpha · almost certain (0.97)"
        "Nothing on: Data privacy."
    )
    image = message.blocks[-1]
    assert (image["type"], image["slack_file"]) == ("image", {"id": "F012345678"})
    assert image["alt_text"] == (
        "Chart: stories per topic and day, 16 November to 22 November 2026. "
        "Export controls 1, 2, 0, 5, 3, 1, 0."
    )
    assert message.text == "Weekly digest: 16 to 22 November 2026: Export controls 12"


@pytest.mark.parametrize(
    ("stories", "before", "words"),
    [(1, 1, "1 story in 2 articles, as many as"), (3, 5, "3 stories in 2 articles, 2 fewer than")],
)
def test_counts_are_compared_in_words(make_alert, now, stories, before, words):
    topic = replace(BUSY, stories=stories, stories_before=before, articles=2)
    assert words in "".join(texts_of(compose_digest(make_digest(topic), make_alert(), now=now).blocks))


def test_a_digest_carries_its_id_and_is_no_alert(make_alert, now):
    message = compose_digest(make_digest(BUSY), make_alert(), now=now)
    carried = {"metadata": message.metadata}
    assert ids_of(carried) == [digest_id_of("policy", WEEK)]
    assert alert_ids_of(carried) == []  # so reactions to it are no votes
    assert digest_id_of("policy", WEEK) != digest_id_of("other", WEEK)


stories = st.builds(
    TopStory,
    story_id=st.integers(1, 9),
    title=TEXT,
    url=st.one_of(st.none(), TEXT, st.integers(0, 1900).map(lambda n: "https://news.example/" + "a" * n)),
    outlet=TEXT,
    outlets=st.integers(1, 500),
    score=st.floats(0, 1),
)
topics = st.builds(
    TopicDigest,
    topic=st.from_regex(r"\A[a-z][a-z0-9_]{1,39}\Z"),
    stories=st.integers(0, 10**6),
    stories_before=st.integers(0, 10**6),
    articles=st.integers(0, 10**7),
    top=st.lists(stories, max_size=4).map(tuple),
    daily=st.tuples(*[st.integers(0, 10**6)] * 7),
)


@given(many=st.lists(topics, max_size=6), times=st.sampled_from([1, 12]))
def test_any_digest_makes_a_message_within_slacks_limits(make_alert, now, many, times):
    digest = make_digest(*many * times)
    message = compose_digest(digest, make_alert(), now=now, image_id="F012345678")
    assert len(message.blocks) <= 50
    assert len(message.blocks[0]["text"]["text"]) <= 150
    assert all(0 < len(text.encode("utf-16-le")) // 2 <= 3000 for text in texts_of(message.blocks))
    assert len(message.blocks[-1]["alt_text"]) <= 2000
    assert len(json.dumps(message.blocks)) < 80_000
    assert sum(map(len, texts_of(message.blocks))) < 40_000
    assert 0 < len(message.text) <= 3000
    assert not set(message.text) & set("<>")
    assert "mrkdwn" not in json.dumps([block["type"] for block in message.blocks])
    shown = "".join(digest_lines(digest))  # private characters are printed as they are
    assert all(sign.isprintable() or sign in "\u200c\u200d" or ord(sign) >= 0xE000 for sign in shown)


def test_long_links_leave_stories_out_and_never_topics(make_alert, now):
    url = "https://news.example/" + "a" * 1900
    busy = [replace(BUSY, topic=f"topic_{n}", top=(story(n, url=url),) * 3) for n in range(20)]
    message = compose_digest(make_digest(*busy), make_alert(), now=now)
    written = json.dumps(message.blocks)
    assert 5 <= written.count('"link"') <= DIGEST_SIZE / len(url)
    assert len(written) < 30_000
    assert written.count("12 stories") == 20


def test_the_chart_is_a_picture_and_the_same_digest_gives_the_same(monkeypatch):
    drawn = draw_week(make_digest(BUSY, QUIET))
    assert drawn.startswith(b"\x89PNG")
    assert drawn == draw_week(make_digest(BUSY, QUIET))
    assert draw_week(make_digest(QUIET)) is None


def test_the_chart_is_read_from_its_alt_text_too():
    assert alt_text_of(make_digest(QUIET)).endswith("2026. None.")


def test_without_matplotlib_it_says_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"\[charts\]"):
        draw_week(make_digest(BUSY))
