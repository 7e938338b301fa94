"""A preview on the terminal: counts, bars by day, and the articles that a change is about."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from flows.preview_report import TopicPreview, WouldBe, say_suggestion, say_why
from tocsin.cli.screen import make_console


def print_preview(found: TopicPreview) -> None:
    """Print what a topic would have sent, beside the version in use."""
    console = make_console()
    console.print(Text(f"{found.topic}  {found.headline}", style="bold"))
    console.print(_counts(found))
    console.print(Text("\n".join(found.draw_days())))
    for title, articles in found.sections():
        _print_articles(console, title, articles)
    if found.suggestion is not None:
        console.print(Text(f"{say_suggestion(found.suggestion)}.", style="bold"))
    console.print(Text(f"{_basis(found)}\n"))


def _counts(found: TopicPreview) -> Table:
    right = [Column(name, justify="right") for name in ("threshold", "alerts", "a day")]
    table = Table("", "version", *right)
    for name, sent in (("░ in use", found.before), ("█ changed", found.after)):
        if sent is not None:
            figures = (f"{sent.threshold:.3f}", f"{sent.alerts:,}", f"{sent.per_day:.2f}")
            table.add_row(name, sent.version, *figures)
    return table


def _print_articles(console: Console, title: str, articles: Sequence[WouldBe]) -> None:
    if not articles:
        return
    table = Table(
        Column("score", justify="right"),
        Column("before", justify="right"),
        "day",
        "outlet",
        "headline",
        title=title,
        title_justify="left",
    )
    for each in articles:
        before = "" if each.score_before is None else f"{each.score_before:.3f}"
        headline = Text.assemble(each.title, (f"  {say_why(each)}" if each.why else "", "dim"))
        table.add_row(f"{each.score:.3f}", before, each.first_seen_at[:10], Text(each.outlet), headline)
    console.print(table)


def _basis(found: TopicPreview) -> str:
    if found.from_scores:
        return f"From the stored scores of {found.articles:,} articles."
    return f"From the vectors of {found.articles:,} articles, {found.read:,} of them read again."
