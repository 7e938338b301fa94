"""`tocsin drift`: whether the last days' news differ from those before."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Column, Table
from rich.text import Text

from tocsin.cli.screen import make_console
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from models.drift import Drift
    from storage.drift import Days, Span

_REFERENCE_DAYS = 28
_WEEK = 7
_SPAN = re.compile(r"([1-9]\d{0,3})d")


def read_since(ctx: click.Context, parameter: click.Parameter, value: str | None) -> date | int | None:
    """Read a date, or so many days; None if neither was given."""
    del ctx, parameter
    if value is None:
        return None
    if found := _SPAN.fullmatch(value):
        return int(found.group(1))
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is neither a date (2026-01-31) nor days (14d)") from error


@click.command()
@click.option(
    "--since",
    callback=read_since,
    metavar="DAY",
    help="First day, or how many: 14d. [default: 7d]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of a table.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def drift(*, since: date | int | None, as_json: bool, data: Path | None) -> None:
    """Compare the last days with the four weeks before: scores by topic, languages, outlets.

    A topic is compared only with scores of the same definition, encoder and head.
    """
    from models.drift import EDGES  # noqa: PLC0415  what loads slowly is loaded when needed
    from storage.database import Database  # noqa: PLC0415
    from storage.drift import load_spans  # noqa: PLC0415
    from storage.folder import history_path  # noqa: PLC0415

    days = _days(since or _WEEK, today=datetime.now(UTC).date())
    with Database(history_path(load_settings(data=data).data)).read() as con:
        before, now = load_spans(con, days, edges=EDGES)
    found = _judge(before, now)
    if as_json:
        click.echo(json.dumps(_as_json(days, before, now, found), ensure_ascii=False))
    else:
        _print(days, before, now, found)


def _days(since: date | int, *, today: date) -> Days:
    from storage.drift import Days  # noqa: PLC0415

    first = today - timedelta(days=since - 1) if isinstance(since, int) else since
    if first > today:
        raise click.BadParameter(f"{first} is in the future", param_hint="--since")
    return Days(first, today, _REFERENCE_DAYS)


def _judge(before: Span, now: Span) -> list[Drift]:
    from models.drift import Mix, join_rare, judge_mix, name_bins  # noqa: PLC0415

    days = (before.days, now.days)
    mixes = {
        f"scores of {topic}": Mix(name_bins(before.scores[topic]), name_bins(bins))
        for topic, bins in now.scores.items()
    }
    mixes["languages"] = join_rare(Mix(before.languages, now.languages))
    mixes["outlets"] = join_rare(Mix(before.outlets, now.outlets))
    return [judge_mix(name, mix, days=days) for name, mix in mixes.items()]


def _as_json(days: Days, before: Span, now: Span, found: list[Drift]) -> dict[str, Any]:
    measures = [
        {**asdict(each), "matches_before": matched[0], "matches_now": matched[1]}
        for each in found
        for matched in [_matches(each, before, now) or (None, None)]
    ]
    return {
        "reference_since": days.reference_since.isoformat(),
        "since": days.since.isoformat(),
        "until": days.until.isoformat(),
        "articles_before": before.articles,
        "articles_now": now.articles,
        "measures": measures,
    }


def _matches(found: Drift, before: Span, now: Span) -> tuple[int, int] | None:
    topic = found.measure.removeprefix("scores of ")
    return (before.matches[topic], now.matches[topic]) if topic in now.matches else None


def _print(days: Days, before: Span, now: Span, found: list[Drift]) -> None:
    columns = (Column(name, justify="right") for name in ("before", "now", "index", "noise"))
    table = Table("measure", *columns, "verdict", "what moved most")
    for each in found:
        figures = ["-" if value is None else f"{value:.3f}" for value in (each.index, each.noise)]
        what = _say(each, _matches(each, before, now))
        table.add_row(each.measure, f"{each.before:,}", f"{each.now:,}", *figures, each.verdict, Text(what))
    console = make_console()
    console.print(table)
    last = days.since - timedelta(days=1)
    for name, first, to, span in (
        ("now", days.since, days.until, now),
        ("before", days.reference_since, last, before),
    ):
        console.print(f"{name}: {first} to {to}, {span.articles:,} articles on {span.days} days")


def _say(found: Drift, matches: tuple[int, int] | None) -> str:
    """Say in words what moved: the share of matches for a topic, else the groups that moved most."""
    if found.index is None:
        return "cannot be told yet"
    if matches is not None:
        shares = [("matches", matches[0] / found.before, matches[1] / found.now)]
    else:
        shares = [share for share in found.shares if round(share[1], 3) != round(share[2], 3)]
    return ", ".join(f"{name} {before:.1%} → {now:.1%}" for name, before, now in shares)
