"""The words that every part speaks: feeds, entries, articles, topics, scores, alerts.

Values only: nothing here does I/O or knows of a library beyond pydantic. All times are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tocsin.topic import Topic as Topic  # noqa: PLC0414  said again here, beside the other words

# ---------------------------------------------------------------- feeds


@dataclass(frozen=True, slots=True)
class Feed:
    """A URL that we poll. `title`, `outlet` and `folder` are what a person or an OPML file said."""

    url: str
    title: str | None = None
    outlet: str | None = None
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server gave for conditional requests; replayed only to the URL that gave them."""

    url: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class FeedState:
    """What storage remembers of a feed between polls; a new feed has only its URL.

    `baseline_at` is when its first successful poll was stored. `failures` counts the failed polls
    since the last success, `failing_since` is the first of them. `moved_to` is the URL to ask
    instead of `url`, last confirmed at `moved_at`; `redirect_*` is a permanent redirect that has
    not been seen often enough yet. `distrust_304_at`: when the server was last caught answering
    304 although there were new entries. `entry_gap` is the usual time per new entry, `usual_gap`
    the usual time between two polls with any.
    """

    url: str
    validators: Validators | None = None
    body_hash: str | None = None
    polled_at: datetime | None = None
    succeeded_at: datetime | None = None
    full_fetch_at: datetime | None = None
    next_poll_at: datetime | None = None
    interval: timedelta | None = None
    failures: int = 0
    baseline_at: datetime | None = None
    moved_to: str | None = None
    moved_at: datetime | None = None
    redirect_to: str | None = None
    redirect_count: int = 0
    redirect_since: datetime | None = None
    gone_at: datetime | None = None
    failing_since: datetime | None = None
    distrust_304_at: datetime | None = None
    last_new_at: datetime | None = None
    entry_gap: timedelta | None = None
    usual_gap: timedelta | None = None


@dataclass(frozen=True, slots=True)
class PaceHints:
    """What a server or a feed said about when to come back."""

    retry_after: timedelta | None = None
    max_age: timedelta | None = None
    ttl: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """The facts of one HTTP exchange, whatever came of it. `status` is None if no answer came.

    `redirected_to` is where redirects led that all were permanent. `at_moved`: the feed's `moved_to`
    was asked, not its own URL. `honours_validators` is None unless it was tested: False if the old
    validators were answered with 304 right after a body that differs.
    """

    feed_url: str
    final_url: str
    fetched_at: datetime
    seconds: float
    status: int | None = None
    received_bytes: int = 0
    redirected_to: str | None = None
    at_moved: bool = False
    honours_validators: bool | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """Fetch outcome: a body that differs from the last one."""

    exchange: Exchange
    body: bytes = field(repr=False)
    body_hash: str
    content_type: str | None = None
    validators: Validators | None = None
    hints: PaceHints = PaceHints()


@dataclass(frozen=True, slots=True)
class NotModified:
    """Fetch outcome: 304, or a body with the hash of the last one."""

    exchange: Exchange
    validators: Validators | None = None
    hints: PaceHints = PaceHints()


Severity = Literal["temporary", "soft", "hard"]


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """Fetch outcome: nothing usable came.

    `temporary` passes by itself (time-out, 429, 503); `soft` may need the publisher (404, not a
    feed); `hard` needs a person (410, forbidden address, unsupported scheme). `reason` is a slug,
    `message` a sentence for the operator; neither holds credentials.
    """

    exchange: Exchange
    severity: Severity
    reason: str
    message: str
    hints: PaceHints = PaceHints()


FetchOutcome = Fetched | NotModified | FetchFailed


@dataclass(frozen=True, slots=True)
class Entry:
    """One item as a feed gave it in one poll; text is plain, dates are as claimed."""

    title: str
    summary: str = ""
    url: str | None = None
    guid: str | None = None
    published_at: datetime | None = None
    outlet: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """What a feed's bytes say. `notes` are oddities worth showing to an operator."""

    entries: tuple[Entry, ...]
    format: str
    title: str | None = None
    ttl: timedelta | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Polled:
    """One feed's part of a poll: the outcome, and its entries where there are new ones."""

    feed: Feed
    outcome: FetchOutcome
    parsed: ParsedFeed | None = None


WarningKind = Literal["failing", "gone", "silent"]


@dataclass(frozen=True, slots=True)
class FeedWarning:
    """What an operator is told once about a feed; `warning_id` stays the same while the episode lasts."""

    warning_id: str
    feed_url: str
    kind: WarningKind
    since: datetime
    message: str


# ---------------------------------------------------------------- articles


@dataclass(frozen=True, slots=True)
class Article:
    """Our one record behind one or more entries.

    `article_id` is a 63-bit hash of the identity that was seen first, so the same article gets the
    same id again if a run is repeated. `published_at` is claimed, `first_seen_at` is ours.
    `language` is an ISO 639-1 code, None if the text tells too little; `full_text` is what the
    article's page says, where that was asked for and could be had.
    """

    article_id: int
    url: str | None
    title: str
    summary: str
    outlet: str
    feed_url: str
    published_at: datetime | None
    first_seen_at: datetime
    language: str | None = None
    full_text: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """An entry of a feed, tied to its article. `is_new`: this sighting created the article."""

    feed_url: str
    article_id: int
    guid: str | None
    url: str | None
    title: str
    published_at: datetime | None
    seen_at: datetime
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class StoryArticle:
    """What stories are made of: what an article says, who says it, and when.

    `at` is the claimed time of publication, or when we first saw it if that is unknown or earlier.
    `story_id` is None while the article belongs to no story.
    """

    article_id: int
    title: str
    summary: str
    outlet: str
    at: datetime
    language: str | None = None
    story_id: int | None = None


@dataclass(frozen=True, slots=True)
class StoryTie:
    """An article's place in a story. A story has the id of the article that it began with.

    `likelihood` is how probable it is, 0 to 1, that the nearest article of the story tells the same event;
    None for the article that began it.
    """

    article_id: int
    story_id: int
    likelihood: float | None = None


# ---------------------------------------------------------------- judgement


@dataclass(frozen=True, slots=True)
class Score:
    """Calibrated probability that an article has a topic."""

    article_id: int
    topic: str
    topic_version: str
    encoder_revision: str
    head: str
    score: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an article matched a topic.

    `sentence` is the one without which the score falls most, `words` are those of it without which it
    falls most, most first. `example` is the topic's own phrase nearest to the sentence, at the cosine
    `likeness`. `head`, with its version, on the output of `encoder_revision` gave the score. `labelled` is
    the headline of the nearest article that people called relevant, at the cosine `labelled_likeness`. Empty
    or None: not known.
    """

    topic: str
    score: float
    sentence: str
    words: tuple[str, ...] = ()
    example: str = ""
    likeness: float | None = None
    head: str = ""
    encoder_revision: str = ""
    labelled: str = ""
    labelled_likeness: float | None = None


# ---------------------------------------------------------------- alerts

AlertState = Literal["pending", "sending", "delivered", "failed"]

# Why a channel hears of a story: first told, a further topic of a told story, or far more outlets than told.
# A spike is of no single story: a topic is far more in the news than usual.
AlertCause = Literal["story", "topic", "coverage", "spike"]


@dataclass(frozen=True, slots=True)
class LeadingStory:
    """A story behind a spike: its headline, address and publisher, and how many outlets tell it."""

    title: str
    url: str | None
    outlet: str
    outlets: int


@dataclass(frozen=True, slots=True)
class Spike:
    """A topic whose volume, corrected for coverage, left its baseline.

    `matches` came in the last `hours` from `outlets` outlets, first at `began_at`; `usual` is what the same
    feeds would have brought at the usual rate of this hour and weekday, `z_score` the distance in robust
    standard deviations. `terms` stand out in the headlines, most first.
    """

    topic: str
    hours: int
    matches: int
    usual: float
    z_score: float
    outlets: int
    began_at: datetime
    stories: tuple[LeadingStory, ...] = ()
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """The decision to tell a channel of a story; made once per (story, channel), see `AlertCause`.

    `reasons` has one item per matched topic, highest score first. `channel` is a Slack channel
    name or id, or `console`. `article_id` is the article that is shown; `story_id` is None for what is
    no story. `outlets` had the story when this was decided, `also_in` are those beside the one shown that
    have it when the alert is loaded. `hold_until`: decided in quiet hours, not to be sent before.
    `thread_ts` is the message that first told the channel of the story, for a development; None: it stands
    by itself. `spike` is what an alert of that cause tells.
    """

    alert_id: str
    article_id: int
    channel: str
    title: str
    url: str | None
    outlet: str
    published_at: datetime | None
    decided_at: datetime
    reasons: tuple[Reason, ...]
    state: AlertState = "pending"
    attempts: int = 0
    story_id: int | None = None
    cause: AlertCause = "story"
    outlets: int = 1
    also_in: tuple[str, ...] = ()
    hold_until: datetime | None = None
    thread_ts: str | None = None
    spike: Spike | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel was told of a story: on which topics, with how many outlets, and if for its coverage."""

    topics: frozenset[str]
    outlets: int = 1
    for_coverage: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to send an alert and what came of it. `message_ts` is Slack's id of the message.

    `holds_channel`: until `retry_at` nothing else may be sent to the alert's channel either. `outlets`: how
    many the message names, known when it is about to be sent.
    """

    alert_id: str
    attempted_at: datetime
    state: AlertState
    message_ts: str | None = None
    error: str | None = None
    retry_at: datetime | None = None
    holds_channel: bool = False
    outlets: int | None = None


@dataclass(frozen=True, slots=True)
class ChannelTrouble:
    """What keeps alerts from being delivered as promised; the operator is told once per episode.

    `subject` names what must work again for the episode to end: `channel:NAME`, `outlet:NAME`, `alert:ID`,
    `history:CHANNEL` or `promise:OUTLET`.
    """

    subject: str
    channel: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Posted:
    """What a webhook answered: status, the beginning of the body, and when it may be tried again."""

    status: int
    text: str = ""
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Ballot:
    """What people say of one alert now: each person's id with yes (relevant) or no."""

    alert_id: str
    channel: str
    votes: tuple[tuple[str, bool], ...]
