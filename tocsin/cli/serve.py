"""`tocsin serve`: the main job day and night, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from tocsin.cli.signals import stop_on_signals
from tocsin.logging import configure_logging
from tocsin.settings import Settings, export_prefect_defaults, load_settings


@click.command()
@click.option(
    "--feeds", multiple=True, metavar="FILE_OR_URL", help="OPML file, text file or feed URL; repeatable."
)
@click.option("--topics", type=click.Path(path_type=Path), help="Topics file (YAML or JSON).")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
@click.option("--no-baseline", is_flag=True, help="Alert on a feed's first poll too.")
@click.option("--full-text", is_flag=True, help="Fetch the pages of new articles too, and keep their text.")
@click.option(
    "--at-least-every",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Look for new work this often, whatever is due.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="Answer Prometheus on this port of 127.0.0.1. [default: not at all]",
)
@click.option("--verbose", "-v", is_flag=True, help="Show the log on the screen.")
def serve(  # noqa: PLR0913  click passes every option
    *,
    feeds: tuple[str, ...],
    topics: Path | None,
    data: Path | None,
    no_baseline: bool,
    full_text: bool,
    at_least_every: int,
    metrics_port: int | None,
    verbose: bool,
) -> None:
    """Run `monitor` whenever a feed or an alert is due, until stopped (Ctrl-C or SIGTERM).

    A run that has begun is finished first; a second Ctrl-C ends it, and the next run completes the work.
    """
    settings = load_settings(data=data)
    configure_logging(settings.data, level=settings.log_level, verbose=verbose)
    export_prefect_defaults(settings)
    from flows.assemble import Request, check_request, due_times, require_feeds  # noqa: PLC0415
    from flows.listen import listening  # noqa: PLC0415
    from flows.monitor import monitor as monitor_flow  # noqa: PLC0415
    from flows.serve import serve_runs  # noqa: PLC0415
    from flows.under_prefect import without_heartbeat  # noqa: PLC0415
    from models.topics import load_topics  # noqa: PLC0415

    chosen = load_topics(topics) if topics else None
    request = Request(topics=chosen, feeds=feeds or None, baseline=not no_baseline, full_text=full_text)
    check_request(settings, request)
    require_feeds(settings, request)

    def run_once() -> None:
        report = monitor_flow(
            topics=chosen or (),
            feeds=feeds,
            baseline=request.baseline,
            full_text=full_text,
            data=settings.data,
        )
        if report.did_anything:
            click.echo(report.to_line())

    stopping = stop_on_signals()
    # Once for all runs: Prefect reads all its settings anew for it, which takes as long as four of its tasks.
    with (
        without_heartbeat(),
        listening(settings, clock=_now) as has_buttons,
        _answering(settings, metrics_port),
    ):
        click.echo(f"Serving{', and listening to buttons' if has_buttons else ''}; stop with Ctrl-C.")
        serve_runs(
            run_once,
            lambda: due_times(settings, request),
            wait=lambda pause: not stopping.wait(pause.total_seconds()),
            clock=_now,
            at_least_every=timedelta(seconds=at_least_every),
        )


@contextmanager
def _answering(settings: Settings, port: int | None) -> Iterator[None]:
    """Answer Prometheus while serving, if that was asked for."""
    if port is None:
        yield
        return
    from flows.status import serving_metrics  # noqa: PLC0415
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path  # noqa: PLC0415
    from storage.status import StatusFacts, load_status  # noqa: PLC0415

    db = Database(history_path(settings.data))

    def load() -> StatusFacts:
        with db.read() as con:
            return load_status(con, _now())

    with serving_metrics(load, port) as taken:
        click.echo(f"Metrics: http://127.0.0.1:{taken}/metrics")
        yield


def _now() -> datetime:
    return datetime.now(UTC)
