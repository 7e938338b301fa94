"""`tocsin rescore`: new or changed topics, applied to all history."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.cli.drift import read_since
from tocsin.cli.screen import make_console
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from flows.rescoring import RescoreReport, RescoreRequest
    from tocsin.settings import Settings


@click.command()
@click.option("--topic", "names", multiple=True, metavar="NAME", help="Only this topic; repeatable.")
@click.option(
    "--topics",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Topics to watch from now on. [default: those in use]",
)
@click.option(
    "--since", callback=read_since, metavar="DAY", help="First day, or how many: 90d. [default: all history]"
)
@click.option("--by-vectors", is_flag=True, help="Read no texts: faster, and less exact.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def rescore(
    *,
    names: tuple[str, ...],
    file: Path | None,
    since: date | int | None,
    by_vectors: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Score all stored articles for the topics anew, from their stored embeddings. Nobody is alerted.

    Older scores are kept, the new ones come into use. Interrupted, the same command completes the work.
    """
    from flows.rescoring import RescoreRequest  # noqa: PLC0415  what loads slowly is loaded when needed
    from models.topics import load_topics  # noqa: PLC0415

    settings = load_settings(data=data)
    chosen = file or settings.topics
    today = datetime.now(UTC).date()
    day = today - timedelta(days=since - 1) if isinstance(since, int) else since
    request = RescoreRequest(load_topics(chosen) if chosen else None, names, day, by_vectors)
    report = _rescore(settings, request)
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _print(report)


def _rescore(settings: Settings, request: RescoreRequest) -> RescoreReport:
    from flows.rescoring import rescore_history  # noqa: PLC0415
    from models.choose import open_encoder  # noqa: PLC0415
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415
    from tocsin.logging import logging_run  # noqa: PLC0415

    db, run_id = Database(history_path(settings.data)), str(uuid.uuid4())
    db.require_history()
    with logging_run(run_id), lock_data_folder(settings.data):
        return rescore_history(
            db,
            request,
            load_encoder=lambda: open_encoder(
                settings.encoder, languages=settings.encoder_languages, setup=settings.encoder_setup
            ),
            run_id=run_id,
            clock=lambda: datetime.now(UTC),
        )


def _print(report: RescoreReport) -> None:
    console = make_console()
    console.print(
        f"{len(report.topics)} topics on {report.articles:,} articles: {report.added:,} scores added "
        f"({report.texts:,} texts read), in {sum(report.seconds.values()):.1f} s. Nobody was alerted."
    )
    for revision, count in sorted(report.left_out.items()):
        of_other = f"their embeddings are of encoder {revision} (see `tocsin reembed`)"
        why = of_other if revision else "they have no embedding"
        console.print(f"{count:,} articles left out: {why}")
    if report.publish_error:
        console.print(f"Not published: {report.publish_error}")
