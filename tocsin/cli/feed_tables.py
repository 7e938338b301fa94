"""Feeds as a person or a program reads them: lists, health, and the findings of a check. No credentials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from rich.table import Column, Table
from rich.text import Text

from flows.check_findings import Contents, FeedCheck, IdField, InHistory, NextPoll, Transfer, span
from flows.feeds.urls import without_credentials
from storage.following import FeedHealth, Followed
from tocsin.cli.screen import make_console

_SEVERITIES = {"hard": 0, "soft": 1, "temporary": 2}
_CALM = {"new": 1, "ok": 2}
_STYLES = {"ok": "green", "new": ""}


def print_followed(followed: Sequence[Followed]) -> None:
    """Print the followed feeds as a table."""
    if not followed:
        click.echo("No feed is followed here; follow one with `tocsin feeds add`.")
        return
    table = Table("title", "outlet", "folder", Column("URL", overflow="fold"), header_style="bold")
    for each in followed:
        feed = each.feed
        table.add_row(*map(_text, (feed.title, feed.outlet, feed.folder, without_credentials(feed.url))))
    console = make_console()
    console.print(table)
    console.print(f"{len(followed):,} feed{'' if len(followed) == 1 else 's'}")


def followed_to_json(followed: Followed) -> dict[str, object]:
    """Give a followed feed as one object of `tocsin feeds list --json`."""
    feed = followed.feed
    return {
        "url": without_credentials(feed.url),
        "title": feed.title,
        "outlet": feed.outlet,
        "folder": feed.folder,
        "followed_at": followed.followed_at.isoformat(),
        "has_credentials": without_credentials(feed.url) != feed.url,
    }


def worst_first(rows: Iterable[FeedHealth]) -> list[FeedHealth]:
    """Order feeds by how much they need a person: failing (severity, then failures), new, good."""

    def order(each: FeedHealth) -> tuple[int, int, int, str]:
        severity = _SEVERITIES.get(each.last_severity or "", 3)
        return _CALM.get(each.health, 0), severity, -each.failures, each.url

    return sorted(rows, key=order)


def print_health(rows: Sequence[FeedHealth]) -> None:
    """Print how feeds fare as a table, in the order given."""
    if not rows:
        click.echo("The history has no feed yet; follow one with `tocsin feeds add`.")
        return
    columns = ("health", Column("failures", justify="right"), Column("feed", overflow="fold"))
    table = Table(*columns, Column("last message", ratio=1), "next poll", header_style="bold")
    for each in rows:
        url = without_credentials(each.url)
        name = f"{each.title}\n{url}" if each.title else url
        style = _STYLES.get(each.health, "red")
        due = _moment(each.next_poll_at) if each.next_poll_at else "next run"
        message = without_credentials(each.last_message or "")
        table.add_row(Text(each.health, style), str(each.failures), _text(name), _text(message), due)
    console = make_console()
    console.print(table)
    bad = sum(each.health not in _CALM for each in rows)
    console.print(f"{len(rows):,} feed{'' if len(rows) == 1 else 's'}, {bad:,} failing")


def health_to_json(row: FeedHealth) -> dict[str, object]:
    """Give a feed's health as one object of `tocsin feeds health --json`."""
    shown = {"url": without_credentials(row.url), "last_message": without_credentials(row.last_message or "")}
    values: dict[str, object] = _plain(asdict(row))
    return values | shown | {"last_message": shown["last_message"] or None}


def check_to_json(found: FeedCheck) -> dict[str, object]:
    """Give the findings of a check as one object; times are ISO 8601."""
    values: dict[str, object] = _plain(asdict(found))
    return values


def print_check(found: FeedCheck) -> None:
    """Print the findings of a check step by step."""
    click.echo(_printable(found.url))
    _print_step("Fetch", _fetch_lines(found.transfer))
    if found.contents:
        _print_step("Parse", _parse_lines(found.contents))
    if found.identity:
        articles, of = found.identity.articles, found.contents.entries if found.contents else 0
        lines = [f"{of} entries are {articles} articles, known by {found.identity.identified_by}"]
        lines += [_field_line("links", found.identity.links), _field_line("guids", found.identity.guids)]
        _print_step("Identity", lines)
    _print_step("History", _history_lines(found.history))
    _print_step("Next poll", _pace_lines(found.next_poll, found.checked_at))
    if found.warnings:
        _print_step("Warnings", found.warnings)
    _print_step("Verdict", _verdict_lines(found))


def _fetch_lines(transfer: Transfer) -> Iterator[str]:
    for each in transfer.addresses:
        decision = "may be connected to" if each.is_allowed else "not a public address, refused"
        yield f"{each.host} leads to {each.address}: {decision}"
    for hop in transfer.hops:
        on = f", sends on to {hop.redirected_to}" if hop.redirected_to else ""
        yield f"{hop.url} at {hop.address} answered {hop.status}{on}"
    if transfer.message:
        yield f"Failed ({transfer.severity}, {transfer.reason}): {transfer.message}"
    size = "" if transfer.body_bytes is None else f", {transfer.body_bytes:,} bytes unpacked"
    yield f"{transfer.received_bytes:,} bytes received{size}, in {transfer.seconds:.2f} s"
    if transfer.content_type:
        yield f"Content type: {transfer.content_type}"
    named = {"ETag": transfer.etag, "Last-Modified": transfer.last_modified}
    given = [f"{name} {value}" for name, value in named.items() if value]
    if transfer.body_bytes is not None:
        yield f"For conditional requests: {', '.join(given) or 'nothing'}"


def _parse_lines(contents: Contents) -> Iterator[str]:
    yield (
        f"{contents.format}, titled {contents.title!r}" if contents.title else f"{contents.format}, no title"
    )
    yield f"{contents.entries} entries, {contents.dated} with a date"
    if contents.newest_at and contents.oldest_at:
        yield f"Newest {_moment(contents.newest_at)}, oldest {_moment(contents.oldest_at)}"
    yield from (f"Note: {note}" for note in contents.notes)


def _field_line(name: str, field: IdField) -> str:
    return (
        f"{name}: {field.given} given, {field.distinct} different, {field.shared} shared by other headlines"
    )


def _history_lines(history: InHistory | None) -> Iterator[str]:
    if history is None:
        yield "There is no history yet: everything would be new"
        return
    yield "Followed" if history.is_followed else "Not followed"
    if history.new_articles is not None:
        seen = "" if history.seen_share is None else f"; {history.seen_share:.0%} of the entries are known"
        yield f"{history.new_articles} articles would be new{seen}"
    if history.is_first_poll and history.new_articles is not None:
        yield "The first poll is the baseline: its articles are stored and scored, not alerted"


def _pace_lines(plan: NextPoll, now: datetime) -> Iterator[str]:
    yield f"Planned: {_moment(plan.due_at) if plan.due_at else 'at the next run'}"
    yield f"A poll now would be followed by one in {span(plan.at - now)}, at {_moment(plan.at)}, because"
    yield from (f"- {reason}" for reason in plan.reasons)
    yield "- and up to a tenth later, so that feeds spread out"


def _verdict_lines(found: FeedCheck) -> Iterator[str]:
    if found.is_usable:
        yield "Usable"
    else:
        yield f"Not usable: {found.transfer.message}"
    for link in found.feed_links:
        yield f"Try: tocsin feeds check {link}"


def _print_step(name: str, lines: Iterable[str]) -> None:
    click.secho(f"\n{name}", bold=True)
    for line in lines:
        click.echo(f"  {_printable(line)}")


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _text(value: str | None) -> Text:
    return Text("\n".join(map(_printable, (value or "").split("\n"))))


def _printable(text: str) -> str:
    """Keep what a feed or server said from moving a terminal's cursor or changing its colours."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
