"""What `tocsin evaluate` shows on the terminal: figures, worst errors, and differences from an older run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from models.compare import Change, Comparison, Difference
    from models.evaluate import Evaluation
    from models.mistakes import Mistake
    from models.report import Intervals
    from tocsin.types import Reason

_LABELS = {"ap": "AP", "f1": "F1", "brier": "Brier", "ece": "ECE"}
_NAMES = {name: _LABELS.get(name, name) for name in ("ap", "precision", "recall", "f1", "brier", "ece")}
_KINDS = {"false_alarm": "false alarm", "miss": "miss"}
_MOST_CHANGES = 30


def print_figures(console: Console, evaluation: Evaluation, intervals: Intervals) -> None:
    """Print a row for each topic, and the means; each figure over its 95 % interval."""
    counts = ("threshold", "positives", "matches")
    table = Table("topic", *(Column(name, justify="right") for name in (*counts, *_NAMES.values())))
    for topic, figures in evaluation.topics.items():
        found = [_with_interval(getattr(figures, name), intervals.topics[topic][name]) for name in _NAMES]
        table.add_row(topic, f"{figures.threshold:.2f}", str(figures.positives), str(figures.matches), *found)
    table.add_section()
    means = [_with_interval(evaluation.mean[name], intervals.mean[name]) for name in _NAMES]
    table.add_row("mean", "", "", "", *means)
    console.print(table)
    console.print(
        f"{evaluation.articles:,} articles, encoder {evaluation.encoder_revision}. "
        "Below each figure: 95 % interval over 1,000 resamples of the articles."
    )


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> Text:
    text = Text("-" if value is None else f"{value:.3f}")
    if value is not None and interval is not None:
        text.append(f"\n{interval[0]:.2f}–{interval[1]:.2f}", style="dim")  # noqa: RUF001  a range
    return text


def print_mistakes(console: Console, mistakes: Sequence[Mistake]) -> None:
    """Print the worst errors, and below each headline what spoke for the topic."""
    if not mistakes:
        return
    table = Table("topic", "error", Column("score", justify="right"), "headline", title="Worst errors")
    for mistake in mistakes:
        shown = Text(mistake.title)
        if mistake.reason is not None:
            shown.append(_why(mistake.reason, mistake.title), style="dim")
        table.add_row(mistake.topic, _KINDS[mistake.kind], f"{mistake.score:.2f}", shown)
    console.print(table)


def _why(reason: Reason, title: str) -> str:
    lines = [reason.sentence] if reason.sentence != title else []
    if reason.words:
        lines.append(f"words: {', '.join(reason.words)}")
    if reason.likeness is not None:
        lines.append(f"nearest example ({reason.likeness:.2f}): {reason.example}")
    return "".join(f"\n{line}" for line in lines if line)


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print what moved against the older run; a star marks what is clear of chance."""
    before = comparison.before
    table = Table(
        "topic",
        *(Column(name, justify="right") for name in _NAMES.values()),
        title=f"Now less before (encoder {before.encoder_revision})",
    )
    for topic, differences in comparison.topics.items():
        table.add_row(topic, *(_moved(differences[name]) for name in _NAMES))
    table.add_section()
    table.add_row("mean", *(_moved(comparison.mean[name]) for name in _NAMES))
    console.print(table)
    console.print("* the paired 95 % interval leaves out 0")
    if comparison.changes:
        _print_changes(console, comparison.changes)
    else:
        console.print("No verdict changed.")


def _moved(difference: Difference) -> Text:
    if difference.before is None or difference.now is None:
        return Text("-")
    text = Text(f"{difference.now - difference.before:+.3f}{'*' if difference.is_clear else ' '}")
    if difference.interval is not None:
        low, high = difference.interval
        text.append(f"\n{low:+.2f} … {high:+.2f}", style="dim")
    return text


def _print_changes(console: Console, changes: Sequence[Change]) -> None:
    table = Table(
        "topic",
        "verdict now",
        Column("before", justify="right"),
        Column("now", justify="right"),
        "headline",
        title=f"Changed verdicts: {len(changes)}",
    )
    for change in changes[:_MOST_CHANGES]:
        verdict = "match" if change.is_match else "no match"
        right = {True: ", right", False: ", wrong", None: ", unsure"}[change.is_right]
        scores = (f"{change.before:.2f}", f"{change.now:.2f}")
        table.add_row(change.topic, verdict + right, *scores, Text(change.title))
    console.print(table)
    if len(changes) > _MOST_CHANGES:
        console.print(f"… and {len(changes) - _MOST_CHANGES} more: --json lists them all")
