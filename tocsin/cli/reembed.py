"""`tocsin reembed`: another encoder for all history, while runs go on."""

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
    from flows.reembedding import ReembedReport, ReembedRequest
    from tocsin.settings import Settings

WAIT = timedelta(minutes=10)  # for a run that works in the folder: nobody waits for this command


@click.command()
@click.option(
    "--encoder", metavar="NAME", help="Folder, or owner/name@commit. [default: TOCSIN_ENCODER, else shipped]"
)
@click.option(
    "--since", callback=read_since, metavar="DAY", help="First day, or how many: 90d. [default: all history]"
)
@click.option("--limit", type=click.IntRange(min=1), help="So many articles at most, the newest first.")
@click.option("--drop-others", is_flag=True, help="When none is left, remove what others made of them.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def reembed(
    *,
    encoder: str | None,
    since: date | int | None,
    limit: int | None,
    drop_others: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Embed stored articles that an encoder has not embedded yet, newest first, while runs go on.

    Scores stay in use until `tocsin rescore`. Interrupted, the same command completes the work.
    """
    from flows.reembedding import ReembedRequest  # noqa: PLC0415  what loads slowly is loaded when needed

    settings = load_settings(data=data)
    if encoder is not None:
        settings = settings.model_copy(update={"encoder": encoder})
    today = datetime.now(UTC).date()
    day = today - timedelta(days=since - 1) if isinstance(since, int) else since
    report = _reembed(settings, ReembedRequest(day, limit, drop_others))
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _print(report)


def _reembed(settings: Settings, request: ReembedRequest) -> ReembedReport:
    from flows.chosen import open_chosen_encoder  # noqa: PLC0415
    from flows.reembedding import Place, reembed_history  # noqa: PLC0415
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415
    from tocsin.logging import logging_run  # noqa: PLC0415

    db, run_id = Database(history_path(settings.data)), str(uuid.uuid4())
    db.require_history()
    with logging_run(run_id):
        return reembed_history(
            Place(db, lambda: lock_data_folder(settings.data, wait=WAIT)),
            open_chosen_encoder(settings.encoder, settings.encoder_languages, settings.encoder_setup),
            request,
            run_id=run_id,
            clock=lambda: datetime.now(UTC),
        )


def _print(report: ReembedReport) -> None:
    console = make_console()
    seconds = report.seconds["embed"]
    console.print(f"{report.embedded:,} articles embedded by {report.encoder_revision} in {seconds:.1f} s.")
    if report.left:
        console.print(f"{report.left:,} articles left: the same command goes on with them.")
    if report.uncovered:
        console.print(f"{report.uncovered:,} articles are in languages that this encoder does not cover.")
    if report.dropped:
        console.print(f"{report.dropped:,} embeddings by other encoders removed.")
    for revision, count in report.stored.items():
        console.print(f"  {revision}: {count:,} embeddings")
    if report.embedded:
        console.print("Scores are as they were: `tocsin rescore` scores by these embeddings.")
    if report.publish_error:
        console.print(f"Not published: {report.publish_error}")
