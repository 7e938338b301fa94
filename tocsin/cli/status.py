"""`tocsin status`: whether all is well, what is wrong, and what to do."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from tocsin.errors import StorageError
from tocsin.settings import load_settings

_MARKS = {"good": "ok     ", "problem": "PROBLEM"}


@click.command()
@click.option("--quiet", is_flag=True, help="Print problems only.")
@click.option(
    "--max-age",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    metavar="MINUTES",
    help="A run must have succeeded within this time.",
)
@click.option("--alive", is_flag=True, help="Look at runs only, as a probe should.")
@click.option(
    "--tell", is_flag=True, help="Look at runs only, and tell the operator's channel once if they stopped."
)
@click.option("--metrics", is_flag=True, help="Print the facts in Prometheus' text format instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of lines.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def status(  # noqa: PLR0913  click passes every option
    *,
    quiet: bool,
    max_age: int,
    alive: bool,
    tell: bool,
    metrics: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Say in one screen whether runs, feeds, alerts and channels are well. Exit code 1: something is not."""
    from flows.status import Finding, judge_status, render_metrics  # noqa: PLC0415
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path  # noqa: PLC0415
    from storage.status import load_status  # noqa: PLC0415

    now = datetime.now(UTC)
    try:
        with Database(history_path(load_settings(data=data).data)).read() as con:
            facts = load_status(con, now)
    except StorageError as error:
        found = [Finding("history", "problem", str(error))]
        if metrics:
            raise
    else:
        if metrics:
            click.echo(render_metrics(facts), nl=False)
            return
        found = judge_status(facts, now=now, max_age=timedelta(minutes=max_age))
    if tell:
        _tell(data, timedelta(minutes=max_age))
    if alive or tell:
        found = [each for each in found if each.subject in {"history", "runs"}]
    is_well = all(each.level == "good" for each in found)
    if as_json:
        value = {"is_well": is_well, "findings": [asdict(each) for each in found]}
        click.echo(json.dumps(value, ensure_ascii=False))
    else:
        shown = [each for each in found if not quiet or each.level == "problem"]
        for each in shown:
            click.echo(f"{_MARKS[each.level]}  {each.subject}: {each.text}")
    sys.exit(0 if is_well else 1)


def _tell(data: Path | None, max_age: timedelta) -> None:
    """Let the operator know, once an episode; what keeps it from arriving goes to stderr."""
    from flows.silence import Tools, tell_silence  # noqa: PLC0415  Slack's client loads when it is needed

    watch = tell_silence(load_settings(data=data), Tools(clock=lambda: datetime.now(UTC)), max_age=max_age)
    if watch.error:
        click.echo(f"The operator could not be told: {watch.error}", err=True)
