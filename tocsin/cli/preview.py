"""`tocsin preview`: what a changed topic would have sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.settings import Settings, load_settings

if TYPE_CHECKING:
    from tocsin.types import Topic


@click.command()
@click.option(
    "--topics", "file", type=click.Path(path_type=Path), help="Topics as they would be (YAML or JSON)."
)
@click.option("--topic", "name", metavar="NAME", help="A topic in use, or the name of a new one.")
@click.option(
    "--set",
    "edits",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change a field of --topic, as `tocsin topics set` does; repeatable.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 365),
    default=30,
    show_default=True,
    help="How many days back, today included.",
)
@click.option(
    "--per-day",
    type=click.FloatRange(0, 1000, min_open=True),
    metavar="N",
    help="Suggest the threshold for about so many alerts a day.",
)
@click.option("--no-baseline", is_flag=True, help="Count what came with a feed's first poll too.")
@click.option("--json", "as_json", is_flag=True, help="Print an array with an object per topic.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def preview(  # noqa: PLR0913  click passes every option
    *,
    file: Path | None,
    name: str | None,
    edits: tuple[str, ...],
    days: int,
    per_day: float | None,
    no_baseline: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Show what changed or new topics would have sent over the last days, beside the versions in use.

    Without --topics and --topic: the topics in use, as they are. Nothing is changed and nothing is sent:
    `tocsin topics set` and `import` bring a change into use.
    """
    if (file and name) or (edits and not name):
        raise click.UsageError("Give --topics FILE, or --topic NAME with --set FIELD=VALUE")
    settings = load_settings(data=data)
    from flows.preview_topics import PreviewRequest, preview_topics  # noqa: PLC0415  models load when needed
    from tocsin.cli.preview_text import print_preview  # noqa: PLC0415

    request = PreviewRequest(_read_topics(settings, file, name, edits), days, per_day, not no_baseline)
    found = preview_topics(settings, request, now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps([each.to_dict() for each in found], ensure_ascii=False))
        return
    for each in found:
        print_preview(each)


def _read_topics(
    settings: Settings, file: Path | None, name: str | None, edits: tuple[str, ...]
) -> tuple[Topic, ...] | None:
    from flows.topic_store import recorded_topics  # noqa: PLC0415
    from models.topic_edits import edit_topic  # noqa: PLC0415
    from models.topics import load_topics  # noqa: PLC0415

    if file is not None:
        return load_topics(file)
    if name is None:
        return None
    base = next((topic for topic in recorded_topics(settings) if topic.name == name), None)
    return (edit_topic(base, name, edits),)
