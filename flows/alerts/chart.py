"""Draws a digest's chart: stories per topic and day, as a table of shaded numbers."""

from __future__ import annotations

from typing import Any

from flows.alerts.safe_text import cut_text
from flows.alerts.words import topic_in_words
from tocsin.draw import figure_bytes, make_figure
from tocsin.telling import Digest, TopicDigest

ROWS_SHOWN = 20
_LABEL_LIMIT = 32
_ROW, _MARGIN, _WIDTH = 0.34, 0.75, 7.5  # inches
_LIGHT, _DARK = "#1f2933", "#ffffff"  # of numbers, on light and on dark cells


def draw_week(digest: Digest) -> bytes | None:
    """Draw the seven days that end with the period, as PNG; None if they brought no story.

    Numbers stand in the cells, so that nothing is told by colour alone.
    Raises: SettingsError if matplotlib is not installed.
    """
    rows = sorted(digest.topics, key=lambda topic: -sum(topic.daily))[:ROWS_SHOWN]
    rows = [topic for topic in rows if sum(topic.daily)]
    if not rows:
        return None
    figure = make_figure(width=_WIDTH, height=_MARGIN + _ROW * len(rows))
    _draw_cells(figure.subplots(), rows, digest)
    return figure_bytes(figure)


def _draw_cells(axes: Any, rows: list[TopicDigest], digest: Digest) -> None:
    counts = [topic.daily for topic in rows]
    most = max(max(row) for row in counts)
    axes.imshow(counts, cmap="Blues", vmin=0, vmax=1.15 * most, aspect="auto")
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            shade = _DARK if count > 0.7 * most else _LIGHT
            axes.text(x, y, str(count) if count else "·", ha="center", va="center", color=shade, fontsize=10)
    axes.set_xticks(range(len(digest.days)), [f"{day:%a %-d}" for day in digest.days])
    labels = [cut_text(topic_in_words(topic.topic), _LABEL_LIMIT).replace("$", r"\$") for topic in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_xticks([x - 0.5 for x in range(1, len(digest.days))], minor=True)
    axes.set_yticks([y - 0.5 for y in range(1, len(rows))], minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.xaxis.tick_top()
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title("Stories per topic and day (UTC)", loc="left", fontsize=10)
