"""`tocsin trends`: how much of the news each topic is, and whether that is unusual."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table
from rich.text import Text

from tocsin.cli.drift import read_since
from tocsin.cli.screen import make_console
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from storage.trends import TrendDay

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40  # signs of a chart; each stands for one or more days
_UNUSUAL = 3.0


@click.command()
@click.option("--topic", "topics", multiple=True, metavar="NAME", help="Only this topic; repeatable.")
@click.option(
    "--since", callback=read_since, metavar="DAY", help="First day, or how many: 90d. [default: 28d]"
)
@click.option("--json", "as_json", is_flag=True, help="Print an array with an object per topic and day.")
@click.option(
    "--png",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a chart to this file instead (extra `charts`).",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def trends(
    *, topics: tuple[str, ...], since: date | int | None, as_json: bool, png: Path | None, data: Path | None
) -> None:
    """Show how much of the news each topic is, corrected for feeds that died or joined.

    The newest day is compared with the same weekday of the 8 weeks before (z), its week with the week before.
    """
    from storage.history_file import read_published  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.trends import load_trends  # noqa: PLC0415

    first = _first_day(since, today=datetime.now(UTC).date())
    with read_published(load_settings(data=data).data) as con:
        days = load_trends(con, topics=topics, since=first)
    if png is not None and days:
        from tocsin.cli.trend_chart import draw_trends  # noqa: PLC0415

        click.echo(f"{draw_trends(days, png)}: {days[0].day} to {max(day.day for day in days)}", err=as_json)
    if as_json:
        click.echo(json.dumps([asdict(day) for day in days], default=str))
    elif days and png is None:
        _print(days, first)
    elif not days:
        click.echo(f"No article was scored for these topics since {first}.")


def _first_day(since: date | int | None, *, today: date) -> date:
    if isinstance(since, date):
        return since
    return today - timedelta(days=(since or 28) - 1)


def _print(days: Sequence[TrendDay], first: date) -> None:
    newest = max(day.day for day in days)
    right = [Column(name, justify="right") for name in ("matches", "share", "corrected", "week on week", "z")]
    table = Table("topic", *right, f"corrected share a day, {first} to {newest}")
    for topic, group in groupby(days, key=lambda day: day.topic):
        listed = list(group)
        table.add_row(Text(topic), *_figures(listed), Text(draw_line(listed, first, newest)))
    console = make_console()
    console.print(table)
    console.print(
        f"matches and shares: all days shown; z: {newest} beside the same weekday of the 8 weeks before; "
        "a gap in a chart: no article"
    )


def _figures(days: Sequence[TrendDay]) -> list[Text]:
    last = days[-1]
    articles = sum(day.articles for day in days)
    known = [day for day in days if day.corrected_share is not None]
    weight = sum(day.articles for day in known)
    corrected = sum((day.corrected_share or 0) * day.articles for day in known) / weight if weight else None
    style = "bold" if last.z_score is not None and abs(last.z_score) >= _UNUSUAL else ""
    return [
        Text(f"{sum(day.matches for day in days):,}"),
        Text(f"{sum(day.matches for day in days) / articles:.1%}"),
        Text(_or_dash(corrected, ".1%")),
        Text(_or_dash(last.corrected_change_7d, "+.0%")),
        Text(_or_dash(last.z_score, "+.1f"), style=style),
    ]


def draw_line(days: Sequence[TrendDay], first: date, newest: date) -> str:
    """Draw corrected shares as a line of bars from nothing to the highest; a gap where nothing is known."""
    by_day = {day.day: day.corrected_share for day in days if day.corrected_share is not None}
    length = (newest - first).days + 1
    step = -(-length // _WIDTH)
    groups = [
        [
            by_day[day]
            for n in range(at, min(at + step, length))
            if (day := first + timedelta(days=n)) in by_day
        ]
        for at in range(0, length, step)
    ]
    values = [sum(group) / len(group) if group else None for group in groups]
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(_draw_bar(value, top) for value in values)


def _draw_bar(value: float | None, top: float) -> str:
    if value is None:
        return " "
    return _BARS[round(value / top * (len(_BARS) - 1)) if top > 0 else 0]


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
