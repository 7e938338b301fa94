"""`tocsin search`: articles by what they mean, and by their words."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table
from rich.text import Text

from tocsin.cli.drift import read_since
from tocsin.cli.screen import make_console
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from storage.search import Filters, FoundArticle, Question
    from tocsin.settings import Settings


@click.command()
@click.argument("text")
@click.option("--topic", metavar="NAME", help="Only matches of this topic.")
@click.option("--outlet", metavar="NAME", help="Only articles of this outlet.")
@click.option("--since", callback=read_since, metavar="DAY", help="First day, or how many: 90d.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="Last day.")
@click.option("--language", metavar="CODE", help="Only articles in this language, such as en.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="At most so many.")
@click.option(
    "--mode",
    type=click.Choice(["both", "semantic", "words"]),
    default="both",
    show_default=True,
    help="By meaning, by words, or both.",
)
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects instead of a table.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def search(  # noqa: PLR0913  click passes every option
    *,
    text: str,
    topic: str | None,
    outlet: str | None,
    since: date | int | None,
    until: datetime | None,
    language: str | None,
    limit: int,
    mode: str,
    as_json: bool,
    data: Path | None,
) -> None:
    """Find articles in the published history that are about TEXT, best first. No run waits for it."""
    from storage.search import Filters, search_history  # noqa: PLC0415  DuckDB loads when it is needed

    settings = load_settings(data=data)
    today = datetime.now(UTC).date()
    first = today - timedelta(days=since - 1) if isinstance(since, int) else since
    filters = Filters(topic, outlet, language, first, until.date() if until else None)
    found = search_history(settings.data, _ask(settings, text, mode, filters), limit=limit)
    if as_json:
        objects = [asdict(each) for each in found]
        click.echo(json.dumps(objects, ensure_ascii=False, default=lambda value: value.isoformat()))
    else:
        _print(found)


def _ask(settings: Settings, text: str, mode: str, filters: Filters) -> Question:
    from storage.history_file import read_published  # noqa: PLC0415
    from storage.search import Question  # noqa: PLC0415

    if not text.strip():
        raise click.BadParameter("say what to look for", param_hint="TEXT")
    words = text if mode != "semantic" else None
    if mode == "words":
        return Question(words, filters=filters)
    with read_published(settings.data):
        pass  # nothing to search is better said before the encoder loads
    from models.choose import open_encoder  # noqa: PLC0415

    encoder = open_encoder(
        settings.encoder, languages=settings.encoder_languages, setup=settings.encoder_setup
    )
    return Question(words, encoder.embed([text])[0].tolist(), encoder.revision, filters)


def _print(found: list[FoundArticle]) -> None:
    table = Table(
        Column("likeness", justify="right"), Column("words", justify="right"), "seen", "outlet", "article"
    )
    for each in found:
        article = Text(each.title)
        for line in (each.url, f"topics: {', '.join(each.topics)}" if each.topics else None):
            if line:
                article.append(f"\n{line}", style="dim")
        figures = ["" if value is None else f"{value:.2f}" for value in (each.likeness, each.bm25)]
        table.add_row(*figures, f"{each.first_seen_at:%Y-%m-%d}", Text(each.outlet), article)
    console = make_console()
    if found:
        console.print(table)
    console.print(f"{len(found):,} article{'' if len(found) == 1 else 's'}")
