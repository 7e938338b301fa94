"""The words for what is told beside alerts: updates of their messages, and digests. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from tocsin.types import Alert

# ---------------------------------------------------------------- updates

UpdateState = Literal["pending", "shown", "ended"]


@dataclass(frozen=True, slots=True)
class ToldMessage:
    """A delivered message about a story, which may be brought up to date as more outlets have the story.

    `alert` is as loaded now, `shown` are the outlets that the message names, since `shown_at`. `state` None:
    it was never updated.
    """

    alert: Alert
    message_ts: str
    told_at: datetime
    shown: int
    shown_at: datetime
    state: UpdateState | None = None
    retry_at: datetime | None = None

    @property
    def outlets(self) -> int:
        """Outlets that have the story now."""
        return 1 + len(self.alert.also_in)


@dataclass(frozen=True, slots=True)
class UpdateStep:
    """A step of bringing a message up to date: so many `outlets` are to be shown, or are shown since `at`."""

    alert_id: str
    at: datetime
    state: UpdateState
    outlets: int
    error: str | None = None
    retry_at: datetime | None = None


# ---------------------------------------------------------------- digests

PeriodKind = Literal["daily", "weekly"]


@dataclass(frozen=True, slots=True)
class Period:
    """A whole day or ISO week, UTC, from `since` until just before `until`: `2026-01-31`, or `2026-W05`."""

    kind: PeriodKind
    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class TopStory:
    """A story of a period, for one topic: outlets and best score of its articles that matched then."""

    story_id: int
    title: str
    url: str | None
    outlet: str
    outlets: int
    score: float


@dataclass(frozen=True, slots=True)
class TopicDigest:
    """What a topic brought in a period: how many stories, how many the one before, and the foremost.

    `daily` counts the stories of each of the seven days that end with the period, oldest first.
    """

    topic: str
    stories: int
    stories_before: int
    articles: int
    top: tuple[TopStory, ...] = ()
    daily: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Digest:
    """What a channel is told of a period. `days` are those that `TopicDigest.daily` counts."""

    digest_id: str
    channel: str
    period: Period
    topics: tuple[TopicDigest, ...]
    days: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Click:
    """A person's yes or no on an alert, said with a button; `channel` is Slack's id of the place."""

    alert_id: str
    person: str
    positive: bool
    channel: str
