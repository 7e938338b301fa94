"""`tocsin evaluate`: how well the topics score labelled articles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table

from tocsin.cli.screen import make_console
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from models.evaluate import Evaluation

_MEASURES = ("ap", "precision", "recall", "f1")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--topics", type=click.Path(path_type=Path), help="Topics file. [default: the ten topics]")
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of a table.")
def evaluate(*, file: Path, topics: Path | None, as_json: bool) -> None:
    """Score the labelled articles in FILE and report AP, precision, recall and F1 per topic.

    FILE is JSON Lines with `title`, `summary`, `topics` (list of names) and optional `unsure` (names
    that count neither way).
    """
    from models.encode import load_encoder  # noqa: PLC0415  the transformer loads when it is needed
    from models.evaluate import evaluate_file  # noqa: PLC0415
    from models.topics import default_topics, load_topics  # noqa: PLC0415

    chosen = topics or load_settings().topics
    definitions = load_topics(chosen) if chosen else default_topics()
    result = evaluate_file(file, topics=definitions, encoder=load_encoder())
    if as_json:
        click.echo(json.dumps(result.to_json()))
    else:
        _print_table(result)


def _print_table(result: Evaluation) -> None:
    names = ("threshold", "positives", "matches", "AP", "precision", "recall", "F1")
    table = Table("topic", *(Column(name, justify="right") for name in names))
    for topic, figures in result.topics.items():
        counts = (f"{figures.threshold:.2f}", str(figures.positives), str(figures.matches))
        table.add_row(topic, *counts, *(_show(getattr(figures, name)) for name in _MEASURES))
    table.add_section()
    table.add_row("mean", "", "", "", *(_show(result.mean[name]) for name in _MEASURES))
    console = make_console()
    console.print(table)
    console.print(f"{result.articles:,} articles, encoder {result.encoder_revision}")


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
