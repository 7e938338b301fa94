"""Digests as messages (pure): which period, what is said of each topic, and the same for a terminal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from flows.alerts.compose import DIGEST_TYPE, FALLBACK_LIMIT, Block, Message, link_element, text_element
from flows.alerts.safe_text import clean_text, cut_text, escape_text, read_link
from flows.alerts.words import OUTLET_LIMIT, score_in_words, topic_in_words
from tocsin.telling import Digest, Period, PeriodKind, TopicDigest, TopStory
from tocsin.types import Alert

STORIES_SHOWN = 3
TOPICS_TOLD = 20
ALT_LIMIT = 2000
# As for lists: far below Slack's 40,000 for a message, whatever links there are.
DIGEST_SIZE = 16_000
_TITLE_LIMIT = 150
_UNIT: dict[PeriodKind, str] = {"daily": "day", "weekly": "week"}


def last_period(kind: PeriodKind, now: datetime) -> Period:
    """Give the last whole day or ISO week (Monday to Sunday) before `now`, UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "daily":
        since = midnight - timedelta(days=1)
        return Period(kind, f"{since:%Y-%m-%d}", since, midnight)
    until = midnight - timedelta(days=midnight.weekday())
    since = until - timedelta(days=7)
    year, week, _ = since.isocalendar()
    return Period(kind, f"{year}-W{week:02}", since, until)


def digest_id_of(channel: str, period: Period) -> str:
    """Return the digest's id, 24 hexadecimal digits, the same in every run."""
    return hashlib.sha256(f"digest {channel} {period.name}".encode()).hexdigest()[:24]


def compose_digest(digest: Digest, stand_in: Alert, *, now: datetime, image_id: str | None = None) -> Message:
    """Compose one message of a digest, within Slack's limits whatever it holds.

    `stand_in` is the alert that stands for it in delivery, `image_id` Slack's id of its chart.
    """
    told, blocks = fit_digest(digest), list[Block]()
    blocks.append(
        {"type": "header", "text": {"type": "plain_text", "text": title_of(digest), "emoji": False}}
    )
    blocks += [{"type": "rich_text", "elements": list(_topic_parts(topic, digest.period))} for topic in told]
    if rest := _rest_in_words(digest, told):
        blocks.append({"type": "rich_text", "elements": [_section(text_element(rest))]})
    if image_id is not None:
        blocks.append({"type": "image", "slack_file": {"id": image_id}, "alt_text": alt_text_of(digest)})
    return Message(
        alerts=(stand_in,),
        composed_at=now,
        text=escape_text(f"{title_of(digest)}: {_in_short(digest)}", FALLBACK_LIMIT),
        blocks=blocks,
        metadata={"event_type": DIGEST_TYPE, "event_payload": {"digest_id": digest.digest_id}},
    )


def digest_lines(digest: Digest) -> list[str]:
    """Write a digest as lines for a terminal."""
    told, lines = fit_digest(digest), [f"{title_of(digest)}  → {clean_text(digest.channel)}", ""]
    for topic in told:
        lines.append(f"{topic_in_words(topic.topic)}: {_counts_in_words(topic, digest.period)}")
        for story in topic.top:
            lines.append(f"  • {_title(story)}  {_story_in_words(story)}")
            if link := read_link(story.url):
                lines.append(f"    {link[0]}")
    rest = _rest_in_words(digest, told)
    return [*lines, rest] if rest else lines


def title_of(digest: Digest) -> str:
    """Return the headline, such as "Weekly digest: 16 to 22 November 2026"."""
    return f"{digest.period.kind.capitalize()} digest: {_span(digest.period)}"


def alt_text_of(digest: Digest) -> str:
    """Say in words what the chart shows, for those who cannot see it."""
    shown = [topic for topic in digest.topics if sum(topic.daily)]
    days = f"{digest.days[0]:%-d %B} to {digest.days[-1]:%-d %B %Y}"
    counts = "; ".join(f"{topic_in_words(topic.topic)} {', '.join(map(str, topic.daily))}" for topic in shown)
    return cut_text(f"Chart: stories per topic and day, {days}. {counts or 'None'}.", ALT_LIMIT)


def fit_digest(digest: Digest) -> list[TopicDigest]:
    """Choose the topics with stories, busiest first, and as many of their stories as the message holds."""
    ranked = sorted(digest.topics, key=lambda topic: (-topic.stories, digest.topics.index(topic)))
    room, told = DIGEST_SIZE, list[TopicDigest]()
    for topic in [topic for topic in ranked if topic.stories][:TOPICS_TOLD]:
        kept = list[TopStory]()
        for story in topic.top[:STORIES_SHOWN]:
            room -= len(story.url or "") + 2 * _TITLE_LIMIT
            if room >= 0:
                kept.append(story)
        told.append(replace(topic, top=tuple(kept)))
    return told


def _topic_parts(topic: TopicDigest, period: Period) -> Iterator[Block]:
    name = text_element(topic_in_words(topic.topic), bold=True)
    yield _section(name, text_element(f"  {_counts_in_words(topic, period)}"))
    if topic.top:
        items = [_section(*_story_elements(story)) for story in topic.top]
        yield {"type": "rich_text_list", "style": "bullet", "elements": items}


def _section(*elements: Block) -> Block:
    return {"type": "rich_text_section", "elements": list(elements)}


def _story_elements(story: TopStory) -> Iterator[Block]:
    link = read_link(story.url)
    yield link_element(_title(story), link[0] if link else None)
    yield text_element(f"\n{_story_in_words(story)}")


def _title(story: TopStory) -> str:
    return cut_text(clean_text(story.title), _TITLE_LIMIT) or "(no headline)"


def _story_in_words(story: TopStory) -> str:
    outlet = cut_text(clean_text(story.outlet), OUTLET_LIMIT) or "unknown outlet"
    named = outlet if story.outlets < 2 else f"{outlet} and {_count(story.outlets - 1, 'more outlet')}"
    return f"{named} · {score_in_words(story.score)}"


def _counts_in_words(topic: TopicDigest, period: Period) -> str:
    """Say how many stories, in how many articles, against the period before."""
    change, before = topic.stories - topic.stories_before, f"the {_UNIT[period.kind]} before"
    if change == 0:
        compared = f"as many as {before}"
    else:
        compared = f"{abs(change)} {'more' if change > 0 else 'fewer'} than {before}"
    told = _count(topic.stories, "story", "stories")
    return f"{told} in {_count(topic.articles, 'article')}, {compared}"


def _rest_in_words(digest: Digest, told: list[TopicDigest]) -> str:
    """Name the topics of which nothing is told."""
    busy, quiet = [topic for topic in digest.topics if topic.stories], len(digest.topics)
    quiet -= len(busy)
    parts = []
    if len(busy) > len(told):
        parts.append(f"{_count(len(busy) - len(told), 'more topic')} with stories, fewer on each.")
    if quiet:
        names = [topic_in_words(topic.topic) for topic in digest.topics if not topic.stories]
        parts.append(f"Nothing on: {cut_text(', '.join(names), 1000)}.")
    return " ".join(parts)


def _in_short(digest: Digest) -> str:
    told = [f"{topic_in_words(topic.topic)} {topic.stories}" for topic in fit_digest(digest)]
    return ", ".join(told) or "no stories"


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def _span(period: Period) -> str:
    first, last = period.since, period.until - timedelta(microseconds=1)
    if first.date() == last.date():
        return f"{first:%A, %-d %B %Y}"
    same = first.month == last.month
    return f"{first:%-d} to {last:%-d %B %Y}" if same else f"{first:%-d %B} to {last:%-d %B %Y}"
