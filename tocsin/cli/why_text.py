"""What is said of an article's way: what came of it, and line by line how it got there. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from flows.alerts.safe_text import clean_text
from flows.feeds.urls import without_credentials

if TYPE_CHECKING:
    from storage.way import AlertWay, Candidate, FeedFact, TopicWay, Way

_SHOWN = 3
_REASONS = {"language": "the encoder does not cover its language"}


def conclude(way: Way) -> tuple[str, str]:
    """Say what came of an article: a slug, and a sentence.

    `told`, `waits` (in the outbox), `failed`, `told_with_story` (another article of its story was told),
    `unscored`, `not_close`, `not_recorded`, or the rule that stopped it.
    """
    own = [alert for alert in way.alerts if alert.is_of_article]
    if own:
        return _conclude_alert(own[-1], "It")
    stopped = _leading(way)
    if way.alerts and (stopped is None or stopped.rings or stopped.rule == "story_told"):
        slug, said = _conclude_alert(way.alerts[0], "Its story")
        return ("told_with_story" if slug == "told" else slug), said
    if stopped is not None and stopped.rule is not None:
        return stopped.rule, f"No alert. {stopped.topic}: {stopped.explanation}"
    return _conclude_silence(way)


def _leading(way: Way) -> TopicWay | None:
    """Return the topic that came nearest to ringing: what rang, else the last rule that was reached."""
    decided = [topic for topic in way.topics if topic.rule is not None]
    above = [topic for topic in decided if topic.rings] or [
        topic for topic in decided if topic.rule != "below_threshold"
    ]
    return next(iter(above or decided), None)


def _conclude_silence(way: Way) -> tuple[str, str]:
    scored = [topic for topic in way.topics if topic.score is not None]
    if way.unscored is not None or not scored:
        reason = _REASONS.get(way.unscored or "", "it has no scores")
        return "unscored", f"No alert. It was not judged: {reason}."
    best = scored[0]
    score, threshold = best.score or 0.0, best.threshold
    if threshold is not None and score >= threshold:
        return "not_recorded", (
            f"No alert. {best.topic} has a score of {score:.3f}, over its threshold of {threshold:.3f}, "
            "but no decision is recorded: it was judged before there was a trail, or scored again since."
        )
    against = "" if threshold is None else f", threshold {threshold:.3f}"
    return "not_close", f"No alert. No topic is close: the nearest is {best.topic} with {score:.3f}{against}."


def _conclude_alert(alert: AlertWay, what: str) -> tuple[str, str]:
    where = f"{alert.channel} on {', '.join(alert.topics)}"
    if alert.state == "delivered":
        return "told", f"{what} was told to {where}, {_moment(alert.delivered_at)}."
    until = f", not before {_moment(alert.retry_at)}" if alert.retry_at else ""
    if alert.state == "failed":
        ends = until or ", and is given up"
        return "failed", f"{what} should be told to {where}, but was refused{ends}: {alert.error}."
    tried = f", after {alert.attempts} attempts: {alert.error}" if alert.error else ""
    return "waits", f"{what} waits to be told to {where}{until}{tried}."


def describe(way: Way) -> Iterator[tuple[str, str]]:
    """Give the lines on an article's way, each with its label (empty where it goes on)."""
    article = way.article
    yield "article", clean_text(article.title)
    said = [clean_text(article.outlet), clean_text(article.url or ""), f"id {article.article_id}"]
    yield "", " · ".join(filter(None, said))
    yield "feed", _describe_feed(way)
    yield "seen", f"{_moment(article.first_seen_at)}, dated {_moment(way.published_at)}"
    yield "language", (way.language or "unknown") + (", not scored" if way.unscored else "")
    yield "story", _describe_story(way)
    for number, topic in enumerate(_shown_topics(way)):
        yield "" if number else "scores", _describe_topic(topic)
    for number, alert in enumerate(way.alerts):
        yield "" if number else "alerts", f"{alert.alert_id}: {_conclude_alert(alert, _subject(alert))[1]}"
    yield "outcome", clean_text(conclude(way)[1])


def describe_candidates(found: list[Candidate], most: int) -> str:
    """List the articles that a person may have meant."""
    lines = [f"  {each.article_id}  {clean_text(f'{each.title} ({each.outlet})')}" for each in found[:most]]
    rest = ["  and more"] if len(found) > most else []
    return "\n".join(["several articles fit; give one's id:", *lines, *rest])


def describe_absence(given: str, feeds: list[FeedFact]) -> str:
    """Say that no article fits, and how the feeds fare that should have brought it."""
    said = [
        f"{without_credentials(feed.url)} ({feed.health}, polled {_moment(feed.polled_at)}"
        f"{f': {feed.message}' if feed.message else ''})"
        for feed in feeds
    ]
    known = f"; what is known of its site comes from {', '.join(said)}" if said else ""
    return clean_text(f"No article of the history fits {given!r}{known}")


def _subject(alert: AlertWay) -> str:
    return "It" if alert.is_of_article else "Its story"


def _describe_feed(way: Way) -> str:
    url = without_credentials(way.feed_url)
    named = f"{clean_text(way.feed)} ({url})" if way.feed else url
    others = len(set(way.carried_by) - {way.feed_url})
    also = f", also in {others} other feed{'s' if others > 1 else ''}" if others else ""
    seen_at = way.article.first_seen_at
    if way.baseline_at is None or seen_at is None:
        return named + also
    first = "it came with the first poll" if seen_at <= way.baseline_at else "first polled"
    return f"{named}{also}; {first}, {_moment(way.baseline_at)}"


def _describe_story(way: Way) -> str:
    if way.story_id is None:
        return "none"
    articles = "1 article" if way.articles == 1 else f"{way.articles} articles"
    began = "" if way.story_id == way.article.article_id else f'; it began with "{way.story_title}"'
    return f"{way.story_id}: " + clean_text(f"{articles} in {', '.join(way.outlets)}{began}")


def _shown_topics(way: Way) -> list[TopicWay]:
    """Return the topics with a decision; without any, the nearest few."""
    decided = [topic for topic in way.topics if topic.rule is not None]
    return decided or [topic for topic in way.topics if topic.score is not None][:_SHOWN]


def _describe_topic(topic: TopicWay) -> str:
    score = "no score" if topic.score is None else f"{topic.score:.3f}"
    threshold = "not watched now" if topic.threshold is None else f"threshold {topic.threshold:.3f}"
    said = clean_text(f": {topic.rule} - {topic.explanation}") if topic.rule else ""
    return f"{topic.topic} {score}, {threshold}{said}"


def _moment(at: datetime | None) -> str:
    return "at an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
