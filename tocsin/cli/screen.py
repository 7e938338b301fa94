"""What a person sees on the terminal while a run works, and after it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from flows.report import RunReport


def make_console(*, stderr: bool = False) -> Console:
    """Make a console as wide as the terminal, or wide enough for a file or a pipe."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = 140
    return console


class Bars:
    """Progress bars of a run's steps and the alerts that go to the console; see `flows.display`."""

    def __init__(self, progress: Progress, alerts: Console) -> None:
        self._progress = progress
        self.alerts = alerts
        self._tasks: dict[str, TaskID] = {}
        self._opening = progress.add_task("Starting Prefect", total=None)

    def start_step(self, step: str, total: int) -> None:
        """Show a step, or add to its total."""
        self._progress.update(self._opening, visible=False)
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=0)
        task = self._progress.tasks[self._progress.task_ids.index(self._tasks[step])]
        self._progress.update(task.id, total=(task.total or 0) + total)

    def advance_step(self, step: str) -> None:
        """Move a step's bar by one part."""
        self._progress.advance(self._tasks[step])

    def move_step(self, step: str, done: int) -> None:
        """Move a step's bar to `done` parts."""
        self._progress.update(self._tasks[step], completed=done)


@contextmanager
def show_bars(*, alerts_to_stderr: bool) -> Iterator[Bars]:
    """Show progress bars on stderr while the block runs; alerts go to stdout unless told otherwise."""
    screen = make_console(stderr=True)
    separate = not (alerts_to_stderr or sys.stdout.isatty())
    alerts = make_console() if separate else screen
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, redirect_stdout=False, redirect_stderr=False) as progress:
        yield Bars(progress, alerts)


def print_report(report: RunReport, console: Console) -> None:
    """Print what a run did, what failed, where the history is and what to ask it."""
    console.print(_counts(report))
    if report.matches:
        console.print(_matches(report))
    if report.failures:
        console.print(_failures(report))
    for error in report.delivery_errors:
        console.print(Text(f"Not delivered: {error}", style="red"))
    if report.publish_error:
        console.print(Text(f"Not published: {report.publish_error}", style="yellow"))
    console.print(_where_next(report))


def _counts(report: RunReport) -> Table:
    table = Table.grid(padding=(0, 2))
    asked = f"{report.fetched} fetched, {report.not_modified} not modified, {report.failed} failed"
    waiting = f", {report.not_due} not due yet" if report.not_due else ""
    alerts = report.alerts
    rows = {
        "feeds": f"{report.feeds:,} ({asked}{waiting})",
        "entries": f"{report.entries:,}",
        "new articles": f"{report.new_articles:,}",
        "alerts": f"{alerts.decided:,} decided, {alerts.delivered:,} delivered, {alerts.pending:,} pending",
    }
    if report.heads:
        rows["scored by"] = ", ".join(report.heads) + _roughly(report.heads)
    if report.refined:
        rows["refined"] = f"{report.refined:,} doubtful scores, by the cross-encoder"
    if report.unscored:
        rows["not scored"] = f"{report.unread}: the encoder does not cover their language"
    if report.full_texts or report.full_text_failures:
        missing = sum(report.full_text_failures.values())
        rows["full texts"] = f"{report.full_texts:,} read, {missing:,} not to be had"
    if alerts.failed:
        rows["alerts"] += f", {alerts.failed:,} refused"
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), value)
    return table


def _roughly(heads: list[str]) -> str:
    is_plain = any(head.startswith("plain-") for head in heads)
    return " (rough: no head was fitted for this encoder)" if is_plain else ""


def _matches(report: RunReport) -> Table:
    table = Table(
        "topic", Column("matches", justify="right"), title="Matches among new articles", title_justify="left"
    )
    for topic, count in report.matches.items():
        table.add_row(topic, str(count))
    return table


def _failures(report: RunReport) -> Text:
    lines = Text("Feeds that failed", style="bold")
    for failure in report.failures:
        again = f" (tried again after {failure.next_poll_at})" if failure.next_poll_at else ""
        lines.append(f"\n  {failure.feed}\n    {failure.message}{again}", style="not bold")
    return lines


def _where_next(report: RunReport) -> Text:
    if report.dry_run:
        return Text("Dry run: nothing was kept.", style="bold")
    folder = Path(report.database).parent
    option = "" if folder == Path("data").absolute() else f" --data {shlex.quote(str(folder))}"
    query = "SELECT topic, count(*) AS matches FROM matches GROUP BY topic ORDER BY matches DESC"
    return Text.assemble(
        ("history   ", "bold"),
        report.database,
        "\n",
        ("try next  ", "bold"),
        f'{_program()} sql "{query}"{option}',
    )


def _program() -> str:
    """Give the command as this person can type it: by name if it is on the path, else as it was called."""
    return "tocsin" if shutil.which("tocsin") else sys.argv[0]
