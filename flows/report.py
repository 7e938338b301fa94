"""What a run did, in numbers: one object for programs, one page for Prefect's UI."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from tocsin.types import Fetched, FetchFailed, NotModified, Polled

if TYPE_CHECKING:
    from flows.feeds.fulltext import FullTextOutcome  # slow to load, and full text is off by default


@dataclass(frozen=True, slots=True)
class FeedFailure:
    """A feed that gave nothing in this run, and when it is tried again (ISO 8601, UTC)."""

    feed: str
    severity: str
    reason: str
    message: str
    next_poll_at: str | None


@dataclass(slots=True)
class AlertCounts:
    """Alerts decided in this run; delivered, pending and failed over the whole outbox."""

    decided: int = 0
    delivered: int = 0
    pending: int = 0
    failed: int = 0


@dataclass(slots=True)
class RunReport:
    """The counts of one run of `monitor`; `seconds` holds wall time by step.

    `heads` names what scores, where a person chose the models; `refined` counts the scores that a
    cross-encoder had a part in; `unscored` counts by language the new articles that the encoder cannot read.
    `lost_feeds` were to be polled by workers that were lost; they stay due. `joined_stories` are new articles
    of a story that was there before them, `told_before` are matches that did not ring because their channel
    was told of the story, `updated_messages` name more outlets now.
    """

    run_id: str
    database: str
    dry_run: bool = False
    feeds: int = 0
    not_due: int = 0
    fetched: int = 0
    not_modified: int = 0
    failed: int = 0
    lost_feeds: int = 0
    entries: int = 0
    new_articles: int = 0
    joined_stories: int = 0
    told_before: int = 0
    updated_messages: int = 0
    feed_warnings: int = 0
    spikes: int = 0
    heads: list[str] = field(default_factory=list)
    refined: int = 0
    scored: int = 0
    unscored: dict[str, int] = field(default_factory=dict)
    labels: int = 0
    full_texts: int = 0
    full_text_failures: dict[str, int] = field(default_factory=dict)
    matches: dict[str, int] = field(default_factory=dict)
    alerts: AlertCounts = field(default_factory=AlertCounts)
    publish_error: str | None = None
    failures: list[FeedFailure] = field(default_factory=list)
    delivery_errors: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, step: str) -> Iterator[None]:
        """Add the wall time spent inside to `step`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[step] = round(self.seconds.get(step, 0.0) + spent, 3)

    def count_polled(self, polled: list[Polled]) -> None:
        """Add the outcomes of a poll."""
        kinds = Counter(type(item.outcome) for item in polled)
        self.fetched += kinds[Fetched]
        self.not_modified += kinds[NotModified]
        self.failed += kinds[FetchFailed]
        self.entries += sum(len(item.parsed.entries) for item in polled if item.parsed)

    def count_full_texts(self, outcomes: Iterable[FullTextOutcome]) -> None:
        """Add what came of fetching article pages: texts, and failures by reason."""
        reasons = Counter(self.full_text_failures)
        for outcome in outcomes:
            if isinstance(outcome, FetchFailed):
                reasons[outcome.reason] += 1
            else:
                self.full_texts += 1
        self.full_text_failures = dict(reasons.most_common())

    def count_scored(self, scored: int, unread: Sequence[str]) -> None:
        """Add articles that are scored, and the languages of those that the encoder does not cover."""
        self.scored += scored
        self.unscored = dict((Counter(self.unscored) + Counter(unread)).most_common())

    def count_matches(self, topics: list[str]) -> None:
        """Add one match for every topic name in the list."""
        counts = Counter(self.matches)
        counts.update(topics)
        self.matches = dict(counts.most_common())

    @property
    def unread(self) -> str:
        """How many articles are not scored because of their language, as in `3 (2 de, 1 zh)`."""
        parts = ", ".join(f"{count:,} {language}" for language, count in self.unscored.items())
        return f"{sum(self.unscored.values()):,} ({parts})"

    @property
    def succeeded(self) -> bool:
        """Tell whether nothing needs a person: a feed answered (if any was asked), no alert is stuck."""
        asked = self.fetched + self.not_modified + self.failed
        return not self.delivery_errors and not self.lost_feeds and (self.failed < asked or asked == 0)

    @property
    def did_anything(self) -> bool:
        """Tell whether a line about the run is worth a person's time."""
        return bool(
            self.new_articles
            or self.alerts.decided
            or self.failures
            or self.lost_feeds
            or self.delivery_errors
        )

    def to_line(self) -> str:
        """Give the run in one line, for a log that people read."""
        polled = self.fetched + self.not_modified + self.failed
        line = (
            f"{polled} feeds polled ({self.failed} failed), {self.new_articles} new articles, "
            f"{self.alerts.decided} alerts, {self.alerts.pending} waiting"
        )
        lost = [f"{self.lost_feeds} feeds not polled: their workers were lost"] if self.lost_feeds else []
        return "; ".join([line, *lost, *self.delivery_errors])

    def to_dict(self) -> dict[str, object]:
        """Give the report as plain values, ready for JSON."""
        return asdict(self)

    def to_markdown(self) -> str:
        """Give the report as a page for Prefect's UI."""
        rows = {
            "Feeds": f"{self.feeds} ({self.not_due} not due)",
            "Fetched / not modified / failed": f"{self.fetched} / {self.not_modified} / {self.failed}",
            "Entries": str(self.entries),
            "New articles": f"{self.new_articles} ({self.joined_stories} joined stories)",
            "Alerts decided / delivered / pending": (
                f"{self.alerts.decided} / {self.alerts.delivered} / {self.alerts.pending}"
            ),
        }
        if self.unscored:
            rows["Not scored: language not covered"] = self.unread
        if self.lost_feeds:
            rows["Not polled: workers were lost"] = str(self.lost_feeds)
        if self.publish_error:
            rows["Not published"] = _cell(self.publish_error)
        if self.full_texts or self.full_text_failures:
            rows["Full texts / failed"] = f"{self.full_texts} / {sum(self.full_text_failures.values())}"
        lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
        if self.matches:
            lines += ["", "| Topic | Matches |", "|---|---|"]
            lines += [f"| `{topic}` | {count} |" for topic, count in self.matches.items()]
        if self.failures:
            lines += ["", "| Failed feed | Reason |", "|---|---|"]
            lines += [f"| `{item.feed}` | {_cell(item.message)} |" for item in self.failures]
        return "\n".join(lines)


def _cell(text: str) -> str:
    """Keep text inside one table cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
