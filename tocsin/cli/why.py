"""`tocsin why`: the way of one article, and what decided whether it rang."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.feeds.urls import host_of, without_credentials
from tocsin.cli.why_text import conclude, describe, describe_absence, describe_candidates
from tocsin.errors import StorageError
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from storage.way import Candidate, Way


@click.command()
@click.argument("article", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of lines.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def why(*, article: tuple[str, ...], as_json: bool, data: Path | None) -> None:
    """Say why an article rang or did not. ARTICLE is its id, its address, or words of its headline.

    The exit code is 0 if the article was found (whether or not it rang), 1 if none fits, 2 if several do.
    """
    from storage.database import Database  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.folder import history_path  # noqa: PLC0415
    from storage.way import MOST_CANDIDATES, find_feeds_of, load_way  # noqa: PLC0415

    path = history_path(load_settings(data=data).data)
    with Database(path).read() as con:
        found = _find(con, " ".join(article))
        way = load_way(con, found[0]) if len(found) == 1 else None
        host = host_of(" ".join(article))
        feeds = find_feeds_of(con, host) if host and not found else []
    if not found:
        raise StorageError(describe_absence(" ".join(article), feeds), path=path)
    if way is None:
        raise click.UsageError(describe_candidates(found, MOST_CANDIDATES))
    click.echo(_to_json(way) if as_json else _to_text(way))


def _find(con: Any, given: str) -> list[Candidate]:
    """Find the articles that a person means: by number, by address, else by words."""
    from flows.feeds.identity import entry_keys  # noqa: PLC0415
    from storage.way import find_by_address, find_by_id, find_by_words  # noqa: PLC0415
    from tocsin.types import Entry  # noqa: PLC0415

    given = given.strip()
    if given.isascii() and given.isdigit() and len(given) < 20:
        found = find_by_id(con, [int(given)] if int(given) < 1 << 63 else [])
        if found:
            return found
    if given.lower().startswith(("http://", "https://")):
        keys = entry_keys("", Entry("", url=given))
        return find_by_address(con, given, keys.url if keys.url is not None else 0)
    return find_by_words(con, given.split()) if given else []


def _to_text(way: Way) -> str:
    return "\n".join(f"{label:<9} {text}".rstrip() for label, text in describe(way))


def _to_json(way: Way) -> str:
    outcome, said = conclude(way)
    shown = {
        "feed_url": without_credentials(way.feed_url),
        "carried_by": [without_credentials(url) for url in way.carried_by],
    }
    value = {"outcome": outcome, "explanation": said, **asdict(way), **shown}
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
