"""How httpx sends a poll's requests: over checked connections, kept open for a host's next feed.

httpx's own transport spends more on locks, cancel scopes and looking through its pool than an exchange
answered by 304 costs here; see docs/polling-speed.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import h11
import httpx

from flows.feeds.connection import Connection
from flows.feeds.network import Dialer

# A server closes a connection that nobody uses; before that we do.
IDLE_SECONDS = 5.0

Origin = tuple[str, str, int | None]


@dataclass(frozen=True, slots=True)
class _Idle:
    origin: Origin
    connection: Connection
    since: float


class CheckedTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over connections whose addresses were checked; at most `most_idle` wait for another request.

    How many are open at once is for the caller to bound, who knows what is fetched.
    """

    def __init__(self, dialer: Dialer, *, most_idle: int) -> None:
        self._dialer = dialer
        self._most_idle = most_idle
        self._idle: list[_Idle] = []  # oldest first

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is read from the stream that the response holds.

        The response's extension `server_address` is the number that was connected to.
        """
        url = request.url
        origin = (url.scheme, url.host, url.port)
        seconds = request.extensions["timeout"]
        head, connection = await self._exchange_idle(origin, request) or (None, None)
        if head is None or connection is None:
            connection = Connection(await self._dialer.dial(url, seconds=seconds.get("connect")))
            head = await _exchange(connection, request)
        body = _Body(self, origin, connection, seconds.get("read"))
        return _as_response(head, body, connection.address)

    async def aclose(self) -> None:
        """Close the connections that wait."""
        idle, self._idle = self._idle, []
        for each in idle:
            await each.connection.aclose()

    async def release(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose answer was read for the next request, if it can take one."""
        if not connection.renew():
            await connection.aclose()
            return
        self._idle.append(_Idle(origin, connection, _now()))
        if len(self._idle) > self._most_idle:
            await self._idle.pop(0).connection.aclose()

    async def _exchange_idle(
        self, origin: Origin, request: httpx.Request
    ) -> tuple[h11.Response, Connection] | None:
        """Use a connection that waits; None if there is none, or the server was just closing it.

        A GET may be asked again on a new connection. What changes something is never sent on one that waited.
        """
        connection = await self._take_idle(origin) if request.method == "GET" else None
        if connection is None:
            return None
        try:
            return await _exchange(connection, request), connection
        except (httpx.RemoteProtocolError, httpx.ReadError):
            return None

    async def _take_idle(self, origin: Origin) -> Connection | None:
        for each in [each for each in self._idle if each.origin == origin]:
            self._idle.remove(each)
            if _now() - each.since < IDLE_SECONDS and not each.connection.is_stale():
                return each.connection
            await each.connection.aclose()
        return None


class _Body(httpx.AsyncByteStream):
    """An answer's body; closing it frees the connection for the next request."""

    def __init__(
        self, transport: CheckedTransport, origin: Origin, connection: Connection, seconds: float | None
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connection = connection
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._connection.body(self._seconds):
            yield piece

    async def aclose(self) -> None:
        await self._transport.release(self._origin, self._connection)


async def _exchange(connection: Connection, request: httpx.Request) -> h11.Response:
    try:
        return await connection.exchange(request)
    except BaseException:
        await connection.aclose()
        raise


def _as_response(head: h11.Response, body: _Body, address: str) -> httpx.Response:
    return httpx.Response(
        status_code=head.status_code,
        headers=head.headers.raw_items(),
        stream=body,
        extensions={
            "http_version": b"HTTP/" + head.http_version,
            "reason_phrase": bytes(head.reason),
            "server_address": address,
        },
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
