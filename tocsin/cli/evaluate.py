"""`tocsin evaluate`: how well the topics score labelled articles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from tocsin.settings import load_settings

if TYPE_CHECKING:
    from models.compare import Comparison
    from models.encode import Encoder
    from models.evaluate import Scored
    from models.mistakes import Mistake


class _Options(TypedDict):
    topics: Path | None
    as_json: bool
    with_scores: bool
    plots: Path | None
    compare: Path | None
    errors: int


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--topics", type=click.Path(path_type=Path), help="Topics file. [default: the ten topics]")
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of tables.")
@click.option("--scores", "with_scores", is_flag=True, help="With --json: also every article's scores.")
@click.option("--plots", type=click.Path(path_type=Path), help="Folder for precision-recall plots (PNG).")
@click.option(
    "--compare", type=click.Path(path_type=Path), help="An older --json --scores report of the same FILE."
)
@click.option(
    "--errors",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Worst false alarms, and as many misses, to list per topic.",
)
def evaluate(*, file: Path, **options: Unpack[_Options]) -> None:
    """Score the labelled articles in FILE and report how well each topic does, and how sure that is.

    FILE is JSON Lines with `title`, `summary`, `topics` (list of names) and optional `unsure` (names
    that count neither way).
    """
    from models.choose import open_encoder  # noqa: PLC0415
    from models.compare import compare_runs, read_old_run  # noqa: PLC0415  the transformer loads when needed
    from models.evaluate import score_file  # noqa: PLC0415
    from models.topics import default_topics, load_topics  # noqa: PLC0415

    if options["with_scores"] and not options["as_json"]:
        raise click.UsageError("--scores needs --json")
    settings = load_settings()
    chosen = options["topics"] or settings.topics
    encoder = open_encoder(
        settings.encoder, languages=settings.encoder_languages, setup=settings.encoder_setup
    )
    scored = score_file(file, topics=load_topics(chosen) if chosen else default_topics(), encoder=encoder)
    if settings.cross_encoder is not None:
        scored = _refine(scored, settings.cross_encoder)
    older = options["compare"]
    comparison = compare_runs(read_old_run(older, scored), scored) if older else None
    if options["plots"]:
        _draw(scored, options["plots"])
    mistakes = _find_mistakes(encoder, scored, options["errors"])
    if options["as_json"]:
        click.echo(_as_json(scored, mistakes, comparison, with_scores=options["with_scores"]))
    else:
        _print(scored, mistakes, comparison)


def _refine(scored: Scored, cross_encoder: str) -> Scored:
    from models.evaluate import refine_scored  # noqa: PLC0415
    from models.second_opinion import load_second_reader  # noqa: PLC0415

    return refine_scored(scored, load_second_reader(cross_encoder))


def _find_mistakes(encoder: Encoder, scored: Scored, most: int) -> list[Mistake]:
    from models.mistakes import explain_mistakes, find_mistakes  # noqa: PLC0415

    return explain_mistakes(encoder, scored, find_mistakes(scored, most=most))


def _draw(scored: Scored, folder: Path) -> None:
    from models.report import trace_curves  # noqa: PLC0415
    from tocsin.cli.pr_plots import draw_curves  # noqa: PLC0415

    written = draw_curves(trace_curves(scored), folder)
    click.echo(f"{len(written)} plots in {folder}", err=True)


def _as_json(
    scored: Scored, mistakes: list[Mistake], comparison: Comparison | None, *, with_scores: bool
) -> str:
    from models.report import (  # noqa: PLC0415
        measure_intervals,
        write_comparison,
        write_report,
        write_scores,
    )

    report = write_report(scored.evaluate(), measure_intervals(scored), mistakes)
    if comparison is not None:
        report["comparison"] = write_comparison(comparison)
    if with_scores:
        report["scores"] = write_scores(scored)
    return json.dumps(report, ensure_ascii=False)


def _print(scored: Scored, mistakes: list[Mistake], comparison: Comparison | None) -> None:
    from models.report import measure_intervals  # noqa: PLC0415
    from tocsin.cli.evaluate_tables import print_comparison, print_figures, print_mistakes  # noqa: PLC0415
    from tocsin.cli.screen import make_console  # noqa: PLC0415

    console = make_console()
    print_figures(console, scored.evaluate(), measure_intervals(scored))
    print_mistakes(console, mistakes)
    if comparison is not None:
        print_comparison(console, comparison)
