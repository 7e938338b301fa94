"""Alerts in a terminal: rendered with rich, with nothing in them that the terminal would obey."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from flows.alerts.compose import TOPICS_SHOWN, Message
from flows.alerts.safe_text import clean_text, read_link
from flows.alerts.words import (
    again_in_words,
    also_in_words,
    origin_of,
    score_in_words,
    sentences_of,
    spike_figures,
    spike_terms,
    story_outlets,
    story_title,
    title_of,
    topic_in_words,
)
from tocsin.types import Alert, Spike

CONSOLE = "console"


class ConsoleOutlet:
    """Prints alerts. It cannot be asked what it printed, so a crash between print and record prints twice."""

    name = CONSOLE
    list_above = None
    weakness = None  # nobody is to be told: whoever reads a terminal sees what comes twice
    pace = timedelta(0)
    settle = timedelta(0)

    def __init__(self, console: Console) -> None:
        self._console = console

    def send(self, channel: str, message: Message) -> str:
        """Print the alerts of a message; `channel` is shown as part of each."""
        for alert in message.alerts:
            self._console.print(render_console(alert, now=message.composed_at))
        return f"{CONSOLE}:{channel}:{message.alerts[0].alert_id}"

    def print_lines(self, lines: Iterable[str]) -> None:
        """Print lines as they are."""
        for line in lines:
            self._console.print(Text(line, overflow="fold"))

    def find_delivered(
        self, channel: str, alert_ids: Collection[str], oldest: datetime, *, threads: Collection[str] = ()
    ) -> dict[str, str]:
        """Return nothing: what a terminal showed is not kept."""
        del channel, alert_ids, oldest, threads
        return {}


def render_console(alert: Alert, *, now: datetime) -> RenderableType:
    """Render one alert as a few lines; markup, control and direction characters in it have no effect."""
    link = read_link(alert.url)
    details = [
        Text(title_of(alert), style="bold"),
        Text(origin_of(alert, link[1] if link else None, now), style="dim"),
        *(Text(words, style="dim") for words in (also_in_words(alert), again_in_words(alert)) if words),
        *(Text(f"“{sentence}”", style="italic") for sentence in sentences_of(alert)),
    ]
    if alert.spike is not None:
        details += _spike(alert.spike)
    if link:
        details.append(Text(link[0], style="blue", overflow="fold"))
    return Group(_topics(alert), Padding(Group(*details), (0, 0, 1, 2)))


def _spike(spike: Spike) -> list[Text]:
    lines = [Text(spike_figures(spike), style="dim")]
    for story in spike.stories:
        lines.append(Text(f"• {story_title(story)} ({story_outlets(story)})"))
        if link := read_link(story.url):
            lines.append(Text(f"  {link[0]}", style="blue", overflow="fold"))
    return [*lines, Text(spike_terms(spike), style="dim")] if spike.terms else lines


def _topics(alert: Alert) -> Text:
    line = Text("▪ ", style="yellow")
    for reason in alert.reasons[:TOPICS_SHOWN]:
        line.append(topic_in_words(reason.topic), style="bold yellow")
        line.append(f" {score_in_words(reason.score)}  ", style="default")
    if alert.channel != CONSOLE:
        line.append(f"→ {clean_text(alert.channel)}", style="dim")
    line.rstrip()
    return line
