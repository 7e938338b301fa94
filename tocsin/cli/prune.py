"""`tocsin prune`: what is old goes; what was seen, told or labelled stays, and trends keep their counts."""

from __future__ import annotations

import json
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.cli.backup import LONGEST_WAIT
from tocsin.cli.screen import make_console
from tocsin.errors import SettingsError
from tocsin.logging import configure_logging
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from flows.retention import RetentionReport

_KINDS = ("articles", "texts", "embeddings", "scores", "fetches", "decisions")


@click.command()
@click.option(
    "--older-than", metavar="AGE", help="Such as 400d, 60w or 2y. [default: TOCSIN_PRUNE_OLDER_THAN]"
)
@click.option("--keep-matches", is_flag=True, help="Keep articles that matched a topic.")
@click.option(
    "--what",
    multiple=True,
    type=click.Choice(_KINDS),
    help="What goes; repeatable. [default: articles, scores, fetches, decisions]",
)
@click.option("--dry-run", is_flag=True, help="Count only; keep everything.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def prune(
    *,
    older_than: str | None,
    keep_matches: bool,
    what: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Remove what is older than an age, give the room back to the disk, and publish.

    Old entries never come back as news, alerts and labels stay with their articles, and trends say the same.
    """
    from flows.retention import prune_history, read_order  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415

    settings, now = load_settings(data=data), datetime.now(UTC)
    age = older_than or settings.prune_older_than
    if age is None:
        raise SettingsError("--older-than: say what is old, such as 2y; or set TOCSIN_PRUNE_OLDER_THAN")
    order = read_order(age, now, what=what, keep_matches=keep_matches)
    database = Database(history_path(settings.data))
    database.require_history()
    configure_logging(settings.data, level=settings.log_level)
    with lock_data_folder(settings.data, wait=LONGEST_WAIT):
        report = prune_history(database, order, run_id=str(uuid.uuid4()), now=now, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(report.to_dict()))
    else:
        _print(report)
    sys.exit(1 if report.publish_error or report.compact_error else 0)


def _print(report: RetentionReport) -> None:
    removed = [f"{count:,} {table}" for table, count in report.removed.items() if count]
    if report.texts:
        removed.append(f"the texts of {report.texts:,} articles that stay")
    verb = "would go" if report.dry_run else "removed"
    lines = [f"Before {report.before:%Y-%m-%d}: {', '.join(removed) or 'nothing'} {verb}."]
    if not report.dry_run:
        lines.append(f"Live history: {report.bytes_before:,} bytes before, {report.bytes_after:,} after.")
    for what, error in (("NOT COMPACTED", report.compact_error), ("NOT PUBLISHED", report.publish_error)):
        if error:
            lines.append(f"{what}: {error}")
    make_console().print("\n".join(lines))
