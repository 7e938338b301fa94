"""`tocsin feeds`: which feeds are followed, how they fare, and what a poll of one would do."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tocsin.errors import SettingsError
from tocsin.logging import configure_logging, redact
from tocsin.settings import Settings, load_settings

if TYPE_CHECKING:
    from flows.check_feed import History
    from storage.database import Database
    from storage.following import FeedHealth, Followed
    from tocsin.cli.follow import Changes

log = logging.getLogger(__name__)

T = TypeVar("T")

# Beyond this many, what was done is counted instead of listed.
_MOST_LINES = 20

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]"
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def feeds() -> None:
    """Add, remove, list and examine the feeds that every run polls.

    While any feed is followed, `tocsin monitor` polls the followed feeds and not those of TOCSIN_FEEDS.
    User and password in a feed's URL are shown by `export` only.
    """


@feeds.command()
@click.argument("sources", metavar="URL_OR_FILE...", nargs=-1, required=True)
@click.option("--title", help="What to call the feed; for one feed only.")
@click.option("--outlet", help="Publisher to name in alerts.")
@click.option("--folder", help='Group to put the feeds in; "A / B" is a group within a group.')
@_data
def add(
    *, sources: tuple[str, ...], title: str | None, outlet: str | None, folder: str | None, data: Path | None
) -> None:
    """Follow feeds from now on.

    Give addresses, OPML files, or text files with one address per line. Nothing is fetched. A feed that
    is followed already takes the names that are given, and a new user and password.
    """
    from tocsin.cli.follow import ADDED, add_feeds, read_sources  # noqa: PLC0415  DuckDB loads when needed
    from tocsin.types import Feed  # noqa: PLC0415

    settings = load_settings(data=data)
    with _warnings_shown():
        given = read_sources(sources, Feed("", title, outlet, folder))
    changes = _change(settings, lambda con, now: add_feeds(con, given, now))
    _print_changes(changes)
    if settings.feeds and any(what == ADDED for _, what in changes):
        click.echo("While feeds are followed, those of TOCSIN_FEEDS are not polled.", err=True)


@feeds.command()
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@_data
def remove(*, urls: tuple[str, ...], data: Path | None) -> None:
    """Stop polling feeds. Their articles, and what was seen of them, stay in the history."""
    from tocsin.cli.follow import remove_feeds  # noqa: PLC0415

    settings = load_settings(data=data)
    if not _has_history(settings):
        raise SettingsError("No feed is followed yet; follow one with `tocsin feeds add`")
    _print_changes(_change(settings, lambda con, now: remove_feeds(con, urls, now)))
    if not _load_followed(settings):
        then = "polls those of TOCSIN_FEEDS" if settings.feeds else "has nothing to poll until one is added"
        click.echo(f"No feed is followed now: `tocsin monitor` {then}.", err=True)


@feeds.command("list")
@click.option("--folder", help="Only the feeds in this group, and in the groups within it.")
@_json
@_data
def list_feeds(*, folder: str | None, as_json: bool, data: Path | None) -> None:
    """List the followed feeds, in the order in which they were added."""
    from tocsin.cli.feed_tables import followed_to_json, print_followed  # noqa: PLC0415

    followed = [each for each in _load_followed(load_settings(data=data)) if _is_in(each, folder)]
    if as_json:
        _print_json([followed_to_json(each) for each in followed])
    else:
        print_followed(followed)


@feeds.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@_data
def export(*, file: Path | None, data: Path | None) -> None:
    """Write the followed feeds as OPML to FILE, or to stdout.

    Users and passwords are in it, so a new FILE is readable by you alone.
    """
    from flows.feeds.opml import write_opml  # noqa: PLC0415

    followed = _load_followed(load_settings(data=data))
    if not followed:
        raise click.ClickException("No feed is followed, so there is nothing to export")
    document = write_opml([each.feed for each in followed], title="Feeds that Tocsin follows")
    if file is None:
        click.echo(document, nl=False)
        return
    try:
        file.touch(mode=0o600)
        file.write_bytes(document)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written ({error.strerror})") from error
    click.echo(f"{len(followed)} feeds written to {file}", err=True)


@feeds.command()
@click.option("--all", "show_all", is_flag=True, help="Also feeds of the history that are not followed.")
@_json
@_data
def health(*, show_all: bool, as_json: bool, data: Path | None) -> None:
    """Show how the followed feeds fare, the worst first.

    Without followed feeds: every feed that was ever polled.
    """
    from tocsin.cli.feed_tables import health_to_json, print_health, worst_first  # noqa: PLC0415

    every = _load_health(load_settings(data=data))
    chosen = [each for each in every if each.is_followed] or every
    rows = worst_first(every if show_all else chosen)
    if as_json:
        _print_json([health_to_json(each) for each in rows])
    else:
        print_health(rows)


@feeds.command()
@click.argument("url")
@_json
@_data
def check(*, url: str, as_json: bool, data: Path | None) -> None:
    """Explain step by step what a poll of one feed would do.

    The feed at URL is fetched once; nothing is written. The exit code is 0 if the feed is usable, else 1.
    """
    from flows.check_feed import check_feed  # noqa: PLC0415
    from flows.feeds.options import PollOptions  # noqa: PLC0415
    from tocsin.cli.feed_tables import check_to_json, print_check  # noqa: PLC0415
    from tocsin.cli.follow import find_feed, read_address  # noqa: PLC0415
    from tocsin.types import Feed  # noqa: PLC0415

    settings = load_settings(data=data)
    logging.getLogger("flows").addHandler(logging.NullHandler())  # what it would say is in the findings
    known = _load_health(settings)
    address = read_address(url)
    address = find_feed(address, [each.url for each in known]) or address
    found = check_feed(
        Feed(address),
        now=datetime.now(UTC),
        options=PollOptions(allow_networks=settings.allow_networks),
        history=_history(settings, address, known),
    )
    if as_json:
        _print_json(check_to_json(found))
    else:
        print_check(found)
    sys.exit(0 if found.is_usable else 1)


def _history(settings: Settings, url: str, known: tuple[FeedHealth, ...]) -> History | None:
    """Give the history's view of a feed; None if there is no history."""
    from flows.check_feed import History  # noqa: PLC0415
    from storage.articles import find_known  # noqa: PLC0415
    from storage.feeds import load_states  # noqa: PLC0415

    if not _has_history(settings):
        return None
    db = _database(settings)

    def find(keys: Any) -> dict[int, int]:
        with db.read() as con:
            return find_known(con, keys)

    with db.read() as con:
        state = load_states(con, [url])[url]
    return History(state, any(each.url == url and each.is_followed for each in known), find)


def _change(settings: Settings, change: Callable[[Any, datetime], Changes]) -> Changes:
    """Let `change` work in one transaction, while no run works in the data folder."""
    from flows.feeds.urls import loggable  # noqa: PLC0415
    from storage.folder import lock_data_folder  # noqa: PLC0415

    configure_logging(settings.data, level=settings.log_level)
    with lock_data_folder(settings.data):
        changes = _database(settings).change(lambda con: change(con, datetime.now(UTC)))
    for url, what in changes:
        log.info("feed.list_changed feed=%s change=%r", loggable(url), what)
    return changes


def _load_followed(settings: Settings) -> tuple[Followed, ...]:
    from storage.following import load_followed  # noqa: PLC0415

    return _ask(settings, load_followed)


def _load_health(settings: Settings) -> tuple[FeedHealth, ...]:
    from storage.following import load_health  # noqa: PLC0415

    return _ask(settings, load_health)


def _ask(settings: Settings, load: Callable[[Any], tuple[T, ...]]) -> tuple[T, ...]:
    """Load rows from the history; none where there is no history yet."""
    if not _has_history(settings):
        return ()
    with _database(settings).read() as con:
        return load(con)


def _has_history(settings: Settings) -> bool:
    from storage.folder import history_path  # noqa: PLC0415

    return history_path(settings.data).exists()


def _database(settings: Settings) -> Database:
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path  # noqa: PLC0415

    return Database(history_path(settings.data))


def _is_in(followed: Followed, folder: str | None) -> bool:
    own = followed.feed.folder or ""
    return folder is None or own == folder or own.startswith(f"{folder} / ")


class _Screen(logging.Handler):
    """Shows what was skipped in a list of feeds: silently fewer feeds than were given would be a trap."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(redact(record.getMessage()), err=True)


@contextmanager
def _warnings_shown() -> Iterator[None]:
    logger, screen = logging.getLogger("flows.feeds.opml"), _Screen(logging.WARNING)
    logger.addHandler(screen)
    try:
        yield
    finally:
        logger.removeHandler(screen)


def _print_changes(changes: Changes) -> None:
    from tocsin.cli.follow import count_changes  # noqa: PLC0415

    for url, what in changes if len(changes) <= _MOST_LINES else ():
        click.echo(f"{what}: {url}")
    if len(changes) > 1:
        click.echo(count_changes(changes))


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
