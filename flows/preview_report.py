"""What a preview found: as values, as JSON and as a page for Prefect's UI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from tocsin.decisions import RULES, StopRule

BAR = "█"
WIDTH = 30  # signs of the longest bar
SHOWN = 10  # alerts of a kind that a page shows; JSON has all


@dataclass(frozen=True, slots=True)
class WouldBe:
    """An article beside its scores: for the changed topic, and for the version in use (None: not there yet).

    `why` is the rule that stops it where it would not ring, None where it would.
    """

    article_id: int
    story_id: int
    title: str
    outlet: str
    url: str | None
    first_seen_at: str
    score: float
    score_before: float | None
    why: StopRule | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What one version would have sent. `threshold` is what its budget raises it to, if it has one."""

    version: str
    threshold: float
    alerts: int
    per_day: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The threshold for a wished number of alerts a day, and what it would have sent a day."""

    wished_per_day: float
    threshold: float
    per_day: float


@dataclass(frozen=True, slots=True)
class TopicPreview:
    """A topic as it would be, beside the version in use (`before` None: there is none).

    `by_day` counts alerts by day: before and after. `above` and `below` are the articles whose scores are
    nearest to the threshold, nearest first. `articles` were looked at, `read` of them with their text;
    `from_scores`: the scores are those that runs stored, as nothing that scores was changed.
    """

    topic: str
    changes: str
    days: float
    articles: int
    read: int
    from_scores: bool
    before: Sent | None
    after: Sent
    kept: int
    by_day: dict[str, tuple[int | None, int]]
    gained: tuple[WouldBe, ...]
    lost: tuple[WouldBe, ...]
    above: tuple[WouldBe, ...]
    below: tuple[WouldBe, ...]
    suggestion: Suggestion | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, ready for JSON."""
        return asdict(self) | {
            "by_day": [
                {"day": day, "before": before, "after": after} for day, (before, after) in self.by_day.items()
            ]
        }

    def to_markdown(self) -> str:
        """Give it as a page for Prefect's UI: counts, a chart of days, what is gained, lost and near."""
        lines = [f"# `{self.topic}`", "", f"{self.headline}.", ""]
        lines += ["| | version | threshold | alerts | a day |", "|---|---|---|---|---|"]
        for name, sent in (("in use", self.before), ("changed", self.after)):
            if sent is not None:
                numbers = f"{sent.threshold:.3f} | {sent.alerts} | {sent.per_day:.2f}"
                lines.append(f"| {name} | `{sent.version}` | {numbers} |")
        if self.suggestion is not None:
            lines += ["", f"{say_suggestion(self.suggestion)}."]
        lines += ["", "```", *self.draw_days(), "```"]
        for title, found in self.sections():
            lines += ["", f"## {title}", "", *_table(found)]
        return "\n".join(lines)

    @property
    def headline(self) -> str:
        """Say in one line what the change does."""
        if self.before is None:
            return f"A new topic: {self.after.alerts} alerts in {self.days:.0f} days"
        gained, lost = len(self.gained), len(self.lost)
        moved = f"{self.kept} alerts stay, {gained} are gained, {lost} lost"
        return f"{self.changes}: {moved} in {self.days:.0f} days"

    def sections(self) -> list[tuple[str, tuple[WouldBe, ...]]]:
        """Give the lists of articles that people look at, each with its title."""
        return [
            (f"Gained ({len(self.gained)})", self.gained[:SHOWN]),
            (f"Lost ({len(self.lost)})", self.lost[:SHOWN]),
            ("Just above the threshold", self.above),
            ("Just under it", self.below),
        ]

    def draw_days(self) -> list[str]:
        """Draw alerts by day as bars: ░ is the version in use, █ the changed one."""
        most = max((max(before or 0, after) for before, after in self.by_day.values()), default=0)
        lines = []
        for day, (before, after) in self.by_day.items():
            name = f"{date.fromisoformat(day):%a %d %b}"
            if before is not None:
                lines.append(f"{name}  {before:>4} {_bar(before, most, '░')}".rstrip())
                name = " " * len(name)
            lines.append(f"{name}  {after:>4} {_bar(after, most, BAR)}".rstrip())
        return lines


def say_suggestion(suggestion: Suggestion) -> str:
    """Say what a threshold would bring."""
    wished, per_day = suggestion.wished_per_day, suggestion.per_day
    return f"About {wished:g} a day: threshold {suggestion.threshold:.3g} would have sent {per_day:.2f}"


def say_why(found: WouldBe) -> str:
    """Say what stops an article, empty if nothing does."""
    return RULES[found.why] if found.why else ""


def _bar(count: int, most: int, sign: str) -> str:
    return sign * max(round(count / most * WIDTH), 1) if count else ""


def _table(found: Sequence[WouldBe]) -> list[str]:
    if not found:
        return ["None."]
    lines = ["| score | before | day | outlet | headline | |", "|---|---|---|---|---|---|"]
    for each in found:
        before = "" if each.score_before is None else f"{each.score_before:.3f}"
        texts = " | ".join(map(_cell, (each.outlet, each.title, say_why(each))))
        lines.append(f"| {each.score:.3f} | {before} | {each.first_seen_at[:10]} | {texts} |")
    return lines


def _cell(text: str) -> str:
    """Keep text that strangers wrote inside one table cell, and from being markup."""
    plain = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "|[]()*_`!\\" else sign for sign in plain).replace("<", "&lt;")
