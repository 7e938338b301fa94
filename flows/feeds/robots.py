"""What a site's robots.txt (RFC 9309) lets us fetch; the only place that knows protego."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from protego import Protego

from tocsin.types import Fetched, FetchFailed, FetchOutcome

# The name by which a robots.txt may address us.
TOKEN = "Tocsin"  # noqa: S105 - no secret
MAX_BYTES = 500 * 1024

_AGENT_LINE = re.compile(r"^[ \t]*user[- ]?agent\b[ \t]*:?(.*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one site. `rules` None: there are none. `is_known` False: nobody could say, so wait."""

    rules: Protego | None = None
    is_known: bool = True

    def allows(self, url: str) -> bool:
        """Tell whether we may fetch a URL of this site now."""
        return self.is_known and (self.rules is None or self.rules.can_fetch(url, TOKEN))

    @property
    def delay(self) -> float:
        """Seconds between requests that the site asks for."""
        return (self.rules.crawl_delay(TOKEN) or 0.0) if self.rules else 0.0


def robots_url(url: str) -> str:
    """Where the rules for a URL stand: one file per scheme, host and port."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme}://{host}/robots.txt"


def read_robots(outcome: FetchOutcome) -> Robots:
    """Read what came of fetching a robots.txt.

    A site that has none (any 4xx) forbids nothing. A site that cannot say (no answer, 5xx), or that
    asks us to slow down (429), is not fetched from now.
    """
    if isinstance(outcome, Fetched):
        return Robots(_parse(outcome.body))
    status = outcome.exchange.status or 0
    is_absent = isinstance(outcome, FetchFailed) and 400 <= status < 500 and status != 429
    return Robots() if is_absent else Robots(is_known=False)


def _parse(body: bytes) -> Protego:
    lines = body[:MAX_BYTES].decode("utf-8-sig", "replace").splitlines()
    return Protego.parse("\n".join(_without_others(line) for line in lines))


def _without_others(line: str) -> str:
    """Give all agents that are not us one name: thousands of names make parsing take minutes."""
    named = _AGENT_LINE.match(line)
    if named is None:
        return line
    name = named.group(1).partition("#")[0].replace("*", "").strip().lower()
    return line if name in TOKEN.lower() else "User-agent: someone-else"
