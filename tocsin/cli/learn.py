"""`tocsin learn`: whether people's labels make a topic better, and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from tocsin.settings import load_settings


@click.command()
@click.argument("topic")
@click.option("--back", is_flag=True, help="Turn the last decision round, without comparing.")
@click.option("--dry-run", is_flag=True, help="Compare, and leave all as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def learn(*, topic: str, back: bool, dry_run: bool, as_json: bool, data: Path | None) -> None:
    """Compare TOPIC with and without people's labels, and let them count only if that is better.

    Each label is judged by a head that did not see it. What was decided holds from the next run on.
    """
    if back and dry_run:
        raise click.UsageError("--back compares nothing, so there is no --dry-run of it")
    from flows.refit import go_back, learn_topic  # noqa: PLC0415  models load when they are needed

    settings = load_settings(data=data)
    now = datetime.now(UTC)
    if back:
        counts = go_back(settings, topic, now=now)
        said = f"{topic}: labels {'count' if counts else 'do not count'} from the next run on."
        found = {"topic": topic, "counts": counts, "message": said}
    else:
        found = learn_topic(settings, topic, now=now, keep=not dry_run).to_dict()
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else found["message"])
