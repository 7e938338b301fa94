"""Topics and their changes on the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.table import Column, Table
from rich.text import Text

from tocsin.changes import FieldChange, TopicEvent, compare_topics, say_changes
from tocsin.cli.screen import make_console
from tocsin.types import Topic


def listed_to_json(topic: Topic, event: TopicEvent | None) -> dict[str, Any]:
    """Give a topic's definition with its version, and who brought it into use when (null: nobody yet)."""
    return {
        **topic.model_dump(mode="json"),
        "version": topic.version,
        "effective_threshold": topic.effective_threshold,
        "recorded_at": event.at.isoformat() if event else None,
        "recorded_by": event.by if event else None,
    }


def print_topics(topics: Sequence[Topic], newest: Mapping[str, TopicEvent]) -> None:
    """Print the topics in use as a table."""
    right = Column("threshold", justify="right")
    table = Table("topic", "version", right, "channel", "phrases", "since", "by", header_style="bold")
    for topic in topics:
        event = newest.get(topic.name)
        phrases = f"{len(topic.examples)} for, {len(topic.counter_examples)} against"
        since, who = (_moment(event.at), event.by or "") if event else ("not recorded yet", "")
        values = (
            topic.name,
            topic.version,
            f"{topic.effective_threshold:g}",
            ", ".join(topic.alert_channels) or "the default",
        )
        table.add_row(*(Text(value) for value in (*values, phrases, since, who)))
    make_console().print(table)


def change_to_json(change: FieldChange) -> dict[str, Any]:
    """Give a change of a field; a list says what it gained and lost besides."""
    plain = {"field": change.field, "before": change.before, "after": change.after}
    if isinstance(change.after, list):
        plain |= {"added": change.added, "removed": change.removed}
    return plain


def print_changes(old: Topic, new: Topic, changes: Sequence[FieldChange]) -> None:
    """Print what differs, a field at a time."""
    click.echo(f"{new.name}: {old.version} → {new.version}")
    for change in changes:
        if not isinstance(change.after, list):
            click.echo(f"  {change.field}\n    - {_or_empty(change.before)}\n    + {_or_empty(change.after)}")
            continue
        click.echo(f"  {change.field}")
        lines = [*(f"    - {item}" for item in change.removed), *(f"    + {item}" for item in change.added)]
        click.echo("\n".join(lines) or "    in another order")
    if not changes:
        click.echo("  nothing differs")


def event_to_json(event: TopicEvent) -> dict[str, Any]:
    """Give what happened to a topic as plain values."""
    return {
        "at": event.at.isoformat(),
        "by": event.by,
        "topic": event.topic,
        "what": event.what,
        "version": event.version,
        "changes": [change_to_json(change) for change in event.changes],
        "edition": event.edition,
        "run_id": event.run_id,
    }


def print_events(events: Sequence[TopicEvent]) -> None:
    """Print what happened to topics as a table."""
    table = Table("when (UTC)", "by", "topic", "version", "what changed", header_style="bold")
    for event in events:
        what = say_changes(event.changes) if event.what == "changed" else event.what
        values = (_moment(event.at), event.by or "", event.topic, event.version or "", what)
        table.add_row(*map(Text, values))
    make_console().print(table)


def print_difference(before: Sequence[Topic], after: Sequence[Topic]) -> None:
    """Say what a change made of a set of topics."""
    old, new = ({topic.name: topic for topic in each} for each in (before, after))
    lines = [f"{name}  removed" for name in old if name not in new]
    for name, topic in new.items():
        if name not in old:
            lines.append(f"{name}  added (version {topic.version})")
        elif topic != old[name]:
            said = say_changes(compare_topics(old[name], topic))
            lines.append(f"{name}  {old[name].version} → {topic.version}: {said}")
    click.echo("\n".join(lines) or "Nothing changes.")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _or_empty(value: object) -> str:
    return "empty" if value is None else str(value)
