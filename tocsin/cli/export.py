"""`tocsin export`: articles or matches into a file."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast

import click

from tocsin.cli.drift import read_since
from tocsin.settings import load_settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--what",
    type=click.Choice(["articles", "matches"]),
    help="[default: articles, or matches where a topic is named]",
)
@click.option("--topic", "topics", multiple=True, metavar="NAME", help="Only matches of it; repeatable.")
@click.option("--since", callback=read_since, metavar="DAY", help="First day, or how many: 90d.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def export(
    *, file: Path, what: str | None, topics: tuple[str, ...], since: date | int | None, data: Path | None
) -> None:
    """Write articles, with what was seen of them, or matches to FILE: .parquet, .csv or .jsonl.

    `tocsin import` reads it. Users and passwords of feeds are left out.
    """
    from storage.database import Database  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.exchange import What, choose_format, export_history  # noqa: PLC0415
    from storage.folder import history_path  # noqa: PLC0415

    chosen = what or ("matches" if topics else "articles")
    if topics and chosen != "matches":
        raise click.BadParameter("choose topics among matches only", param_hint="--topic")
    choose_format(file)
    today = datetime.now(UTC).date()
    first = today - timedelta(days=since - 1) if isinstance(since, int) else since
    with Database(history_path(load_settings(data=data).data)).read() as con:
        count = export_history(con, file, cast("What", chosen), topics=topics, since=first)
    click.echo(f"{file}: {count:,} {chosen}")
