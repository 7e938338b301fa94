"""One HTTP exchange with a feed's server; the only place that knows httpx.

Whatever a server or a URL does comes back as a value.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from flows.feeds.decode import ACCEPT_ENCODING, GZIP_MAGIC, BodyDecoder, too_big
from flows.feeds.failures import describe_status, severity_of
from flows.feeds.hints import read_pace_hints
from flows.feeds.learn import asks_moved, may_ask_conditionally, should_test_validators
from flows.feeds.network import Dialer, Resolve, resolve_host
from flows.feeds.options import DEFAULTS, PollOptions
from flows.feeds.transport import CheckedTransport
from flows.feeds.urls import loggable, without_credentials
from tocsin.errors import FeedError
from tocsin.types import (
    Exchange,
    Feed,
    FeedState,
    Fetched,
    FetchFailed,
    FetchOutcome,
    NotModified,
    PaceHints,
    Validators,
)

log = logging.getLogger(__name__)

Client = httpx.AsyncClient

_ACCEPT = (
    "application/rss+xml, application/atom+xml, application/feed+json, application/rdf+xml, "
    "application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8, */*;q=0.5"
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PERMANENT = frozenset({301, 308})
_WITH_BODY = frozenset({200, 203})
_MAX_VALIDATOR_LENGTH = 1000

# First match wins, so the special stand before the general.
_REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (httpx.ConnectTimeout, "timeout", "Server did not accept a connection in time"),
    (httpx.TimeoutException, "timeout", "Server sent nothing for too long"),
    (httpx.UnsupportedProtocol, "bad_url", "Feed URL is not one of http or https"),
    (httpx.InvalidURL, "bad_url", "Feed URL cannot be understood"),
    (ssl.SSLError, "tls", "Server's certificate or TLS is not acceptable"),
    (httpx.ConnectError, "connect_failed", "Server cannot be reached"),
    (httpx.RemoteProtocolError, "cut_body", "Server broke off or did not speak HTTP"),
    (httpx.DecodingError, "bad_encoding", "Compressed body corrupt"),
    (httpx.LocalProtocolError, "bad_url", "Feed URL makes a request that HTTP does not allow"),
    (httpx.TransportError, "connection_lost", "Connection to the server was lost"),
    (UnicodeError, "bad_url", "Feed URL holds a host name that is not possible"),
    (OSError, "connection_lost", "Connection to the server was lost"),
    (ValueError, "bad_url", "Feed URL cannot be used"),
)
# Everything that httpx documents, and what slips past it from URLs and sockets.
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError, OSError, ValueError)


@dataclass(slots=True)
class _Attempt:
    """What is known so far of one exchange; it grows from hop to hop."""

    feed: Feed
    state: FeedState
    now: datetime
    options: PollOptions
    url: str = ""
    status: int | None = None
    received_bytes: int = 0
    redirects: list[int] = field(default_factory=list)
    request: httpx.Request | None = None
    hints: PaceHints = field(default_factory=PaceHints)
    started: float = field(default_factory=time.monotonic)

    @property
    def is_at_moved(self) -> bool:
        return asks_moved(self.state, self.now)

    @property
    def first_url(self) -> str:
        """The URL to start from: where the feed is known to have moved, or its own."""
        return (self.state.moved_to if self.is_at_moved else None) or self.feed.url

    def exchange(self) -> Exchange:
        is_permanent = self.redirects and _PERMANENT.issuperset(self.redirects)
        return Exchange(
            feed_url=self.feed.url,
            final_url=without_credentials(self.url or self.first_url),
            fetched_at=self.now,
            seconds=time.monotonic() - self.started,
            status=self.status,
            received_bytes=self.received_bytes,
            redirected_to=self.url if is_permanent else None,
            at_moved=self.is_at_moved,
        )

    def failed(self, reason: str, message: str) -> FetchFailed:
        return FetchFailed(self.exchange(), severity_of(reason), reason, message, self.hints)


def open_client(options: PollOptions = DEFAULTS, *, resolve: Resolve = resolve_host) -> Client:
    """Open the one client of a poll: no proxies, no cookies, no redirects of its own, checked addresses."""
    for noisy in ("httpx", "httpcore"):  # they print whole URLs, which may hold secrets
        logging.getLogger(noisy).setLevel(logging.WARNING)
    dialer = Dialer(options.allow_networks, _tls_context, resolve)
    return httpx.AsyncClient(
        transport=CheckedTransport(dialer, most_idle=options.concurrency),
        headers={"User-Agent": options.user_agent, "Accept": _ACCEPT, "Accept-Encoding": ACCEPT_ENCODING},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(options.read_seconds, connect=options.connect_seconds),
        follow_redirects=False,
        trust_env=False,
    )


@cache
def _tls_context() -> ssl.SSLContext:
    """The trusted authorities, read once a process: that takes as long as twenty answers of 304."""
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def fetch_feed(
    client: Client,
    feed: Feed,
    *,
    state: FeedState,
    now: datetime,
    options: PollOptions = DEFAULTS,
) -> FetchOutcome:
    """Fetch a feed; whatever goes wrong with it is a `FetchFailed`, never an exception."""
    outcome = await fetch_quietly(client, feed, state=state, now=now, options=options)
    _log_outcome(outcome)
    return outcome


async def fetch_quietly(
    client: Client, feed: Feed, *, state: FeedState, now: datetime, options: PollOptions
) -> FetchOutcome:
    """Fetch like `fetch_feed`, and leave the log to the caller; what is fetched need not be a feed."""
    attempt = _Attempt(feed, state, now, options)
    try:
        async with asyncio.timeout(options.total_seconds):
            outcome = await _follow(client, attempt)
        if isinstance(outcome, Fetched) and _calls_for_test(attempt):
            outcome = await _test_validators(client, attempt, outcome)
        return outcome  # noqa: TRY300  what fails while the validators are tested is a failure too
    except TimeoutError:
        return attempt.failed("too_slow", f"Server took longer than {options.total_seconds:g} s in all")
    except FeedError as error:
        return attempt.failed(error.reason, str(error))
    except _FAILURES as error:
        return attempt.failed(*explain_failure(error))


def explain_failure(error: Exception) -> tuple[str, str]:
    """Give the reason and a message without secrets for an error of httpx or beneath it."""
    causes = _chain(error)
    for kind, reason, message in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return reason, f"{message} ({type(error).__name__})"
    return "connection_lost", f"Exchange with the server failed ({type(error).__name__})"


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 10:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain


async def _follow(client: Client, attempt: _Attempt) -> FetchOutcome:
    """Go from redirect to redirect; each hop is resolved, checked and connected anew."""
    own = httpx.URL(attempt.feed.url)
    secrets = (own.username, own.password) if own.userinfo else None
    url = own if attempt.first_url == attempt.feed.url else httpx.URL(attempt.first_url)
    origin = _origin(own)
    for _ in range(attempt.options.max_redirects + 1):
        url = _usable(url)
        attempt.url = str(url)
        auth = httpx.BasicAuth(*secrets) if secrets and _origin(url) == origin else None
        request = client.build_request("GET", url, headers=_conditions(attempt))
        response = await client.send(request, stream=True, auth=auth)
        try:
            attempt.status, attempt.request = response.status_code, response.request
            if response.status_code not in _REDIRECTS:
                return await _read(response, attempt)
            attempt.redirects.append(response.status_code)
            url = url.join(response.headers["location"])
        except KeyError:
            raise FeedError("bad_redirect", "Redirect from the server names no location") from None
        finally:
            await response.aclose()
    raise FeedError("redirect_loop", f"Redirects do not end after {attempt.options.max_redirects}")


def _usable(url: httpx.URL) -> httpx.URL:
    """The URL without user, password and fragment, if it is one that we fetch."""
    if url.scheme not in {"http", "https"}:
        raise FeedError("bad_url", f"URL scheme {url.scheme[:20]!r} is not http or https")
    has_port = url.port is None or 0 < url.port < 65536
    if not url.host or not has_port:
        raise FeedError("bad_url", "Feed URL lacks a host name or has an impossible port")
    return url.copy_with(userinfo=b"", fragment=None) if url.userinfo or url.fragment else url


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _conditions(attempt: _Attempt) -> dict[str, str]:
    """The conditional headers, only for the very URL that gave the validators."""
    known = attempt.state.validators
    is_usable = known is not None and known.url == attempt.url
    longest = attempt.options.full_fetch_every
    if not is_usable or not may_ask_conditionally(attempt.state, attempt.now, longest=longest):
        return {}
    return _as_headers(known)


def _as_headers(known: Validators | None) -> dict[str, str]:
    pairs = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified} if known else {}
    return {name: value for name, value in pairs.items() if value}


def _calls_for_test(attempt: _Attempt) -> bool:
    """Tell whether the old validators are worth a test: not where the server has just heeded them."""
    assert attempt.request is not None  # noqa: S101  a body came, so something was asked
    if _is_conditional(attempt.request):
        return False
    return should_test_validators(attempt.state, attempt.now, asked=attempt.url)


def _is_conditional(request: httpx.Request) -> bool:
    return "if-none-match" in request.headers or "if-modified-since" in request.headers


async def _test_validators(client: Client, attempt: _Attempt, outcome: Fetched) -> Fetched:
    """Ask again with the old validators, now that the body is known to differ: 304 would be a lie.

    Only the status is read. No answer proves nothing.
    """
    assert attempt.request is not None  # noqa: S101  a body came, so something was asked
    headers = httpx.Headers(attempt.request.headers)
    headers.update(_as_headers(attempt.state.validators))
    request = client.build_request("GET", attempt.request.url, headers=headers)
    try:
        async with asyncio.timeout(attempt.options.read_seconds):
            response = await client.send(request, stream=True)
            await response.aclose()
    except (TimeoutError, FeedError, *_FAILURES):
        return outcome
    verdict = {304: False, 200: True}.get(response.status_code)
    log.info("validators.tested feed=%s honoured=%s", loggable(attempt.feed.url), verdict)
    return replace(outcome, exchange=replace(outcome.exchange, honours_validators=verdict))


async def _read(response: httpx.Response, attempt: _Attempt) -> FetchOutcome:
    # A plain mapping: httpx looks through all headers for each that it is asked for.
    attempt.hints = read_pace_hints(dict(response.headers.items()), attempt.now)
    if response.status_code == 304 and _is_conditional(response.request):
        return NotModified(attempt.exchange(), _validators(response, attempt), attempt.hints)
    if response.status_code not in _WITH_BODY:
        return attempt.failed(f"http_{response.status_code}", describe_status(response.status_code))
    body = await _read_body(response, attempt)
    return _compare(body, response, attempt)


async def _read_body(response: httpx.Response, attempt: _Attempt) -> bytes:
    limits = attempt.options
    decoder = BodyDecoder(response.headers.get("content-encoding", ""), limit=limits.max_body_bytes)
    async for piece in response.aiter_raw():
        attempt.received_bytes += len(piece)
        if attempt.received_bytes > limits.max_received_bytes:
            raise too_big(limits.max_received_bytes)
        decoder.feed(piece)
    body = decoder.finish()
    return _unpack_file(body, limits.max_body_bytes) if body.startswith(GZIP_MAGIC) else body


def _unpack_file(body: bytes, limit: int) -> bytes:
    """Undo a feed that is stored as a gzip file and served as it lies there."""
    decoder = BodyDecoder("gzip", limit=limit)
    decoder.feed(body)
    return decoder.finish()


def _compare(body: bytes, response: httpx.Response, attempt: _Attempt) -> FetchOutcome:
    body_hash = hashlib.sha256(body).hexdigest()
    validators = _validators(response, attempt)
    if body_hash == attempt.state.body_hash:
        return NotModified(attempt.exchange(), validators, attempt.hints)
    return Fetched(
        attempt.exchange(),
        body=body,
        body_hash=body_hash,
        content_type=response.headers.get("content-type"),
        validators=validators,
        hints=attempt.hints,
    )


def _validators(response: httpx.Response, attempt: _Attempt) -> Validators | None:
    """The validators of a response; a 304 that repeats none leaves those that were sent."""
    etag, modified = _sendable(response, "etag"), _sendable(response, "last-modified")
    if not (etag or modified):
        return attempt.state.validators if response.status_code == 304 else None
    return Validators(url=attempt.url, etag=etag, last_modified=modified)


def _sendable(response: httpx.Response, name: str) -> str | None:
    """A header that can be sent back as it is, which excludes what is not plain text."""
    value = response.headers.get(name, "")
    is_plain = value.isascii() and value.isprintable() and len(value) <= _MAX_VALIDATOR_LENGTH
    return value if value and is_plain else None


def _log_outcome(outcome: FetchOutcome) -> None:
    exchange = outcome.exchange
    feed = loggable(exchange.feed_url)
    if isinstance(outcome, FetchFailed):
        log.warning("feed.failed feed=%s severity=%s reason=%s", feed, outcome.severity, outcome.reason)
        return
    log.info(
        "feed.fetched feed=%s status=%s changed=%s bytes=%s seconds=%.2f",
        feed,
        exchange.status,
        isinstance(outcome, Fetched),
        exchange.received_bytes,
        exchange.seconds,
    )
