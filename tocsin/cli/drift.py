"""`tocsin drift`: whether the last days' news differ from those before."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table
from rich.text import Text

from tocsin.cli.screen import make_console
from tocsin.errors import StorageError
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from flows.drift import DriftReport
    from storage.drift import Days
    from tocsin.settings import Settings

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
@click.option(
    "--report",
    is_flag=True,
    help="Tell the operator's channel of the last whole week, once; --since is left aside.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of a table.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def drift(*, since: date | int | None, report: bool, as_json: bool, data: Path | None) -> None:
    """Compare the last days with the four weeks before: scores by topic, languages, outlets.

    A topic is compared only with scores of the same definition, encoder and head.
    """
    from flows.drift import measure_drift  # noqa: PLC0415  what loads slowly is loaded when needed
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path  # noqa: PLC0415

    settings = load_settings(data=data)
    if report:
        found = _tell(settings)
    else:
        days = _days(since or _WEEK, today=datetime.now(UTC).date())
        found = measure_drift(Database(history_path(settings.data)), days)
    if as_json:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _print(found)


def _tell(settings: Settings) -> DriftReport:
    from flows.assemble import operator_channel  # noqa: PLC0415
    from flows.drift import tell_week  # noqa: PLC0415
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415

    path = history_path(settings.data)
    if not path.exists():
        raise StorageError(f"{path}: there is no history yet: run `tocsin monitor` first")
    channel = operator_channel(settings)
    with lock_data_folder(settings.data):
        told = tell_week(Database(path), channel=channel, run_id=str(uuid.uuid4()), now=datetime.now(UTC))
    what = f"waits for the next delivery to {channel}" if told.is_new else "was told before"
    click.echo(f"Week {told.week} {what}: {told.message}", err=True)
    return told.report


def _days(since: date | int, *, today: date) -> Days:
    from flows.drift import REFERENCE_DAYS  # noqa: PLC0415
    from storage.drift import Days  # noqa: PLC0415

    first = today - timedelta(days=since - 1) if isinstance(since, int) else since
    if first > today:
        raise click.BadParameter(f"{first} is in the future", param_hint="--since")
    return Days(first, today, REFERENCE_DAYS)


def _print(report: DriftReport) -> None:
    from flows.drift import describe_move  # noqa: PLC0415

    columns = (Column(name, justify="right") for name in ("before", "now", "index", "noise"))
    table = Table("measure", *columns, "verdict", "what moved most")
    for each in report.found:
        figures = ["-" if value is None else f"{value:.3f}" for value in (each.index, each.noise)]
        what = Text(describe_move(report, each))
        table.add_row(each.measure, f"{each.before:,}", f"{each.now:,}", *figures, each.verdict, what)
    console, days = make_console(), report.days
    console.print(table)
    last = days.since - timedelta(days=1)
    for name, first, to, span in (
        ("now", days.since, days.until, report.now),
        ("before", days.reference_since, last, report.before),
    ):
        console.print(f"{name}: {first} to {to}, {span.articles:,} articles on {span.days} days")
