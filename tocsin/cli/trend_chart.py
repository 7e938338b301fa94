"""Draws trends for a report: the corrected share of coverage of topics, as lines labelled where they end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.alerts.words import topic_in_words
from tocsin.draw import make_figure, save_figure

if TYPE_CHECKING:
    from storage.trends import TrendDay

# After Okabe and Ito: told apart with every kind of colour blindness, and dark enough for text on white.
COLOURS = ("#0068A5", "#B84A00", "#007A59", "#A03C8C", "#000000", "#7A5F00")
STYLES = ("-", (0, (5, 1.5)), (0, (1, 1.2)))
TOPICS_TOGETHER = 6  # more lines than this get a picture each
_INK, _PALE = "#1f2933", "#c4ccd4"
_WIDTH, _HEIGHT, _SMALL = 9.0, 5.0, 1.75  # inches
_ABOVE, _BELOW = 0.75, 0.35  # inches for title and source
_LABELS = 8  # named Mondays at most, about
_LABEL_GAP = 0.055  # of the axis' height, between labels
TITLE = "Share of coverage by topic, {first} to {last}"
SUBTITLE = (
    "Average of 7 days: articles that match per article scored, corrected for feeds that died or joined"
)
SOURCE = (
    "Source: Tocsin, {articles:,} articles first seen on these days (UTC). Marks on the axis are Mondays."
)


def draw_trends(days: Sequence[TrendDay], path: Path) -> Path:
    """Write a PNG of these days (by topic, oldest first, at least one).

    Raises: SettingsError if matplotlib is not installed or the file cannot be written.
    """
    return save_figure(make_chart(days), path)


def make_chart(days: Sequence[TrendDay]) -> Any:
    """Draw these days. Up to six topics share a picture; more get a small one each, all to one scale."""
    topics = {topic: list(listed) for topic, listed in groupby(days, key=lambda day: day.topic)}
    ordered = sorted(topics, key=lambda topic: -_last(topics[topic]))
    lines = [(topic, topics[topic]) for topic in ordered]
    if len(lines) <= TOPICS_TOGETHER:
        figure = make_figure(width=_WIDTH, height=_HEIGHT)
        _draw_together(figure.subplots(), lines)
    else:
        figure = _draw_apart(lines)
    _write_around(figure, days)
    return figure


def line_of(days: Sequence[TrendDay]) -> tuple[list[date], list[float]]:
    """Give the days and the line: the 7-day average, NaN where a day is missing or cannot be compared."""
    known = {day.day: day.corrected_share_7d for day in days}
    first, last = days[0].day, days[-1].day
    every = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    shares = (known.get(day) for day in every)
    return every, [float("nan") if share is None else 100 * share for share in shares]


def _days_of(lines: Sequence[tuple[str, Sequence[TrendDay]]]) -> list[date]:
    first = min(days[0].day for _, days in lines)
    last = max(days[-1].day for _, days in lines)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _last(days: Sequence[TrendDay]) -> float:
    shares = [day.corrected_share_7d for day in days if day.corrected_share_7d is not None]
    return shares[-1] if shares else -1.0


def _draw_together(axes: Any, lines: Sequence[tuple[str, Sequence[TrendDay]]]) -> None:
    ends = []
    for number, (topic, days) in enumerate(lines):
        every, shares = line_of(days)
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(
            [day.toordinal() for day in every],
            shares,
            color=colour,
            linewidth=2,
            linestyle=STYLES[number % len(STYLES)],
        )
        known = [(day, share) for day, share in zip(every, shares, strict=True) if share == share]  # noqa: PLR0124
        if known:
            end = known[-1][0].toordinal(), known[-1][1]
            axes.plot(*end, marker="o", markersize=4, color=colour)
            ends.append((end, topic, colour))
    _dress(axes, _days_of(lines))
    _label_ends(axes, ends)


def _label_ends(axes: Any, ends: Sequence[tuple[tuple[int, float], str, str]]) -> None:
    """Write each topic beside the end of its line, none over another."""
    top = axes.get_ylim()[1]
    gap, floor = _LABEL_GAP * top, -1.0
    for (day, share), topic, colour in sorted(ends, key=lambda end: end[0][1]):
        at = max(share, floor + gap)
        floor = at
        axes.annotate(
            f"{_words(topic)} {share:.1f}%",
            xy=(day, at),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9.5,
            fontweight="bold",
            annotation_clip=False,
        )


def _draw_apart(lines: Sequence[tuple[str, Sequence[TrendDay]]]) -> Any:
    rows = -(-len(lines) // 2)
    figure = make_figure(width=_WIDTH, height=1.2 + _SMALL * rows)
    places = list(figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).flat)
    highest = 0.0
    for place, (topic, days) in zip(places, lines, strict=False):
        every, shares = line_of(days)
        place.plot([day.toordinal() for day in every], shares, color=COLOURS[0], linewidth=1.8)
        _dress(place, _days_of(lines))
        known = [share for share in shares if share == share]  # noqa: PLR0124  NaN is not itself
        highest = max([highest, *known])
        now = f", now {known[-1]:.1f}%" if known else ", cannot be compared"
        place.set_title(f"{_words(topic)}{now}", loc="left", fontsize=10, color=_INK, fontweight="bold")
    for place in places[len(lines) :]:
        place.set_axis_off()
    places[0].set_ylim(0, 1.05 * highest or 1)
    for place in places[-2:]:
        place.tick_params(labelbottom=True)
    return figure


def _dress(axes: Any, days: Sequence[date]) -> None:
    """Begin at nothing, mark Mondays, and leave out what tells nothing."""
    mondays = [day for day in days if day.weekday() == 0]
    step = max(1, round(len(mondays) / _LABELS))
    named = mondays[::step]
    axes.set_xticks([day.toordinal() for day in named], [_name_day(day, named) for day in named])
    axes.set_xticks([day.toordinal() for day in mondays], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlim(days[0].toordinal() - 0.5, days[-1].toordinal() + 0.5)
    axes.locator_params(axis="y", nbins=4)
    axes.yaxis.set_major_formatter("{x:g}%")
    axes.grid(axis="y", color=_PALE, linewidth=0.7)
    axes.tick_params(axis="both", colors=_INK, labelsize=9)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_INK)


def _name_day(day: date, named: Sequence[date]) -> str:
    """Name a day, with its year where a year begins."""
    before = [each for each in named if each < day]
    is_new = not before or before[-1].year != day.year
    return f"{day.day} {day:%b}\n{day.year}" if is_new else f"{day.day} {day:%b}"


def _write_around(figure: Any, days: Sequence[TrendDay]) -> None:
    first, last = min(day.day for day in days), max(day.day for day in days)
    seen: dict[date, int] = {}
    for day in days:
        seen[day.day] = max(seen.get(day.day, 0), day.articles)
    height = figure.get_figheight()
    source = SOURCE.format(articles=sum(seen.values()))
    title = TITLE.format(first=first, last=last)
    figure.get_layout_engine().set(rect=(0, _BELOW / height, 1, 1 - (_ABOVE + _BELOW) / height))
    figure.text(0.012, 1 - 0.12 / height, title, fontsize=14, fontweight="bold", color=_INK, va="top")
    figure.text(0.012, 1 - 0.42 / height, SUBTITLE, fontsize=9.5, color=_INK, va="top")
    figure.text(0.012, 0.1 / height, source, fontsize=8, color=_INK, va="bottom")


def _words(topic: str) -> str:
    """Spell a topic for people; a dollar sign begins no formula."""
    return topic_in_words(topic).replace("$", r"\$")
