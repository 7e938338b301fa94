"""A loopback server that answers as badly as it is told to, and what every test of feeds needs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

import pytest

from flows.feeds.fetch import fetch_feed, open_client
from flows.feeds.options import PollOptions
from tocsin.types import Exchange, Feed, FeedState, Fetched, ParsedFeed, Polled

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LOOPBACK = (ip_network("127.0.0.0/8"),)

Script = Callable[["Connection"], None]


@dataclass
class Seen:
    """One request as the server saw it; header names in small letters."""

    path: str
    headers: dict[str, str]


@dataclass
class Connection:
    """What a script may do with a request: send bytes as they are, or wait without sleeping."""

    seen: Seen
    send: Callable[[bytes], object]
    stopped: threading.Event

    def drip(self, *pieces: bytes, pause: float = 0.05) -> None:
        """Send pieces with pauses, until all are sent or the test is over."""
        for piece in pieces:
            if self.stopped.wait(pause):
                return
            self.send(piece)

    def hang(self, seconds: float = 0.5) -> None:
        self.stopped.wait(seconds)


@dataclass
class FaultServer:
    """Serves replies and scripts by path (without query); what has none is a 404."""

    replies: dict[str, tuple[int, dict[str, str], bytes] | Script] = field(default_factory=dict)
    requests: list[Seen] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str, *, host: str = "127.0.0.1", userinfo: str = "") -> str:
        return f"http://{userinfo}{host}:{self.port}{path}"

    def reply(self, path: str, body: bytes = b"", *, status: int = 200, **headers: str) -> str:
        """Answer with a status, a body and headers (`etag="x"`, `content_type="y"`); gives the URL."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies[path] = (status, {"content-length": str(len(body))} | named, body)
        return self.url(path)

    def script(self, path: str, script: Script) -> str:
        """Let `script` write the whole answer; the connection closes after it."""
        self.replies[path] = script
        return self.url(path)

    def entered(self, change: int) -> None:
        with self.lock:
            self.at_once += change
            self.most_at_once = max(self.most_at_once, self.at_once)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        plan = self.server.plan
        seen = Seen(self.path, {name.lower(): value for name, value in self.headers.items()})
        plan.requests.append(seen)
        plan.entered(+1)
        try:
            self._answer(
                plan.replies.get(self.path.partition("?")[0], (404, {"content-length": "0"}, b"")), seen
            )
        except OSError:
            self.close_connection = True  # the client gave up, which is what many tests are about
        finally:
            plan.entered(-1)

    def _answer(self, reply: tuple[int, dict[str, str], bytes] | Script, seen: Seen) -> None:
        if callable(reply):
            self.close_connection = True
            reply(Connection(seen, self.wfile.write, self.server.plan.stopped))
            return
        status, headers, body = reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status != 304:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    plan: FaultServer


@pytest.fixture
def server():
    """A running fault server; hanging scripts end with the test."""
    plan = FaultServer()
    running = _Server(("127.0.0.1", 0), _Handler)
    running.plan, plan.port = plan, running.server_address[1]
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield plan
    plan.stopped.set()
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture(scope="session")
def now():
    return NOW


@pytest.fixture(scope="session")
def make_options():
    """Build options that reach loopback; limits are small only where a test says so."""

    def make(**changes) -> PollOptions:
        return PollOptions(**{"allow_networks": LOOPBACK, **changes})

    return make


@pytest.fixture
def fetch(make_options):
    """Fetch one URL as a poll would and give its outcome."""

    def run(url: str, state: FeedState | None = None, *, now: datetime = NOW, resolve=None, **changes):
        async def once():
            options = make_options(**changes)
            extra = {"resolve": resolve} if resolve else {}
            async with open_client(options, **extra) as client:
                return await fetch_feed(
                    client, Feed(url), state=state or FeedState(url), now=now, options=options
                )

        return asyncio.run(once())

    return run


@pytest.fixture(scope="session")
def make_polled():
    """Build what a poll gives for a feed with these entries."""

    def make(feed: Feed, entries: Sequence, **parsed) -> Polled:
        exchange = Exchange(feed.url, feed.url, fetched_at=NOW, seconds=0.1, status=200)
        outcome = Fetched(exchange, body=b"", body_hash="0" * 64)
        return Polled(feed, outcome, ParsedFeed(tuple(entries), **{"format": "rss20", **parsed}))

    return make


@pytest.fixture(scope="session")
def rss():
    """Build the bytes of an RSS feed from (title, link) pairs or ready items."""

    def build(*items: tuple[str, str] | str) -> bytes:
        rows = [
            item if isinstance(item, str) else f"<item><title>{item[0]}</title><link>{item[1]}</link></item>"
            for item in items
        ]
        return f"<rss version='2.0'><channel><title>News</title>{''.join(rows)}</channel></rss>".encode()

    return build
