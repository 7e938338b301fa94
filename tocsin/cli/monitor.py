"""`tocsin monitor`: the main job, once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from tocsin.logging import configure_logging
from tocsin.settings import export_prefect_defaults, load_settings


@click.command()
@click.option(
    "--feeds", multiple=True, metavar="FILE_OR_URL", help="OPML file, text file or feed URL; repeatable."
)
@click.option("--topics", type=click.Path(path_type=Path), help="Topics file (YAML or JSON).")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
@click.option("--no-baseline", is_flag=True, help="Alert on a feed's first poll too.")
@click.option("--now", "poll_all", is_flag=True, help="Poll also the feeds that are not due yet.")
@click.option("--dry-run", is_flag=True, help="Keep nothing; print the alerts that would be sent.")
@click.option(
    "--sensitivity",
    type=click.Choice(["fewer", "balanced", "more"]),
    help="Of topics that say nothing themselves. [default: TOCSIN_SENSITIVITY]",
)
@click.option(
    "--quiet-hours", metavar="HOURS", help="As in 22:00-07:00, or off. [default: TOCSIN_QUIET_HOURS]"
)
@click.option("--time-zone", metavar="ZONE", help="As in Europe/Berlin. [default: TOCSIN_TIME_ZONE]")
@click.option(
    "--max-age-days",
    type=click.IntRange(0, 3650),
    help="An article dated more days ago rings nobody. [default: TOCSIN_MAX_AGE_DAYS]",
)
@click.option("--full-text", is_flag=True, help="Fetch the pages of new articles too, and keep their text.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one object as the last line; alerts go to stderr."
)
@click.option("--verbose", "-v", is_flag=True, help="Show the log on the screen.")
def monitor(  # noqa: PLR0913  click passes every option
    *,
    feeds: tuple[str, ...],
    topics: Path | None,
    data: Path | None,
    no_baseline: bool,
    poll_all: bool,
    dry_run: bool,
    sensitivity: str | None,
    quiet_hours: str | None,
    time_zone: str | None,
    max_age_days: int | None,
    full_text: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Poll feeds, score every new article for the topics, store it, and deliver alerts. Once.

    Without --feeds: the followed ones (`tocsin feeds`), else those of TOCSIN_FEEDS, else the sample newsroom.
    """
    from flows.form import overrides_of  # noqa: PLC0415  without Prefect, and not for --help

    asked = overrides_of(sensitivity=sensitivity, quiet_hours=quiet_hours, time_zone=time_zone)
    settings = load_settings(data=data, **asked)
    configure_logging(settings.data, level=settings.log_level, verbose=verbose)
    export_prefect_defaults(settings)
    # Prefect, DuckDB and the transformer load here: after the environment is set, and not for --help.
    from flows.assemble import Request, check_request  # noqa: PLC0415
    from flows.display import showing  # noqa: PLC0415
    from flows.monitor import monitor as monitor_flow  # noqa: PLC0415
    from flows.under_prefect import without_heartbeat  # noqa: PLC0415
    from models.topics import load_topics  # noqa: PLC0415
    from tocsin.cli.screen import make_console, print_report, show_bars  # noqa: PLC0415

    request = Request(
        topics=load_topics(topics) if topics else None,
        feeds=feeds or None,
        baseline=not no_baseline,
        poll_all=poll_all,
        dry_run=dry_run,
        full_text=full_text,
        max_age_days=max_age_days,
    )
    check_request(settings, request)
    with show_bars(alerts_to_stderr=as_json) as bars, showing(bars), without_heartbeat():
        report = monitor_flow(
            topics=tuple(request.topics or ()),
            feeds=feeds,
            sensitivity=settings.sensitivity,
            quiet_hours=quiet_hours or "",
            time_zone=time_zone or "",
            full_text=full_text,
            dry_run=dry_run,
            poll_all=poll_all,
            baseline=request.baseline,
            max_age_days=max_age_days,
            data=settings.data,
        )
    print_report(report, make_console(stderr=as_json))
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False))
    sys.exit(0 if report.succeeded else 1)
