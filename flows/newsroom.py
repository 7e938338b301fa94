"""The bundled sample newsroom: feeds of invented outlets, served over loopback HTTP.

Knows files, dates and HTTP; must not know how feeds are polled, parsed or judged.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import logging
import re
import socket
import sys
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self

import yaml

from tocsin.errors import SettingsError
from tocsin.types import Feed

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
FOLDER = Path(__file__).parent.parent / "deploy" / "newsroom"
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # C is many times faster, but not always built

# ---------------------------------------------------------------- dates

_PLACEHOLDER = re.compile(rb"@\{([^}\n]*)\}")
_MOMENT = re.compile(r"(rfc822|iso|iso-ms|date) -(\d{1,4})h(?: ([+-]\d{4}))?")


def render_dates(body: bytes, anchor: datetime) -> bytes:
    """Replace each `@{format -hours offset}` by the moment that many whole hours before the anchor.

    Formats are rfc822, iso, iso-ms (milliseconds) and date; the offset (`+0100`) may be left out and
    is UTC then. Works on bytes, so every encoding that contains ASCII passes unharmed.

    Raises:
        SettingsError: a placeholder has another shape.
    """
    return _PLACEHOLDER.sub(lambda found: _render_date(found[1].decode("latin-1"), anchor).encode(), body)


def _render_date(placeholder: str, anchor: datetime) -> str:
    found = _MOMENT.fullmatch(placeholder)
    if not found:
        raise SettingsError(
            f"@{{{placeholder}}} is no date placeholder; write one like @{{rfc822 -3h +0100}}"
        )
    style, hours, offset = found.groups()
    zone = datetime.strptime(offset, "%z").tzinfo if offset else UTC
    moment = (anchor - timedelta(hours=int(hours))).astimezone(zone)
    if style == "rfc822":
        return format_datetime(moment, usegmt=not offset)
    if style == "date":
        return moment.date().isoformat()
    text = moment.isoformat(timespec="milliseconds" if style == "iso-ms" else "seconds")
    return text if offset else text.replace("+00:00", "Z")


# ---------------------------------------------------------------- pages


@dataclass(frozen=True, slots=True)
class _Page:
    """What one path answers. A page whose status is not 200 has no validators."""

    body: bytes
    content_type: str
    status: int
    modified_at: datetime

    def etag(self, encoding: str | None) -> str:
        """Name the bytes as sent: a strong ETag differs per encoding (RFC 9110, 8.8.3)."""
        digest = hashlib.sha256(self.body).hexdigest()[:20]
        return f'"{digest}-{encoding}"' if encoding else f'"{digest}"'

    def is_known_by(self, headers: Message) -> bool:
        """Tell whether the request's validators name this page; If-None-Match goes first."""
        if tags := headers.get("If-None-Match"):
            named = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
            return not named.isdisjoint({"*", self.etag(None), self.etag("gzip")})
        since = _parse_http_date(headers.get("If-Modified-Since"))
        return since is not None and self.modified_at <= since

    def answer(self, headers: Message) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a request with these headers."""
        if self.status != 200:
            # No Retry-After: the sample's feeds share one host, and that would pause them all.
            return self.status, self._describe(self.body), self.body
        encoding = "gzip" if _accepts_gzip(headers.get("Accept-Encoding", "")) else None
        validators = {
            "ETag": self.etag(encoding),
            "Last-Modified": format_datetime(self.modified_at, usegmt=True),
            "Vary": "Accept-Encoding",
        }
        if self.is_known_by(headers):
            return 304, validators, b""
        sent = gzip.compress(self.body, mtime=0) if encoding else self.body
        encoded = {"Content-Encoding": encoding} if encoding else {}
        return 200, self._describe(sent) | validators | encoded, sent

    def _describe(self, sent: bytes) -> dict[str, str]:
        return {"Content-Type": self.content_type, "Content-Length": str(len(sent))}


def _parse_http_date(text: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None  # RFC 9110, 13.1.3: a date that cannot be read is as if it were not there
    return parsed.replace(tzinfo=parsed.tzinfo or UTC) if parsed else None


def _accepts_gzip(accepted: str) -> bool:
    codings = [coding.replace(" ", "").lower() for coding in accepted.split(",")]
    return any(re.fullmatch(r"gzip(;q=(1(\.0*)?|0\.\d*[1-9]\d*))?", coding) for coding in codings)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What the manifest says of one feed; `file` is relative to the newsroom's folder."""

    file: str
    path: str
    title: str
    outlet: str
    folder: str
    content_type: str
    status: int
    entries: int


def _read_listings(folder: Path) -> tuple[_Listing, ...]:
    path = folder / "manifest.yaml"
    try:
        feeds = yaml.load(path.read_bytes(), _YAML_LOADER)["feeds"]  # noqa: S506  either loader is a safe one
        return tuple(_Listing(**each) for each in feeds)
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise SettingsError(f"{path}: the sample newsroom's manifest cannot be read: {error}") from error


def _load_page(folder: Path, listing: _Listing, anchor: datetime) -> _Page:
    path = folder / listing.file
    try:
        body = render_dates(path.read_bytes(), anchor)
    except (OSError, SettingsError) as error:
        raise SettingsError(f"{path}: the sample newsroom's feed cannot be read: {error}") from error
    return _Page(body, listing.content_type, listing.status, anchor)


# ---------------------------------------------------------------- server


class _Server(ThreadingHTTPServer):
    """One thread per connection; closing ends connections that are kept alive and waits for the threads."""

    daemon_threads = False
    allow_reuse_port = False  # else a second newsroom could take the port of the first

    def __init__(self, port: int, newsroom: Newsroom) -> None:
        self.newsroom = newsroom
        self._open_connections: set[socket.socket] = set()
        super().__init__((HOST, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open_connections.add(request)  # here, in the serving thread: none can slip past `server_close`
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open_connections.discard(request)
        super().shutdown_request(request)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # not HTTPServer's, which asks the DNS for the host's name

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  the base class's names
        error = sys.exception()
        level = logging.DEBUG if isinstance(error, ConnectionError) else logging.ERROR
        log.log(level, "newsroom.answer_failed error=%r", error)

    def server_close(self) -> None:
        for connection in tuple(self._open_connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("newsroom.connection_gone")  # its client closed it first
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "newsroom"
    sys_version = ""
    wbufsize = -1  # headers and body leave together: no wait for a delayed acknowledgement
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        status, headers, body = self.server.newsroom.answer(path, self.headers)
        self.server.newsroom.requests.append((self.command, path, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  the base class finds methods by this name

    def log_message(self, *_: Any) -> None:
        """Say nothing: the base class writes to stderr; `Newsroom.requests` keeps the record."""


class Newsroom:
    """The sample newsroom as a context manager: it serves between enter and exit, on 127.0.0.1 only.

    Bodies depend only on the files and the anchor (aware), so a later newsroom with the same anchor
    answers 304 to the validators of an earlier one. If `port` is taken, any free one is used; 0 asks
    for a free one. `requests` records (method, path, status) in the order of the answers.

    Raises:
        SettingsError: the files in `folder` cannot be read or do not fit together.
    """

    def __init__(self, *, anchor: datetime, port: int = 8737, folder: Path | None = None) -> None:
        if anchor.tzinfo is None:
            raise ValueError("anchor has no time zone: pass an aware datetime")
        source = folder or FOLDER
        self.port = port
        self.requests: list[tuple[str, str, int]] = []
        self._anchor = anchor.astimezone(UTC).replace(microsecond=0)
        self._listings = _read_listings(source)
        self._pages = {each.path: _load_page(source, each, self._anchor) for each in self._listings}

    def __enter__(self) -> Self:
        self._server = self._bind()
        self.port = int(self._server.server_address[1])
        # The poll is how long a close may have to wait, in seconds.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="newsroom")
        self._thread.start()
        log.info("newsroom.opened port=%s feeds=%s", self.port, len(self._listings))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        log.info("newsroom.closed port=%s requests=%s", self.port, len(self.requests))

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """Return all feeds in the manifest's order, the broken and the absent one too."""
        return tuple(
            Feed(self.url(each.path), each.title, each.outlet, each.folder) for each in self._listings
        )

    def url(self, path: str) -> str:
        """Return the URL of a path such as `/world-desk/rss.xml`."""
        return f"http://{HOST}:{self.port}{path}"

    def body(self, path: str) -> bytes:
        """Return what the path serves now, uncompressed and with its dates rendered."""
        return self._pages[path].body

    def publish(self, path: str, body: bytes, *, content_type: str | None = None, status: int = 200) -> None:
        """Replace what a path serves, or add a path; placeholders for dates are rendered.

        Last-Modified moves on by one second. No content type means: as it was, RSS for a new path.
        """
        old = self._pages.get(path) or _Page(b"", "application/rss+xml", status, self._anchor)
        self._pages[path] = replace(
            old,
            body=render_dates(body, self._anchor),
            content_type=content_type or old.content_type,
            status=status,
            modified_at=old.modified_at + timedelta(seconds=1),
        )

    def answer(self, path: str, headers: Message) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a GET of the path."""
        page = self._pages.get(path)
        if page is None:
            return 404, {"Content-Length": "0"}, b""
        return page.answer(headers)

    def _bind(self) -> _Server:
        try:
            return _Server(self.port, self)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            log.info("newsroom.port_taken port=%s", self.port)
            return _Server(0, self)
