"""`tocsin report`: the history of some weeks as one page that needs nothing but a browser."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from tocsin.cli.drift import read_since
from tocsin.errors import SettingsError
from tocsin.settings import load_settings

_DAYS = 91


@click.command()
@click.option(
    "--html",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Write the page here, in place of what is there.",
)
@click.option(
    "--since", callback=read_since, metavar="DAY", help="First day, or how many: 90d. [default: 91d]"
)
@click.option("--title", default="News report", show_default=True, help="Title of the page.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def report(*, path: Path, since: date | int | None, title: str, data: Path | None) -> None:
    """Write one page that works offline: trends by topic, outlets, weeks, top stories, feeds, alerts."""
    from storage.history_file import read_published  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.report import load_report  # noqa: PLC0415
    from tocsin.cli.report_page import make_page  # noqa: PLC0415

    now = datetime.now(UTC)
    first = since if isinstance(since, date) else now.date() - timedelta(days=(since or _DAYS) - 1)
    with read_published(load_settings(data=data).data) as con:
        facts = load_report(con, since=first, until=now.date())
    page = make_page(facts, title=title, now=now)
    _write(path, page)
    click.echo(f"{path}: {first} to {now.date()}, {len(page.encode()) // 1024} kB")


def _write(path: Path, page: str) -> None:
    """Write the file in one step: who has the old one open keeps a whole page."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(page, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise SettingsError(f"{path}: cannot be written ({error.strerror})") from error
