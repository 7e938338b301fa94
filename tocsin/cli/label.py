"""`tocsin label`: a person's yes or no on the articles that a topic is least sure of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.errors import SettingsError
from tocsin.settings import Settings, load_settings

if TYPE_CHECKING:
    from storage.hand_labels import Question

_LONGEST = 400


@click.command()
@click.argument("topic")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many articles at most.",
)
@click.option(
    "--export",
    "to_file",
    type=click.Path(path_type=Path),
    help="Write them to this CSV file instead of asking.",
)
@click.option(
    "--import", "from_file", type=click.Path(path_type=Path), help="Read the answers of such a file."
)
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def label(*, topic: str, limit: int, to_file: Path | None, from_file: Path | None, data: Path | None) -> None:
    """Ask about the articles that TOPIC is least sure of, one by one: y, n, s (skip), u (undo), q (quit).

    Answers are kept when you are through or quit, also with Ctrl-C. `tocsin learn` says what they are worth.
    """
    if to_file and from_file:
        raise click.UsageError("Give --export or --import, not both")
    from flows.hand_labels import find_questions, write_table  # noqa: PLC0415  DuckDB loads when needed

    settings = load_settings(data=data)
    if to_file is not None:
        _write(to_file, write_table(settings, topic, limit=limit))
    elif from_file is not None:
        _import(settings, topic, from_file)
    else:
        _keep(settings, topic, _ask_all(find_questions(settings, topic, limit=limit)))


def _ask_all(questions: list[Question]) -> dict[int, bool]:
    """Ask one question after the other; what was answered comes back also if the person breaks off."""
    answers: dict[int, bool] = {}
    place = 0
    try:
        while place < len(questions):
            said = _ask(questions[place], f"{place + 1}/{len(questions)}")
            if said == "q":
                break
            if said == "u":
                place = max(place - 1, 0)
                answers.pop(questions[place].article_id, None)
                continue
            if said in {"y", "n"}:
                answers[questions[place].article_id] = said == "y"
            place += 1
    except click.Abort:
        click.echo()
    if not questions:
        click.echo("There is no scored article of it that nobody judged yet.")
    return answers


def _ask(question: Question, place: str) -> str:
    click.echo(f"\n{place}  score {question.score:.3f}  {question.outlet}  {question.first_seen_at:%Y-%m-%d}")
    click.echo(f"  {question.title}")
    if question.summary:
        click.echo(f"  {question.summary[:_LONGEST]}")
    choice = click.Choice(["y", "n", "s", "u", "q"], case_sensitive=False)
    said: str = click.prompt("relevant?", type=choice, default="s")
    return said.lower()


def _keep(settings: Settings, topic: str, answers: dict[int, bool]) -> None:
    from flows.hand_labels import keep_answers  # noqa: PLC0415
    from storage.hand_labels import HandLabel  # noqa: PLC0415

    labels = [HandLabel(article_id, topic, said) for article_id, said in answers.items()]
    added, removed = keep_answers(settings, labels, now=datetime.now(UTC))
    click.echo(f"{added} labels added, {removed} taken back.")


def _import(settings: Settings, topic: str, file: Path) -> None:
    from flows.hand_labels import keep_answers, read_table  # noqa: PLC0415
    from flows.topic_store import find_topic, recorded_topics  # noqa: PLC0415

    find_topic(recorded_topics(settings), topic)
    added, removed = keep_answers(settings, read_table(file, topic), now=datetime.now(UTC))
    click.echo(f"{added} labels added, {removed} taken back.")


def _write(file: Path, document: str) -> None:
    try:
        file.write_text(document, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written ({error.strerror})") from error
    click.echo(f"{document.count(chr(10)) - 1} lines written to {file}", err=True)
